"""The transaction in which the verbs of the database run, and the conditions that their statements share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Executable, Row, bindparam, select, update
from sqlalchemy.exc import DBAPIError

from relay.core.errors import StorageError
from relay.core.messages import Platform, UserId
from relay.storage.prepared import Prepared, Upsert, Values
from relay.storage.schema import counters, users

T = TypeVar("T")


def of_user(table: Any, platform: Platform, user_id: UserId) -> Any:
    """The rows of one user."""
    return (table.c.platform == platform) & (table.c.user_id == user_id)


def of_bound_user(table: Any) -> Any:
    """The rows of one user, given by the parameters of `user_parameters`."""
    return (table.c.platform == bindparam("of_platform")) & (table.c.user_id == bindparam("of_user"))


def user_parameters(platform: Platform, user_id: UserId) -> dict[str, Any]:
    return {"of_platform": platform, "of_user": user_id}


_ADD_TO_COUNTER = Upsert(
    counters,
    lambda row: row.on_conflict_do_update(
        index_elements=["platform", "name"], set_={"value": counters.c.value + row.excluded.value}
    ),
)
_LOCKED_USER = Prepared(select(users).where(of_bound_user(users)).with_for_update())
_ADD_TO_MESSAGE_COUNT = Prepared(
    update(users)
    .where(of_bound_user(users))
    .values(message_count=users.c.message_count + bindparam("more"), updated_at=bindparam("moment"))
)


# -- one transaction ---------------------------------------------------------------------------------------------------


Work = Callable[["Tx"], T]
"""Short, synchronous and repeatable: after a rollback it may run again from the beginning."""


@dataclass(slots=True)
class Tx:
    """A running transaction: connection, time, and the changes of counters to write at its end.

    Rows are locked in the order inbox, user, outbox, counters, so that transactions do not deadlock on PostgreSQL.
    """

    connection: Connection
    now: float
    _counters: dict[tuple[Platform, str], float] = field(default_factory=lambda: defaultdict(float))
    _messages: dict[tuple[Platform, UserId], int] = field(default_factory=lambda: defaultdict(int))

    def run(self, statement: Prepared | Executable, values: Values | None = None) -> Any:
        """Run a statement; its rows."""
        if isinstance(statement, Prepared):
            return statement.run(self.connection, values or {})
        return self.connection.execute(statement, values)

    def run_for_each(self, statement: Prepared, values: Sequence[Values]) -> None:
        """Run a statement once for each of several values, which have the same names."""
        statement.run_for_each(self.connection, values)

    def count(self, platform: Platform, name: str, change: float = 1) -> None:
        self._counters[platform, name] += change

    def count_messages(self, platform: Platform, user_id: UserId, change: int) -> None:
        """Count messages added to the history of a user, or removed from it when `change` is negative."""
        self._messages[platform, user_id] += change
        self.count(platform, "messages", change)

    def locked_user(self, platform: Platform, user_id: UserId) -> Row[Any] | None:
        """The user's row, locked until the end of this transaction; None when there is none."""
        return cast("Row[Any] | None", self.run(_LOCKED_USER, user_parameters(platform, user_id)).first())

    def do(self, work: Work[T]) -> T:
        """Run a verb, and write the message counts of users, which the next verb may read."""
        result = work(self)
        for user, change in sorted(self._messages.items()):
            if change:
                self.run(_ADD_TO_MESSAGE_COUNT, {**user_parameters(*user), "more": change, "moment": self.now})
        self._messages.clear()
        return result

    def write_counters(self) -> None:
        """Write the changes of counters, last and in one order, so that transactions do not deadlock on them."""
        changes = [(*key, change) for key, change in sorted(self._counters.items()) if change]
        if changes:
            names = ("platform", "name", "value")
            self.run_for_each(_ADD_TO_COUNTER, [dict(zip(names, row, strict=True)) for row in changes])


def storage_error(error: BaseException) -> StorageError:
    """The database's error message in one line, without the statement and its values."""
    if isinstance(error, StorageError):
        return error
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(cause).strip().splitlines() or ["no detail"]
    return StorageError(f"{type(cause).__name__}: {lines[0]}")
