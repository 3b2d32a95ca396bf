"""All parts of a person and their delivery statuses are found by indexes, so that forgetting one does not grow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_index("delivery_events_part", "delivery_events", ["part_id"])
    left = sa.text("provider_id IS NULL AND state IN ('failed', 'canceled')")
    key = ["platform", "user_id", "id"]
    op.create_index("outbound_unsent", "outbound", key, sqlite_where=left, postgresql_where=left)
