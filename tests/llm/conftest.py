"""The upstream of most tests: it lists one model in every protocol and accepts any key; a test scripts its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.llm.scripted_upstream import Upstream, responds, scripted_upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with scripted_upstream() as found:
        found.on("/key", responds(200, {"data": {}}))
        found.on("/models", responds(200, {"data": [{"id": "scripted"}]}))
        found.on("/api/tags", responds(200, {"models": [{"name": "scripted:latest"}]}))
        yield found
