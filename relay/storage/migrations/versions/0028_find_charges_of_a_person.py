"""The costs of a person are found by an index, so that forgetting one does not read those of all."""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    op.create_index("charges_person", "charges", ["platform", "user_id"])
