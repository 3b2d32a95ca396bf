"""Users of a rare state are found by an index, so that listing them does not read all users of a channel."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"

_NOT_ACTIVE = sa.text("state <> 'active'")


def upgrade() -> None:
    columns = ["platform", "state", "last_message_at"]
    op.create_index("users_state", "users", columns, sqlite_where=_NOT_ACTIVE, postgresql_where=_NOT_ACTIVE)
