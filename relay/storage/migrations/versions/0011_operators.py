"""A person may answer a user instead of the AI, failures may be dismissed, and what operators did is recorded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_LOST = "state IN ('failed', 'undelivered')"


def upgrade() -> None:
    op.add_column("users", sa.Column("human_since", sa.Double(), nullable=True))
    op.add_column("users", sa.Column("human_until", sa.Double(), nullable=True))
    _create_partial_index("users_human", "users", ["platform", "human_until"], "human_until IS NOT NULL")
    op.add_column("outbound", sa.Column("dismissed_at", sa.Double(), nullable=True))
    op.drop_index("outbound_trouble", "outbound")
    _create_partial_index("outbound_trouble", "outbound", ["platform", "id"], f"{_LOST} AND dismissed_at IS NULL")
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_person", "audit", ["platform", "user_id"])


def _create_partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
