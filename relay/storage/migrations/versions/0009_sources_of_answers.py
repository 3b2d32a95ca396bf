"""An answer has the passages of documents that it was given; old answers have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("conversations", sa.Column("sources", sa.JSON(), nullable=True))
