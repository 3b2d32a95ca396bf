"""The names of the people whom the rows of a page are about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from relay.storage import listings


def names_in(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The names of the users of these rows, by "platform address"; a row may have no user."""
    people = {(row["platform"], row["user_id"]) for row in rows if row["user_id"]}
    return {" ".join(who): name for who, name in listings.names_of(connection, people).items()}
