"""A part has the language of what the channel shows with it in our own words, such as on the buttons below it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("outbound", sa.Column("language", sa.Text(), nullable=True))
