"""A message in a group has the member who wrote it, for whom limits are counted; of old messages that is unknown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("inbound", sa.Column("sender", sa.Text(), nullable=True))
    op.create_index(
        "inbound_sender",
        "inbound",
        ["platform", "sender", "received_at"],
        unique=False,
        sqlite_where=sa.text("sender IS NOT NULL"),
        postgresql_where=sa.text("sender IS NOT NULL"),
    )
