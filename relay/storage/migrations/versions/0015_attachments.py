"""Messages have attachments: those of people with the history, those of an operator with the part that is sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("conversations", sa.Column("attachments", sa.JSON(), nullable=True))
    some = sa.text("attachments IS NOT NULL")
    op.create_index("conversations_attachments", "conversations", ["id"], sqlite_where=some, postgresql_where=some)
    op.add_column("outbound", sa.Column("media", sa.JSON(), nullable=True))
