"""The rows of broadcasts: who may get one and why others do not, who has got it, and how far it is.

A person is added by a row with a unique key, in the transaction that plans the parts, so whatever is killed when, no
person gets a broadcast twice. A person whose hours have not begun is added with the time at which they do, and planned
then; so the broadcast goes through its people once, whatever their time zones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, case, delete, func, literal, select, update

from relay.core.broadcast import Audience, Broadcast, BroadcastState, HoursBegin, PlanForName
from relay.core.messages import BARRED, SILENT_STATES, Platform, ReplyId, UserId, UserState
from relay.core.parts import Origin, PartState
from relay.core.person_settings import PAUSED_UNTIL
from relay.core.text import timestamp
from relay.storage import audit
from relay.storage.parts import cancel_parts
from relay.storage.planning import plan_parts
from relay.storage.prepared import Upsert
from relay.storage.queries import plain
from relay.storage.schema import broadcast_people, broadcasts, in_states, is_open, outbound, users
from relay.storage.transactions import Tx, of_user

MAX_COUNTED: Final = 20_000
"""People of a broadcast whose deliveries are counted for its page; beyond, counting would take too long."""

MAX_LOOKED_AT: Final = 100
"""People who are planned, or whose hours are looked up, in one transaction."""

PREFIX: Final = 5
"""Characters of a number by which its price and time zone are known: + and country code, with the area code for North
America."""

_WAITS = broadcast_people.c.due.is_not(None)
_ADD_PERSON = Upsert(
    broadcast_people,
    lambda row: row.on_conflict_do_update(
        index_elements=["broadcast_id", "user_id"],
        set_={"due": row.excluded.due, "planned_at": row.excluded.planned_at},
        where=_WAITS,
    ).returning(broadcast_people.c.broadcast_id),
)
"""Adds a person, or changes one who waits; no row when they were planned already."""
_ADD = Upsert(broadcasts, lambda row: row.on_conflict_do_nothing().returning(broadcasts.c.id))


# -- who ---------------------------------------------------------------------------------------------------------------


def why_not(audience: Audience, now: float) -> ColumnElement[Any]:
    """Why a user gets no broadcast, in words; NULL for those who get it."""
    state, last = users.c.state, users.c.last_message_at
    reasons: list[tuple[ColumnElement[bool], str]] = [
        (state == UserState.STOPPED, "opted out"),
        (state == UserState.BLOCKED, "blocked the bot"),
        (state == UserState.UNREACHABLE, "cannot be reached"),
        (last.is_(None), "never wrote"),
        (users.c.settings[BARRED].as_boolean().is_(True), "blocked by you"),
        (users.c.settings[PAUSED_UNTIL].as_float() > now, "paused by you"),
        (state == UserState.PAUSED, "taken for a machine"),
    ]
    if audience.group_prefix:
        reasons.append((users.c.user_id.startswith(audience.group_prefix), "a group"))
    if audience.blocklist:
        reasons.append((users.c.user_id.in_(list(audience.blocklist)), "on the blocklist"))
    if audience.allowlist:
        reasons.append((users.c.user_id.not_in(list(audience.allowlist)), "not on the allowlist"))
    if audience.reply_seconds is not None:
        reasons.append((last <= now - audience.reply_seconds, "wrote too long ago for the provider"))
    if audience.wrote_after is not None:
        reasons.append((last < audience.wrote_after, "did not write lately"))
    return case(*((condition, literal(reason)) for condition, reason in reasons), else_=None)


def count_audience(connection: Connection, audience: Audience, now: float) -> dict[str | None, int]:
    """How many users of the channel get a broadcast, under None, and how many do not, by the reason."""
    reason = why_not(audience, now).label("reason")
    named = select(reason).where(users.c.platform == audience.platform).subquery()
    counted = select(named.c.reason, func.count().label("people")).group_by(named.c.reason)
    return {row.reason: row.people for row in connection.execute(counted)}


def numbers_by_prefix(connection: Connection, audience: Audience, now: float) -> list[tuple[str, int]]:
    """One address for each beginning of those who get it, and how many have that: enough for prices and time zones."""
    beginning = func.substr(users.c.user_id, 1, PREFIX)
    theirs = (users.c.platform == audience.platform) & why_not(audience, now).is_(None)
    found = select(func.min(users.c.user_id), func.count()).where(theirs).group_by(beginning)
    return [(address, count) for address, count in connection.execute(found)]


def sample_of_names(connection: Connection, audience: Audience, now: float, most: int) -> list[str | None]:
    """The names of at most `most` of those who get it, None for those without one."""
    theirs = (users.c.platform == audience.platform) & why_not(audience, now).is_(None)
    return list(connection.execute(select(users.c.name).where(theirs).limit(most)).scalars())


# -- the broadcasts ----------------------------------------------------------------------------------------------------


def start(tx: Tx, who: str, platform: Platform, **values: Any) -> int | None:
    """Add a running broadcast and record it; its id, None when one of this `form` exists on the channel already.

    values: form, text, wrote_after, beyond_caps, hours, people, usd: the last two as estimated.
    """
    row = {**values, "platform": platform, "who": who, "state": BroadcastState.RUNNING}
    added = tx.run(_ADD, {**row, "created_at": tx.now, "updated_at": tx.now}).first()
    if added is None:
        return None
    detail = f"number {added.id} to {values['people']} people: {values['text'][:200]}"
    audit.record(tx, who, "broadcast", platform, None, detail)
    return int(added.id)


def running(connection: Connection, platform: Platform, now: float) -> Broadcast | None:
    """The oldest running broadcast of a channel of which not everybody who is left waits for their hours."""
    theirs = (broadcasts.c.platform == platform) & in_states(broadcasts, BroadcastState.RUNNING)
    chosen = select(broadcasts).where(theirs, broadcasts.c.due <= now).order_by(broadcasts.c.id)
    row = connection.execute(chosen.limit(1)).first()
    if row is None:
        return None
    return Broadcast(row.id, Platform(row.platform), row.text, row.wrote_after, row.beyond_caps, row.hours)


def count_due_parts(connection: Connection, platform: Platform, now: float, most: int) -> int:
    """How many parts of a channel could be sent now, at most `most`."""
    due = is_open(outbound) & (outbound.c.user_id >= "") & (outbound.c.due <= now)
    found = select(outbound.c.id).where(outbound.c.platform == platform, due).limit(most).subquery()
    return int(connection.execute(select(func.count()).select_from(found)).scalar_one())


def plan_next(
    tx: Tx, broadcast_id: int, audience: Audience, plan: PlanForName, most: int, begin: HoursBegin
) -> list[UserId] | None:
    """Plan a broadcast for at most `most` more people whose hours have begun, and record them; these people.

    None when it does not run, when all who are left wait for their hours, or when no person is left: then it is done.
    """
    row = _locked(tx, broadcast_id)
    if row is None or row.state != BroadcastState.RUNNING:
        return None
    waited = _whose_hours_began(tx, row, audience)
    found = waited or _next_people(tx, row, audience)
    if not found:
        due = tx.run(_waiting(broadcast_id).with_only_columns(func.min(broadcast_people.c.due))).scalar()
        state = BroadcastState.DONE if due is None else BroadcastState.RUNNING
        _change(tx, broadcast_id, state=state, due=due or 0.0)
        return None
    planned, last = _plan_in_their_hours(tx, row, found, plan, most, begin)
    cursor = {} if waited else {"last_user": last}
    _change(tx, broadcast_id, planned=row.planned + len(planned), **cursor)
    return planned


def _waiting(broadcast_id: int) -> Select[Any]:
    """The people of a broadcast who wait for their hours."""
    return select(broadcast_people).where(broadcast_people.c.broadcast_id == broadcast_id, _WAITS)


def _whose_hours_began(tx: Tx, row: Row[Any], audience: Audience) -> Sequence[str]:
    """Some of those who waited for their hours until now; who may not get it any more is deleted."""
    theirs = (users.c.platform == audience.platform) & (users.c.user_id == broadcast_people.c.user_id)
    may_get_it = select(users.c.user_id).where(theirs, why_not(audience, tx.now).is_(None)).exists().label("may_get_it")
    began = _waiting(row.id).where(broadcast_people.c.due <= tx.now).order_by(broadcast_people.c.due)
    chosen = began.with_only_columns(broadcast_people.c.user_id, may_get_it).limit(MAX_LOOKED_AT)
    while found := tx.run(chosen).all():
        gone = [user_id for user_id, may in found if not may]
        mine = broadcast_people.c.broadcast_id == row.id
        tx.run(delete(broadcast_people).where(mine, broadcast_people.c.user_id.in_(gone)))
        if left := [user_id for user_id, may in found if may]:
            return left
    return ()


def _next_people(tx: Tx, row: Row[Any], audience: Audience) -> Sequence[str]:
    """The next of those who may get it, in the order of their addresses."""
    has_it = select(broadcast_people.c.user_id).where(
        broadcast_people.c.broadcast_id == row.id, broadcast_people.c.user_id == users.c.user_id
    )
    left = (users.c.platform == audience.platform) & (users.c.user_id > row.last_user) & ~has_it.exists()
    known = users.c.created_at <= row.created_at
    chosen = select(users.c.user_id).where(left, known, why_not(audience, tx.now).is_(None))
    found: Sequence[str] = tx.run(chosen.order_by(users.c.user_id).limit(MAX_LOOKED_AT)).scalars().all()
    return found


def _plan_in_their_hours(
    tx: Tx, row: Row[Any], found: Sequence[str], plan: PlanForName, most: int, begin: HoursBegin
) -> tuple[list[UserId], str]:
    """Plan for at most `most` of these people, and let those wait whose hours have not begun.

    For whom, and up to which of these people: the others are not decided yet.
    """
    planned: list[UserId] = []
    for user_id in map(UserId, found):
        due = begin(user_id, tx.now)
        if due > tx.now:
            tx.run(_ADD_PERSON, {**_key(row, user_id), "planned_at": tx.now, "due": due})
        elif _plan_for(tx, row, user_id, plan):
            planned.append(user_id)
        if len(planned) == most:
            break
    return planned, user_id


def _plan_for(tx: Tx, row: Row[Any], user_id: UserId, plan: PlanForName) -> bool:
    """Plan the parts for one person, unless they have opted out or were planned meanwhile."""
    platform = Platform(row.platform)
    user = tx.locked_user(platform, user_id)
    if user is None or user.state in SILENT_STATES:
        return False
    if tx.run(_ADD_PERSON, {**_key(row, user_id), "planned_at": tx.now, "due": None}).first() is None:
        return False
    reply_id = plan_parts(tx, platform, user_id, plan(user.name), Origin.BROADCAST, None).reply_id
    mine = (broadcast_people.c.broadcast_id == row.id) & (broadcast_people.c.user_id == user_id)
    tx.run(update(broadcast_people).where(mine).values(reply_id=reply_id))
    return True


def _key(row: Row[Any], user_id: UserId) -> dict[str, Any]:
    return {"broadcast_id": row.id, "platform": row.platform, "user_id": user_id}


def stop(tx: Tx, broadcast_id: int, reason: str, who: str = "") -> bool:
    """Stop a running broadcast and cancel its parts that were not sent; False when it does not run.

    People of whom nothing was sent get it when it goes on.
    """
    row = _locked(tx, broadcast_id)
    if row is None or row.state != BroadcastState.RUNNING:
        return False
    unsent = _cancel(tx, row)
    changes = {"last_user": "", "due": 0.0, "planned": row.planned - unsent} if unsent else {}
    _change(tx, broadcast_id, state=BroadcastState.STOPPED, reason=reason, **changes)
    audit.record(tx, who, "stop the broadcast", Platform(row.platform), None, f"number {broadcast_id}")
    return True


def _cancel(tx: Tx, row: Row[Any]) -> int:
    """Cancel the planned parts of a broadcast, and delete the people who got nothing; how many."""
    theirs = select(broadcast_people.c.reply_id).where(broadcast_people.c.broadcast_id == row.id)
    waiting = is_open(outbound) & (outbound.c.platform == row.platform) & (outbound.c.user_id >= "")
    chosen = select(outbound.c.user_id, outbound.c.reply_id).where(waiting, outbound.c.origin == Origin.BROADCAST)
    found = tx.run(chosen.where(outbound.c.reply_id.in_(theirs)).order_by(outbound.c.user_id)).all()
    replies = {one.reply_id: one.user_id for one in found}
    for user_id in replies.values():
        tx.locked_user(Platform(row.platform), UserId(user_id))
    cancel_parts(tx, outbound.c.reply_id.in_(list(replies)), "the broadcast was stopped")
    return sum(_delete_unsent(tx, row.id, ReplyId(reply_id)) for reply_id in replies)


def _delete_unsent(tx: Tx, broadcast_id: int, reply_id: ReplyId) -> int:
    """Delete the person of a reply of which nothing was accepted, or is under way; 1 if so."""
    left = (outbound.c.reply_id == reply_id) & (
        (outbound.c.state != PartState.CANCELED) | outbound.c.accepted_at.is_not(None)
    )
    if tx.run(select(outbound.c.id).where(left).limit(1)).first() is not None:
        return 0
    person = (broadcast_people.c.broadcast_id == broadcast_id) & (broadcast_people.c.reply_id == reply_id)
    return int(tx.run(delete(broadcast_people).where(person)).rowcount)


def resume(tx: Tx, broadcast_id: int, who: str, *, beyond_caps: bool) -> bool:
    """Let a stopped broadcast go on; False when it is not stopped."""
    row = _locked(tx, broadcast_id)
    if row is None or row.state != BroadcastState.STOPPED:
        return False
    beyond = row.beyond_caps or beyond_caps
    _change(tx, broadcast_id, state=BroadcastState.RUNNING, reason=None, beyond_caps=beyond)
    audit.record(tx, who, "go on with the broadcast", Platform(row.platform), None, f"number {broadcast_id}")
    return True


def _locked(tx: Tx, broadcast_id: int) -> Row[Any] | None:
    found: Row[Any] | None = tx.run(select(broadcasts).where(broadcasts.c.id == broadcast_id).with_for_update()).first()
    return found


def _change(tx: Tx, broadcast_id: int, **values: Any) -> None:
    tx.run(update(broadcasts).where(broadcasts.c.id == broadcast_id).values(**values, updated_at=tx.now))


# -- what operators see ------------------------------------------------------------------------------------------------


def deliveries(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """How many people of a broadcast there are by the state of their first part, and the cost; reads all of them.

    waiting: how many wait for their hours, at most MAX_COUNTED, and waits_until: when these begin for the first.
    """
    waiting = _waiting(row.id).order_by(broadcast_people.c.due).limit(MAX_COUNTED).subquery()
    count, first = connection.execute(select(func.count(), func.min(waiting.c.due)).select_from(waiting)).one()
    waits = {"waiting": count, "waits_until": timestamp(first)}
    if row.planned > MAX_COUNTED:
        return {**waits, "states": {}, "spent_usd": None}
    theirs = broadcast_people.c.reply_id == outbound.c.reply_id
    found = (
        select(outbound.c.state, func.sum(case((outbound.c.number == 1, 1), else_=0)), func.sum(outbound.c.cost_usd))
        .select_from(broadcast_people.join(outbound, theirs))
        .where(broadcast_people.c.broadcast_id == row.id)
        .group_by(outbound.c.state)
    )
    counted = connection.execute(found).all()
    states = {state: int(people) for state, people, _ in counted if people}
    return {**waits, "states": states, "spent_usd": sum(usd or 0.0 for _, _, usd in counted)}


def newest(
    connection: Connection,
    platforms: Sequence[Platform],
    limit: int,
    count: Callable[[Connection, Row[Any]], dict[str, Any]] = deliveries,
) -> list[dict[str, Any]]:
    """The newest broadcasts, each with its deliveries, which `count` may remember."""
    chosen = select(broadcasts).where(broadcasts.c.platform.in_(platforms)).order_by(broadcasts.c.id.desc())
    rows = connection.execute(chosen.limit(limit)).all()
    return [{**_shown(row), **count(connection, row)} for row in rows]


def _shown(row: Row[Any]) -> dict[str, Any]:
    texts = plain(row, "id", "platform", "text", "who", "state", "reason", "beyond_caps", "hours")
    return {**texts, **plain(row, "people", "planned", "usd", "created_at", "updated_at")}


def sent_lately(connection: Connection, platform: Platform, text: str, since: float) -> bool:
    """Whether a broadcast with the same text was begun on the channel since then."""
    same = (broadcasts.c.platform == platform) & (broadcasts.c.text == text) & (broadcasts.c.created_at >= since)
    return connection.execute(select(broadcasts.c.id).where(same).limit(1)).first() is not None


# -- people ------------------------------------------------------------------------------------------------------------


def move_person(tx: Tx, platform: Platform, old: UserId, new: UserId) -> None:
    """Give what a person got to their new address, which counts as having got what either got."""
    has = select(broadcast_people.c.broadcast_id).where(of_user(broadcast_people, platform, new))
    theirs = of_user(broadcast_people, platform, old)
    tx.run(delete(broadcast_people).where(theirs, broadcast_people.c.broadcast_id.in_(has)))
    tx.run(update(broadcast_people).where(theirs).values(user_id=new))
