"""The index of the provider's ids has only parts that have one, so that no query of a platform alone can use it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.drop_index("outbound_provider", "outbound")
    op.create_index(
        "outbound_provider_id",
        "outbound",
        ["platform", "provider_id"],
        unique=False,
        sqlite_where=sa.text("provider_id IS NOT NULL"),
        postgresql_where=sa.text("provider_id IS NOT NULL"),
    )
