"""Alembic's entry: runs on the connection it is given, inside the caller's transaction and lock."""

from __future__ import annotations

from alembic import context

from relay.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite can, Alembic only does not assume it
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
