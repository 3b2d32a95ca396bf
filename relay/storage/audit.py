"""What operators did, when, and by which login: rows that are only ever added."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from relay.core.messages import Platform, UserId
from relay.storage.queries import plain
from relay.storage.schema import audit
from relay.storage.transactions import Tx


def record(
    tx: Tx, who: str, action: str, platform: Platform | None = None, user_id: UserId | None = None, detail: str = ""
) -> None:
    """Add an entry; without `who` the act was not an operator's, and nothing is added."""
    if who:
        row = {"at": tx.now, "who": who, "action": action, "platform": platform, "user_id": user_id, "detail": detail}
        tx.run(audit.insert(), row)


def newest(connection: Connection, limit: int, before: int | None = None) -> list[dict[str, Any]]:
    """The newest entries first; `before` is the id of one to page back from."""
    chosen = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(audit.c.id < before)
    return [plain(row, *row._fields) for row in connection.execute(chosen)]
