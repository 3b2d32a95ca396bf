"""The rows of people inside a transaction: how they come to be, what changes them, how they move to a new address."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Row, delete, select, update

from relay.history import count_lines
from relay.messages import Decision, InboundMessage, Platform, UserId, UserState, storable
from relay.parts import cancel_parts
from relay.schema import conversations, inbound, outbound, users
from relay.transactions import Tx, of_person

SILENT_STATES = frozenset({UserState.STOPPED, UserState.BLOCKED, UserState.UNREACHABLE})
"""States in which nothing is sent to a person."""


def touch_user(tx: Tx, platform: Platform, user_id: UserId, **profile: str | None) -> None:
    """Make sure that the person has a row, and note what the platform tells about them."""
    known = {key: storable(value) for key, value in profile.items() if value}
    moment = {"last_message_at": tx.now} if profile else {}
    statement = tx.insert(users).values(
        platform=platform, user_id=user_id, state=UserState.NEW, created_at=tx.now, updated_at=tx.now, **moment, **known
    )
    key = ["platform", "user_id"]
    if moment:
        statement = statement.on_conflict_do_update(index_elements=key, set_={**moment, **known})
    else:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    tx.run(statement)


def change_user(tx: Tx, message: InboundMessage, decision: Decision) -> Row[Any] | None:
    """Apply what was decided about the person; the row after it, or None for somebody without a row."""
    row = tx.run(select(users).where(of_person(users, message.platform, message.user_id)).with_for_update()).first()
    if row is None:
        if decision.name is None and decision.state is None and not decision.say:
            return None
        touch_user(tx, message.platform, message.user_id)
        row = tx.run(select(users).where(of_person(users, message.platform, message.user_id))).one()
    changes: dict[str, Any] = {}
    if decision.name is not None:
        changes["name"] = storable(decision.name)
        if row.name is None:
            tx.count(message.platform, "users")
        if row.state == UserState.NEW:
            changes["state"] = UserState.ACTIVE
    if decision.state is not None:
        changes["state"] = decision.state
        if decision.state in SILENT_STATES:
            cancel_parts(tx, of_person(outbound, message.platform, message.user_id), f"the person is {decision.state}")
    if changes:
        changes["updated_at"] = tx.now
        tx.run(update(users).where(of_person(users, message.platform, message.user_id)).values(changes))
        row = tx.run(select(users).where(of_person(users, message.platform, message.user_id))).one()
    return cast("Row[Any]", row)


def move_person(tx: Tx, platform: Platform, old: UserId, new: UserId) -> None:
    old_row = tx.run(select(users).where(of_person(users, platform, old))).first()
    new_row = tx.run(select(users).where(of_person(users, platform, new))).first()
    if old_row is not None and new_row is None:
        tx.run(update(users).where(of_person(users, platform, old)).values(user_id=new, updated_at=tx.now))
    elif old_row is not None and new_row is not None:
        tx.run(delete(users).where(of_person(users, platform, old)))
        if old_row.name is not None:
            tx.count(platform, "users", -1)
        count_lines(tx, platform, new, old_row.message_count)
        tx.count(platform, "messages", -old_row.message_count)
    for table in (conversations, inbound, outbound):
        tx.run(update(table).where(of_person(table, platform, old)).values(user_id=new))
