"""The messages of a prompt have an index of their own, and inbound messages the time of their last change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index(
        "conversations_context",
        "conversations",
        ["platform", "user_id", "role", "id"],
        unique=False,
        sqlite_where=sa.text("in_context = 1"),
        postgresql_where=sa.text("in_context"),
    )
    op.add_column("inbound", sa.Column("updated_at", sa.Double(), nullable=True))
