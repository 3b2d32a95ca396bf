"""When a broadcast is sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("broadcasts", sa.Column("hours", sa.Text(), server_default="", nullable=False))
