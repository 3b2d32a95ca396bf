"""Alembic's entry: runs on the connection it is given, inside the caller's transaction and lock."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from relay.storage.schema import Text, is_described, metadata


def _render(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Write our Text as SQLAlchemy's: a revision must not change when the product's own type does."""
    return "sa.Text()" if kind == "type" and isinstance(item, Text) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite can, Alembic only does not assume it
    render_as_batch=True,
    render_item=_render,
    include_name=is_described,
)
with context.begin_transaction():
    context.run_migrations()
