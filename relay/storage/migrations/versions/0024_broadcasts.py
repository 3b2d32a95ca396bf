"""One text to many people: the broadcasts, and who was added to each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "broadcasts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("wrote_after", sa.Double(), nullable=True),
        sa.Column("beyond_caps", sa.Boolean(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("usd", sa.Double(), nullable=False),
        sa.Column("last_user", sa.Text(), nullable=False, server_default=""),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.UniqueConstraint("form", "platform", name="broadcasts_once"),
        sqlite_autoincrement=True,
    )
    is_running = sa.text("state = 'running'")
    op.create_index(
        "broadcasts_running", "broadcasts", ["platform", "id"], sqlite_where=is_running, postgresql_where=is_running
    )
    op.create_table(
        "broadcast_people",
        sa.Column("broadcast_id", sa.BigInteger(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("reply_id", sa.Text(), nullable=True),
        sa.Column("planned_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("broadcast_id", "user_id", name="broadcast_people_pk"),
    )
    op.create_index("broadcast_people_person", "broadcast_people", ["platform", "user_id"])
