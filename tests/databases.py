"""Databases of tests, and what SQLAlchemy has compiled for them: prepared once for each process of pytest."""

from __future__ import annotations

import asyncio
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from relay.storage import sqlite_file
from relay.storage.engine import open_transactions
from relay.storage.schema import metadata


@cache
def _migrated_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        sqlite_file.SqliteFile(path, 60).prepare()
        return path.read_bytes()


def sqlite_in(folder: Path, name: str = "messages.db") -> str:
    """URL of an SQLite file, which is made migrated and empty unless it exists; a copy is quicker than migrations."""
    path = folder / name
    if not path.exists():
        path.write_bytes(_migrated_file())
    return f"sqlite:///{path}"


def migrated(url: str) -> str:
    """Bring a database to the newest revision; its URL."""

    async def migrate() -> None:
        transactions = open_transactions(url, 60)
        await transactions.prepare()
        transactions.close()

    asyncio.run(migrate())
    return url


def empty(engine: Engine) -> None:
    """Delete the rows of all tables, in one round trip."""
    with engine.connect() as connection:
        connection.exec_driver_sql("; ".join(f"DELETE FROM {table.name}" for table in metadata.sorted_tables))  # noqa: S608 (our own names)


class CompiledStatements(dict[tuple[Any, ...], Any]):
    """Compiled statements by the name of their dialect; SQLAlchemy keeps them by the dialect of one engine."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        dialect, *statement = key
        return super().get((dialect.name, *statement), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        dialect, *statement = key
        super().__setitem__((dialect.name, *statement), compiled)


def share_compiled_statements() -> None:
    """Have all engines of this process share what they compile: each test has engines of its own."""
    compiled = CompiledStatements()
    event.listen(Engine, "engine_connect", lambda connection: connection.execution_options(compiled_cache=compiled))


DURABLE = sqlite_file._PRAGMAS
"""How the product opens SQLite: each commit waits for the disk."""


def commit_without_the_disk() -> None:
    """Have SQLite in this process commit without waiting for the disk: no test cuts the power of its machine."""
    sqlite_file._PRAGMAS = (*DURABLE, "synchronous=OFF")  # type: ignore[assignment]  # (one more than there are)
