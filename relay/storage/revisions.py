"""Alembic revisions: brings the tables of a database to the newest one, and writes a new one for a changed schema.

`python -m relay.storage.revisions NAME` (`make migration`) writes the revision; docs/MIGRATIONS.md describes the way.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, text

from relay.core.errors import StorageError

_FOLDER = Path(__file__).parent / "migrations"


def revisions() -> list[str]:
    """The numbers of all revisions in order, from the names of the files, which needs no Alembic."""
    return sorted(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def migrate(connection: Connection) -> None:
    """Bring the tables to the newest revision within the caller's transaction, which must hold the lock.

    Raises StorageError when a newer version made the tables.
    """
    found = _revision(connection)
    if found == revisions()[-1]:
        return
    # Alembic costs 10 MB and a quarter of a second, and is needed only on the day of a migration.
    from alembic import command  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    try:
        command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        raise StorageError(
            f"revision {found} of the database is unknown here: it was made by a newer version"
        ) from error


def alembic_config(connection: Connection | None = None) -> Any:
    """Alembic's configuration for these revisions; env.py runs on the connection."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    row: Any = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return str(row[0]) if row else None


def write_revision(name: str) -> None:
    """Write the revision that brings the newest tables to those of `relay.storage.schema`; Alembic prints its path."""
    from alembic import command  # noqa: PLC0415

    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        migrate(connection)
        number = f"{int(revisions()[-1]) + 1:04}"
        command.revision(alembic_config(connection), name, autogenerate=True, rev_id=number)
    engine.dispose()


if __name__ == "__main__":
    write_revision(" ".join(sys.argv[1:]))
