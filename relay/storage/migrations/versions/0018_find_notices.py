"""The notices to operators about one user are found without reading all parts, when the user is forgotten or moves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    known = sa.text("about IS NOT NULL")
    op.create_index("outbound_about", "outbound", ["about"], sqlite_where=known, postgresql_where=known)
