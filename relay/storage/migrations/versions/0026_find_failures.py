"""Failures are found by their person and by their code, and words in the search index by their beginning."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

_TROUBLE = sa.text("state IN ('failed', 'undelivered') AND dismissed_at IS NULL")


def upgrade() -> None:
    for name, column in (("outbound_trouble_user", "user_id"), ("outbound_trouble_code", "error_code")):
        key = ["platform", column, "id"]
        op.create_index(name, "outbound", key, sqlite_where=_TROUBLE, postgresql_where=_TROUBLE)
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE message_words_terms USING fts5vocab(message_words, 'instance')")
