"""Logins of the console, a row each: the hash of their cookie, when they end, when they were used last."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from relay.storage.schema import logins
from relay.storage.transactions import Tx

USE_SECONDS = 60.0
"""How exactly the last use is recorded: not with each request of a page that is open."""


def create_login(tx: Tx, login_id: str, seconds: float) -> None:
    """Add a login that ends after `seconds`, and delete those that have ended."""
    tx.run(delete(logins).where(logins.c.expires_at <= tx.now))
    values = {"created_at": tx.now, "expires_at": tx.now + seconds, "used_at": tx.now}
    tx.run(insert(logins).values(login_id=login_id, **values))


def find_login(connection: Connection, login_id: str, now: float) -> tuple[bool, bool]:
    """Whether there is such a login that has not ended, and whether its last use is recorded exactly enough."""
    valid = (logins.c.login_id == login_id) & (logins.c.expires_at > now)
    used_at = connection.execute(select(logins.c.used_at).where(valid)).scalar()
    return used_at is not None, used_at is not None and abs(now - used_at) <= USE_SECONDS


def record_use(tx: Tx, login_id: str) -> None:
    tx.run(update(logins).where(logins.c.login_id == login_id).values(used_at=tx.now))


def end_login(tx: Tx, login_id: str) -> None:
    tx.run(delete(logins).where(logins.c.login_id == login_id))
