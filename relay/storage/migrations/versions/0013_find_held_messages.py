"""The messages held for a user are found without reading those that were finished."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    held = sa.text("state = 'held'")
    op.create_index("inbound_held", "inbound", ["platform", "user_id", "id"], sqlite_where=held, postgresql_where=held)
