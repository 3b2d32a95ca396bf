"""When the hours begin of people who wait for a broadcast, and when those of the first of a broadcast do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    op.add_column("broadcasts", sa.Column("due", sa.Double(), server_default="0", nullable=False))
    op.add_column("broadcast_people", sa.Column("due", sa.Double(), nullable=True))
    waits = sa.text("due IS NOT NULL")
    columns = ["broadcast_id", "due"]
    op.create_index("broadcast_people_waiting", "broadcast_people", columns, sqlite_where=waits, postgresql_where=waits)
