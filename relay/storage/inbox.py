"""The rows of the inbox inside a transaction: stored once, claimed from the head of a user's queue, finished once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any, cast

from sqlalchemy import Connection, Double, Row, bindparam, func, select, update

from relay.core.decisions import STOPS, STOPS_MESSAGE, Decision, Stops
from relay.core.errors import LeaseLost, UnusableAnswers
from relay.core.messages import (
    REST,
    SILENT_STATES,
    Answer,
    Claim,
    InboundId,
    InboundMessage,
    Kind,
    Outcome,
    Platform,
    UserId,
    UserState,
)
from relay.core.parts import CompletedMessage, Origin, PlannedPart
from relay.storage.charges import charge
from relay.storage.held import as_held, discard, hold_open, release
from relay.storage.history import add_message, clear_messages, count_answer
from relay.storage.leases import is_claimable
from relay.storage.parts import retry_now
from relay.storage.personal import forget
from relay.storage.planning import PartLease, plan_notice, plan_parts, restore
from relay.storage.prepared import Prepared, Upsert
from relay.storage.queries import stored_attachments
from relay.storage.replies import message_ids
from relay.storage.schema import inbound, is_open, outbound
from relay.storage.transactions import Tx, of_bound_user, user_parameters
from relay.storage.users import change_user, touch_user

_STORE = Upsert(inbound, lambda row: row.on_conflict_do_nothing().returning(inbound.c.id))

_MESSAGE_FIELDS = [field.name for field in fields(InboundMessage)]

_head = select(func.min(inbound.c.id)).where(of_bound_user(inbound), is_open(inbound)).scalar_subquery()
_CLAIM = Prepared(
    update(inbound)
    .where(inbound.c.id == _head, is_open(inbound), is_claimable(inbound.c, bindparam("moment", type_=Double)))
    .values(owner=bindparam("claimer"), lease_until=bindparam("until"), updated_at=bindparam("moment"))
    .values(tries=inbound.c.tries + 1)
    .returning(inbound)
)
_change_open = update(inbound).where(inbound.c.id == bindparam("row"), is_open(inbound))
_CHANGE_OPEN = Prepared(_change_open)
_CHANGE_CLAIMED = Prepared(
    _change_open.where(inbound.c.owner == bindparam("claimer"), inbound.c.tries == bindparam("fence")).returning(
        inbound.c.user_id, inbound.c.shown_as
    )
)
_FOLLOWING = Prepared(
    select(inbound.c.id, inbound.c.body, inbound.c.user_id)
    .where(of_bound_user(inbound), is_open(inbound), inbound.c.id > bindparam("claimed"))
    .order_by(inbound.c.id)
    .limit(bindparam("most"))
)

_open_rows = (select(table.c.id).where(of_bound_user(table), is_open(table)).exists() for table in (inbound, outbound))
_WAITING = Prepared(select(*(found.label(name) for name, found in zip(("messages", "parts"), _open_rows, strict=True))))


def store_message(tx: Tx, message: InboundMessage, raw: str) -> InboundId | None:
    """Store a message, finished already when its kind needs no answer; None, and no change, for a repeated one."""
    ended = _to_be_stopped(tx, message) if message.options.get(STOPS) else []
    if ended:
        message = replace(message, options={**message.options, "stopped": True})
    content: dict[str, Any] = {"state": "received", "body": _body_of(message), "raw": raw}
    if message.kind is Kind.SERVICE:
        content = {"state": "done", "body": None, "outcome": Outcome.IGNORED, "finished_at": tx.now}
    content |= {"received_at": message.received_at, "user_id": message.user_id, "sender": message.sender}
    stored = _store(tx, message.platform, message.external_id, **content)
    if stored is not None and message.kind in {Kind.TEXT, Kind.MEDIA, Kind.EDITED, Kind.PRESSED}:
        touch_user(tx, message.platform, message.user_id, username=message.username, language=message.language)
    if stored is not None:
        _charge(tx, message)
        if ended:
            tx.run(update(inbound).where(inbound.c.id.in_(ended)).values(stopped_at=tx.now))
    return stored


def _to_be_stopped(tx: Tx, message: InboundMessage) -> list[int]:
    """The open messages whose answers a new message ends, stopped by none yet: see `Stops`."""
    theirs = of_bound_user(inbound) & is_open(inbound) & inbound.c.stopped_at.is_(None)
    open_rows = select(inbound.c.id, inbound.c.sender, inbound.c.shown_as, inbound.c.body).where(theirs)
    found = tx.run(open_rows.order_by(inbound.c.id), user_parameters(message.platform, message.user_id))
    rows = [row for row in found if not row.body["options"].get(STOPS)]
    pointed_at = message.options.get(STOPS_MESSAGE)
    if pointed_at and (chosen := [row for row in rows if row.shown_as == pointed_at]):
        return [row.id for row in chosen]
    own = [row for row in rows if message.sender is None or row.sender == message.sender]
    match message.options[STOPS]:
        case Stops.OWN:
            rows = own
        case Stops.UNDER_WAY:
            rows = own or rows[:1]
    return [row.id for row in rows]


def store_opt_out(
    tx: Tx, message: InboundMessage, reason: str, confirmation: Sequence[PlannedPart]
) -> InboundId | None:
    """Store a message by which its user opts out, and act on it: what is open is held, planned parts are canceled.

    The confirmation is planned unless the user had opted out before. None, and no change, for a repeated message.
    """
    platform, user_id = message.platform, message.user_id
    finished = {"state": "done", "outcome": Outcome.SILENT, "reason": reason, "finished_at": tx.now}
    content: dict[str, Any] = {"body": _body_of(message), **finished}
    key = (platform, message.external_id)
    stored = _store(tx, *key, received_at=message.received_at, user_id=user_id, **content)
    if stored is None:
        return None
    waiting = hold_open(tx, platform, user_id, stored, reason)
    touch_user(tx, platform, user_id, username=message.username, language=message.language)
    user = tx.locked_user(platform, user_id)
    _charge(tx, message)
    was_out = user is not None and user.state == UserState.STOPPED
    settings = {} if was_out else {"opted_out_at": tx.now, "opt_out_confirmed": bool(confirmation)}
    change_user(tx, platform, user_id, Decision(state=UserState.STOPPED, settings=settings))
    for text, moment in (*waiting, (message.text, message.received_at)):
        add_message(tx, platform, user_id, "user", text, moment=moment, in_context=False)
    if not was_out:
        plan_parts(tx, platform, user_id, confirmation, Origin.COMMAND, None, sender=message.to)
    return stored


def store_dead_letter(tx: Tx, platform: Platform, external_id: str, raw: str, reason: str) -> InboundId | None:
    """Store a payload that could not be parsed; None, and no change, for a repeated one."""
    content = {"state": "dead", "raw": raw, "outcome": Outcome.NOT_UNDERSTOOD, "error": reason}
    stored = _store(tx, platform, external_id, received_at=tx.now, finished_at=tx.now, **content)
    if stored is not None:
        tx.count(platform, "dead_letters")
    return stored


def _charge(tx: Tx, message: InboundMessage) -> None:
    if message.cost_usd:
        costs = {"segments_in": message.segments, "media": len(message.attachments)}
        charge(tx, message.platform, message.user_id, message.cost_usd, **costs)


def _store(tx: Tx, platform: Platform, external_id: str, **values: Any) -> InboundId | None:
    key = {"platform": platform, "external_id": external_id}
    row = tx.run(_STORE, {**key, "due": tx.now, "updated_at": tx.now, **values}).first()
    if row is None:
        return None
    tx.count(platform, "inbound")
    return InboundId(row.id)


def claim_head(tx: Tx, platform: Platform, user_id: UserId, owner: str, lease: float) -> Claim | None:
    """Lease the oldest open message of a user for `lease` seconds; only the head can be claimed, which keeps order."""
    values = {**user_parameters(platform, user_id), "moment": tx.now, "claimer": owner, "until": tx.now + lease}
    row = tx.run(_CLAIM, values).first()
    if row is None:
        return None
    return Claim(
        InboundId(row.id),
        _message(row.body, UserId(row.user_id)),
        owner,
        row.tries,
        row.failures,
        row.unusable,
        row.noticed_at is not None,
        row.lease_until,
        row.shown_as,
        row.stopped_at is not None,
    )


def _body_of(message: InboundMessage) -> dict[str, Any]:
    """A message as the JSON of its row."""
    body = {name: getattr(message, name) for name in _MESSAGE_FIELDS}
    return {**body, "attachments": [asdict(one) for one in message.attachments]}


def _message(body: dict[str, Any], user_id: UserId) -> InboundMessage:
    """The stored message with the address of its row, because the user may have moved since."""
    typed = {"platform": Platform(body["platform"]), "kind": Kind(body["kind"]), "user_id": user_id}
    return InboundMessage(**{**body, **typed, "attachments": stored_attachments(body["attachments"])})


def following(connection: Connection, claim: Claim, most: int) -> tuple[tuple[InboundId, InboundMessage], ...]:
    """The open messages behind a claimed one; they cannot be claimed meanwhile."""
    message = claim.message
    values = {**user_parameters(message.platform, message.user_id), "claimed": claim.id, "most": most}
    rows = _FOLLOWING.run(connection, values)
    return tuple((InboundId(row.id), _message(row.body, UserId(row.user_id))) for row in rows)


def complete(
    tx: Tx,
    claim: Claim,
    decision: Decision,
    parts: Sequence[PlannedPart],
    outcome: Outcome,
    *,
    answer: Answer | None = None,
    reason: str | None = None,
    error: str | None = None,
    merged: Sequence[InboundId] = (),
    lease: PartLease | None = None,
) -> CompletedMessage:
    """Finish a claimed message and those merged with it: change the user, the history and the outbox.

    The reply is a notice when the messages are dead letters. With a lease, its first part is claimed unless other parts
    of the user are open. Raises LeaseLost.
    """
    user_id, shown_as = _finish(tx, claim, decision, merged, outcome, reason, error)
    message, platform = claim.message, claim.message.platform
    if decision.release:
        release(tx, platform, user_id)
    decision = _with_rest(decision, parts, is_answer=answer is not None)
    state = change_user(tx, platform, user_id, decision)
    if answer is not None:
        count_answer(tx, platform, answer)
    replaced = message_ids(tx, decision.replaces) if decision.replaces is not None else []
    if decision.forget:
        forget(tx, platform, user_id)
    if decision.clear_history:
        clear_messages(tx, platform, user_id, message.topic)
        discard(tx, platform, user_id)
    elif state is not None:
        asked = bool(answer and answer.text) or outcome is Outcome.LEFT_TO_PERSON
        _remember(tx, message, user_id, asked=asked, cost=None if asked else answer)
    waiting = tx.run(_WAITING, user_parameters(platform, user_id)).one()
    if state is None or state in SILENT_STATES:
        return CompletedMessage(None, None, waiting.messages)
    if waiting.parts:
        retry_now(tx, platform, user_id)
    is_answer = answer is not None or decision.more
    origin = Origin.NOTICE if outcome is Outcome.GAVE_UP else Origin.ANSWER if is_answer else Origin.COMMAND
    how: dict[str, Any] = {"remember": not decision.clear_history, "lease": None if waiting.parts else lease}
    if parts and (answer is not None or decision.reply is not None) and decision.replaces is not None:
        how |= {"replaces": replaced, "revises": decision.replaces}
    elif shown_as and not restore(tx, platform, user_id, shown_as):
        how["replaces"] = [shown_as]
    planned = plan_parts(tx, platform, user_id, parts, origin, claim, answer, **how)
    return CompletedMessage(planned.reply_id, planned.first, waiting.messages)


def _remember(tx: Tx, message: InboundMessage, user_id: UserId, *, asked: bool, cost: Answer | None) -> None:
    """Add a message to its user's history; `asked`: it stays in the context of later ones. cost: of no words."""
    if message.text and message.kind in {Kind.TEXT, Kind.MEDIA}:
        about: dict[str, Any] = {"topic": message.topic, "attachments": message.attachments, "in_context": asked}
        about |= {"moment": message.received_at, "answer": cost}
        add_message(tx, message.platform, user_id, "user", message.text, **about)


def _with_rest(decision: Decision, parts: Sequence[PlannedPart], *, is_answer: bool) -> Decision:
    """The decision with what is left of the reply among the user's settings; a new answer replaces an old rest."""
    rest = parts[-1].rest if parts else ""
    if not (is_answer or rest or decision.more or decision.clear_history):
        return decision
    return replace(decision, settings={**decision.settings, REST: rest})


def _finish(
    tx: Tx,
    claim: Claim,
    decision: Decision,
    merged: Sequence[InboundId],
    outcome: Outcome,
    reason: str | None,
    error: str | None,
) -> tuple[UserId, str | None]:
    """End or hold a claimed message, and end those that were asked with it.

    The user to whom they belong, and the provider's id of the message in which the answer grew.

    The text of an answered message is kept in the history only, where it can be cleared; its row stays to recognise
    repeated deliveries.
    """
    is_dead = outcome is Outcome.GAVE_UP
    changes: dict[str, Any] = {"state": "dead"} if is_dead else {"state": "done", "body": None, "raw": None}
    changes |= {"outcome": outcome, "reason": reason, "error": error, "lease_until": 0}
    changes |= {"finished_at": tx.now, "updated_at": tx.now}
    if decision.hold:
        own = as_held(tx.now, reason or "") | {"outcome": outcome}
    elif decision.rest is not None:
        body = _body_of(replace(claim.message, text=decision.rest))
        own = {"body": body, "due": tx.now, "owner": None, "lease_until": 0, "updated_at": tx.now}
    else:
        own = changes
    row = _change_claimed(tx, claim, own)
    if is_dead:
        tx.count(claim.message.platform, "dead_letters", 1 + len(merged))
    else:
        changes |= {"outcome": Outcome.ANSWERED, "reason": f"with {claim.id}"}
    if merged:
        tx.run_for_each(_CHANGE_OPEN, [{**changes, "row": other} for other in merged])
    return UserId(row.user_id), row.shown_as


def postpone(tx: Tx, claim: Claim, due: float, error: str, notice: Sequence[PlannedPart]) -> None:
    """End a claim until `due`, and plan the notice, if any. Raises LeaseLost, also when it is called again."""
    changes = {"due": due, "owner": None, "lease_until": 0, "failures": claim.failures + 1, "error": error}
    changes["updated_at"] = tx.now
    if notice:
        changes["noticed_at"] = tx.now
    row = _change_claimed(tx, claim, changes)
    plan_notice(tx, claim.message.platform, UserId(row.user_id), notice, claim)


def record_shown(tx: Tx, claim: Claim, message_id: str) -> None:
    """Note the message in which the answer grows. Raises LeaseLost."""
    _change_claimed(tx, claim, {"shown_as": message_id, "updated_at": tx.now})


def retry_postponed(tx: Tx, platform: Platform, most: int | None) -> int:
    """Make postponed messages due, at most `most`, those with the fewest failures first; returns how many."""
    is_postponed = (inbound.c.platform == platform) & (inbound.c.failures > 0) & (inbound.c.due > tx.now)
    rows = select(inbound.c.id).where(is_postponed, is_open(inbound)).order_by(inbound.c.failures, inbound.c.id)
    chosen = update(inbound).where(inbound.c.id.in_(rows.limit(most)), is_open(inbound))
    return int(tx.run(chosen.values(due=tx.now, updated_at=tx.now)).rowcount)


def count_unusable(tx: Tx, claim: Claim, unusable: UnusableAnswers) -> None:
    """Add answers that were paid for in vain to a message and to the totals, whichever server holds the claim now."""
    platform, count = claim.message.platform, inbound.c.unusable + unusable.count
    tx.run(update(inbound).where(inbound.c.id == claim.id).values(unusable=count, updated_at=tx.now))
    tx.count(platform, "unusable_answers", unusable.count)
    tx.count(platform, "unusable_cost_usd", unusable.cost_usd)


def _change_claimed(tx: Tx, claim: Claim, changes: dict[str, Any]) -> Row[Any]:
    """Change a claimed message; owner and attempts are the fencing token. Its user, and how its answer is shown."""
    fence = {"row": claim.id, "claimer": claim.owner, "fence": claim.attempts}
    row = tx.run(_CHANGE_CLAIMED, {**changes, **fence}).first()
    if row is None:
        raise LeaseLost(f"message {claim.id} is no longer ours")
    return cast("Row[Any]", row)
