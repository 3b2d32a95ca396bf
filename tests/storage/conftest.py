"""The databases of the tests of the verbs: opened as several processes would, and closed after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from messaging_database import MessagingDatabase
from tests.storage.fixtures import Opener


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty, migrated database of either kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def opener() -> AsyncIterator[Callable[..., Awaitable[MessagingDatabase]]]:
    """Opens databases by URL, as one process each would, and closes them after the test."""
    opened = Opener()
    yield opened
    await opened.close()


@pytest.fixture
async def db(database_url: str, opener: Opener) -> MessagingDatabase:
    return await opener(database_url)
