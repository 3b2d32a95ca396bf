"""An answer has the id of its inbound message, as it is in the logs, and the provider's id of its generation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("conversations", sa.Column("request_id", sa.Text(), nullable=True))
    op.add_column("conversations", sa.Column("generation_id", sa.Text(), nullable=True))
    known = sa.text("request_id IS NOT NULL")
    op.create_index(
        "conversations_request", "conversations", ["request_id"], sqlite_where=known, postgresql_where=known
    )
