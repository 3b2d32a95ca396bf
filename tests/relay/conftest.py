"""Towns for the tests of the relay: each on a database file of its own, closed after the test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.database_engine import open_transactions
from tests.relay.town import Found, Town


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file to copy."""
    path = tmp_path_factory.mktemp("town") / "empty.db"

    async def prepare() -> None:
        transactions = open_transactions(f"sqlite:///{path}", 8)
        await transactions.prepare()
        transactions.close()

    asyncio.run(prepare())
    return path


@pytest.fixture
async def found_town(empty_file: Path, tmp_path: Path) -> AsyncIterator[Found]:
    """Start a town, with settings of its own."""
    towns: list[Town] = []

    async def found(*, started: bool = True, **changes: Any) -> Town:
        file = tmp_path / f"town{len(towns)}.db"
        shutil.copy(empty_file, file)
        towns.append(Town(file, **changes))
        if started:
            await towns[-1].start()
        return towns[-1]

    yield found
    for town in towns:
        await town.conversation.lanes.stop(0)
        await town.outbox.lanes.stop(0)
        await town.database.stop()


@pytest.fixture
async def town(found_town: Found) -> Town:
    return await found_town()
