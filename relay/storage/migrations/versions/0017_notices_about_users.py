"""A notice to an operator has the user whom it is about, so that the operator may answer by replying to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("outbound", sa.Column("about", sa.Text(), nullable=True))
