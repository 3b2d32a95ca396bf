"""Maintenance inside a transaction: all rows of one user, old rows, import, and consistency checks.

`relay.storage.files` has the work on files: backup, restore, and reading old databases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    delete,
    false,
    func,
    inspect,
    literal,
    select,
    text,
    true,
    update,
)

from relay.core.messages import Platform, UserId, UserState
from relay.core.parts import OPEN_PART_STATES
from relay.storage.parts import LOST
from relay.storage.prepared import Prepared, Upsert
from relay.storage.queries import PRUNED_MESSAGES, plain
from relay.storage.schema import (
    audit,
    broadcast_people,
    charges,
    conversations,
    counters,
    delivery_events,
    inbound,
    indexed_parts,
    is_open,
    metadata,
    outbound,
    users,
)
from relay.storage.transactions import Tx, of_user

DAY = 86_400.0
_OLD_PLATFORM = Platform("sms")
"""The platform of an imported sms_users.db, which is older than the other channels."""

MIN_DAYS_KEPT = 2.0
"""Finished rows are needed to recognise repeated deliveries; Telegram repeats for a day."""

PRUNED_AT_ONCE = 1000
"""Rows looked through, and at most deleted, in one transaction, during which SQLite can store no message."""

PRUNED: Final[dict[str, tuple[Table, Any, Any]]] = {
    "inbound": (inbound, inbound.c.state.in_(("done", "dead", "held")), inbound.c.finished_at),
    "outbound": (outbound, outbound.c.state.not_in(OPEN_PART_STATES), outbound.c.updated_at),
    "delivery_events": (delivery_events, true(), delivery_events.c.received_at),
    "conversations": (conversations, true(), conversations.c.timestamp),
}
"""The tables that are pruned, with the condition of finished rows and the time by which they are old."""

_ADD_MESSAGE = Prepared(conversations.insert().inline())
_ADD_USER = Upsert(users, lambda row: row.on_conflict_do_nothing().returning(users.c.user_id))


@dataclass(frozen=True, slots=True)
class OldUser:
    """A user of an old `sms_users.db`, with the number already in E.164. Messages are (role, message, timestamp)."""

    user_id: UserId
    name: str | None
    created_at: float
    updated_at: float
    messages: tuple[tuple[str, str, float], ...]


def export_user(connection: Connection, platform: Platform, user_id: UserId) -> dict[str, Any] | None:
    """All rows about a user as JSON values, by table; None when there are none."""
    tables = {
        "user": users,
        "conversations": conversations,
        "inbound": inbound,
        "audit": audit,
        "charges": charges,
        "broadcast_people": broadcast_people,
    }
    found: dict[str, Any] = {
        name: _rows(connection, select(table).where(of_user(table, platform, user_id)))
        for name, table in tables.items()
    }
    theirs = select(outbound).where(of_user(outbound, platform, user_id))
    parts = {
        row.id: row
        for which in indexed_parts()
        for row in connection.execute(theirs.where(which).order_by(outbound.c.id))
    }
    found["outbound"] = [plain(parts[key], *parts[key]._fields) for key in sorted(parts)]
    part_ids = [row["part_id"] for row in found["outbound"]]
    statuses = select(delivery_events).where(delivery_events.c.part_id.in_(part_ids))
    found["delivery_events"] = _rows(connection, statuses)
    return found if any(found.values()) else None


def _rows(connection: Connection, chosen: Select[Any]) -> list[dict[str, Any]]:
    return [plain(row, *row._fields) for row in connection.execute(chosen)]


_FORGOTTEN = "(This was about a user who has been forgotten.)"


def forget_user(tx: Tx, platform: Platform, user_id: UserId) -> dict[str, int]:
    """Delete every row about a user; the number of rows by table. All-time totals of deliveries stay."""
    user = tx.run(select(users).where(of_user(users, platform, user_id))).first()
    parts = _parts_of(tx, platform, user_id)
    ids = [part.part_id for part in parts]
    theirs = delivery_events.c.part_id.in_(ids)
    removed = {"delivery_events": tx.run(delete(delivery_events).where(theirs)).rowcount if ids else 0}
    removed["outbound"] = _delete(tx, outbound, outbound.c.part_id.in_(ids)) if ids else 0
    for table in (inbound, conversations, audit, charges, broadcast_people, users):
        removed[table.name] = _delete(tx, table, of_user(table, platform, user_id))
    _blank_notices(tx, platform, user_id)
    for part in parts:
        if part.state in OPEN_PART_STATES:
            tx.count(platform, f"part:{part.state}", -1)
    tx.count(platform, "messages", -removed["conversations"])
    if user is not None and user.name is not None:
        tx.count(platform, "users", -1)
    return removed


def _blank_notices(tx: Tx, platform: Platform, user_id: UserId) -> None:
    """Replace what notices to operators quote of a user, here and in the operators' histories."""
    about = outbound.c.about == f"{platform} {user_id}"
    replies = tx.run(select(outbound.c.reply_id).where(about)).scalars().all()
    if not replies:
        return
    tx.run(update(outbound).where(about).values(text=_FORGOTTEN, source=_FORGOTTEN, about=None))
    tx.run(update(conversations).where(conversations.c.reply_id.in_(replies)).values(message=_FORGOTTEN))


def _parts_of(tx: Tx, platform: Platform, user_id: UserId) -> list[Row[Any]]:
    """All parts of a user."""
    theirs = select(outbound.c.part_id, outbound.c.state).where(of_user(outbound, platform, user_id))
    found = (tx.run(theirs.where(which).order_by(outbound.c.id)).all() for which in indexed_parts())
    return list({part.part_id: part for rows in found for part in rows}.values())


def oldest_kept(now: float, older_than_days: float) -> float:
    """The moment before which finished rows are pruned."""
    return now - max(older_than_days, MIN_DAYS_KEPT) * DAY


def next_rows(connection: Connection, name: str, before: float, after_row: int, most: int) -> list[tuple[int, bool]]:
    """The ids of the next `most` rows, and whether each is finished and older than `before`; open rows never are."""
    table, is_finished, moment = PRUNED[name]
    is_old = func.coalesce(is_finished & (moment < before), false())
    chosen = select(table.c.id, is_old).where(table.c.id > after_row).order_by(table.c.id).limit(most)
    return [(row, bool(old)) for row, old in connection.execute(chosen)]


def delete_rows(tx: Tx, name: str, before: float, rows: Sequence[int]) -> int:
    """Delete those of these rows that are still old and finished; their number."""
    table, is_finished, moment = PRUNED[name]
    which = table.c.id.in_(rows) & is_finished & (moment < before)
    if table is not conversations:
        return _delete(tx, table, which)
    # Counted as they are deleted: on PostgreSQL two servers may prune the same rows.
    deleted = tx.run(delete(table).where(which).returning(conversations.c.platform, conversations.c.user_id)).all()
    for (platform, user_id), count in Counter(map(tuple, deleted)).items():
        tx.count_messages(platform, user_id, -count)
        tx.count(platform, PRUNED_MESSAGES, count)
    return len(deleted)


def _delete(tx: Tx, table: Table, which: ColumnElement[bool]) -> int:
    """Delete rows; their number. Failures that go with them count as dealt with: no list shows them any more."""
    chosen = delete(table).where(which)
    if table is outbound:
        gone = tx.run(chosen.returning(outbound.c.platform, outbound.c.state, outbound.c.dismissed_at)).all()
        for row in gone:
            tx.count(row.platform, "dismissed_parts", row.state in LOST and row.dismissed_at is None)
        return len(gone)
    if table is inbound:
        gone = tx.run(chosen.returning(inbound.c.platform, inbound.c.state)).all()
        for row in gone:
            tx.count(row.platform, "dead_letters", -(row.state == "dead"))
        return len(gone)
    return int(tx.run(chosen).rowcount)


def delete_parts(tx: Tx, which: ColumnElement[bool]) -> None:
    """Delete the finished parts among these, with their delivery statuses."""
    finished = which & ~is_open(outbound)
    theirs = select(outbound.c.part_id).where(finished)
    tx.run(delete(delivery_events).where(delivery_events.c.part_id.in_(theirs)))
    _delete(tx, outbound, finished)


def import_users(tx: Tx, people: Iterable[OldUser]) -> dict[str, int]:
    """Add the users of an old database; users who exist already keep name and history. Numbers by kind."""
    taken = {"users": 0, "conversations": 0, "known_already": 0}
    for old in people:
        user = {"platform": _OLD_PLATFORM, "user_id": old.user_id}
        profile = {
            "name": old.name,
            "state": UserState.ACTIVE if old.name else UserState.NEW,
            "message_count": len(old.messages),
            "created_at": old.created_at,
            "updated_at": old.updated_at,
            "last_message_at": old.messages[-1][2] if old.messages else old.updated_at,
        }
        if tx.run(_ADD_USER, {**user, **profile}).first() is None:
            taken["known_already"] += 1
            continue
        messages = [
            {**user, "role": role, "message": message, "timestamp": moment, "in_context": True}
            for role, message, moment in old.messages
        ]
        if messages:
            tx.run_for_each(_ADD_MESSAGE, messages)
        tx.count(_OLD_PLATFORM, "messages", len(messages))
        tx.count(_OLD_PLATFORM, "users", 1 if old.name else 0)
        taken["users"] += 1
        taken["conversations"] += len(messages)
    return taken


def problems(connection: Connection) -> list[str]:
    """A sentence for each inconsistency; reads every row once."""
    if gaps := missing(connection):
        return gaps
    found: list[str] = []
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("PRAGMA integrity_check")).scalars().all()
        found += [f"the file is damaged: {row}" for row in rows if row != "ok"]
    kept = {(row.platform, row.name): round(row.value) for row in connection.execute(select(counters))}
    counted, lower_bounds = _recount(connection), _accepted_segments(connection)
    recounted = {"users", "messages", *(f"part:{state}" for state in OPEN_PART_STATES)}
    for platform, name in sorted({*counted, *lower_bounds, *kept}):
        key = platform, name
        says = f"{platform}: the counter {name} says {kept.get(key, 0)}, the rows say"
        if name in recounted and kept.get(key, 0) != counted.get(key, 0):
            found.append(f"{says} {counted.get(key, 0)}")
        if kept.get(key, 0) < lower_bounds.get(key, 0):
            found.append(f"{says} {lower_bounds[key]} or more")
    is_user = (conversations.c.platform == users.c.platform) & (conversations.c.user_id == users.c.user_id)
    messages = select(func.count()).select_from(conversations).where(is_user).scalar_subquery()
    wrong = select(users.c.platform, users.c.user_id).where(users.c.message_count != messages)
    found += [f"{row.platform}: the message count of {row.user_id} is wrong" for row in connection.execute(wrong)]
    return found


def missing(connection: Connection) -> list[str]:
    """Tables and columns that the newest revision has and this database has not."""
    found, inspector = [], inspect(connection)
    for table in metadata.sorted_tables:
        if not inspector.has_table(table.name):
            found.append(f"the table {table.name} is missing: restore a backup")
            continue
        names = {column["name"] for column in inspector.get_columns(table.name)}
        found += [f"the column {column} is missing" for column in table.c if column.name not in names]
    return found


def _recount(connection: Connection) -> dict[tuple[str, str], int]:
    """The counters of users, messages and open parts as the rows have them, by platform and name."""
    named = select(users.c.platform, literal("users"), func.count()).where(users.c.name.is_not(None))
    messages = select(conversations.c.platform, literal("messages"), func.count())
    states = select(outbound.c.platform, literal("part:") + outbound.c.state, func.count()).where(is_open(outbound))
    grouped = (
        named.group_by(users.c.platform),
        messages.group_by(conversations.c.platform),
        states.group_by(outbound.c.platform, outbound.c.state),
    )
    return {(row[0], row[1]): row[2] for chosen in grouped for row in connection.execute(chosen)}


def _accepted_segments(connection: Connection) -> dict[tuple[str, str], int]:
    """Lower bounds of the counters of segments, which include rows that were pruned or sent again."""
    accepted = select(outbound.c.platform, func.sum(outbound.c.segments)).where(outbound.c.accepted_at.is_not(None))
    return {(row[0], "segments"): row[1] for row in connection.execute(accepted.group_by(outbound.c.platform))}
