"""What messages cost: by person and day in a table of its own, and with each part."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "charges",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("segments_in", sa.Integer(), nullable=False),
        sa.Column("segments_out", sa.Integer(), nullable=False),
        sa.Column("media", sa.Integer(), nullable=False),
        sa.Column("usd", sa.Double(), nullable=False),
        sa.Column("billed_usd", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("platform", "day", "user_id", name="charges_pk"),
    )
    op.add_column("outbound", sa.Column("cost_usd", sa.Double(), nullable=True))
