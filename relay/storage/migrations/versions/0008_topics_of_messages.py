"""A message of the history has the topic of its chat; old ones, whose topic is unknown, stay outside every topic."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("conversations", sa.Column("topic", sa.Text(), nullable=True))
