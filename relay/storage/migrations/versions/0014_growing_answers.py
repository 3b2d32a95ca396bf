"""An answer may grow in a message, be ended by its user and replace a message; a part may be a file or have buttons."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("inbound", sa.Column("shown_as", sa.Text(), nullable=True))
    op.add_column("inbound", sa.Column("stopped_at", sa.Double(), nullable=True))
    op.add_column("outbound", sa.Column("replaces", sa.Text(), nullable=True))
    op.add_column("outbound", sa.Column("stopped", sa.Boolean(), nullable=True))
    op.add_column("outbound", sa.Column("file_name", sa.Text(), nullable=True))
    op.add_column("outbound", sa.Column("buttons", sa.Text(), nullable=True))
