"""The cost of an answer that its user ended may be estimated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("conversations", sa.Column("estimated", sa.Boolean(), nullable=True))
