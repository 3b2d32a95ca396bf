"""A part has the address of ours that it is sent from; parts without a delivery status are found by an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("outbound", sa.Column("sender", sa.Text(), nullable=True))
    op.create_index(
        "outbound_accepted",
        "outbound",
        ["platform", "accepted_at"],
        unique=False,
        sqlite_where=sa.text("state = 'accepted'"),
        postgresql_where=sa.text("state = 'accepted'"),
    )
