"""An inbound message counts the answers that were paid for and could not be used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("inbound", sa.Column("unusable", sa.Integer(), server_default="0", nullable=False))
