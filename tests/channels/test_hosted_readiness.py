"""GET /ready of a program that hosts a second channel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request

from relay.channels.server import ready_of_all


class _Server:
    """One channel's answer to the question whether it is ready."""

    def __init__(self, **state: Any) -> None:
        self._state = state

    async def readiness(self) -> dict[str, Any]:
        return self._state


@pytest.mark.parametrize(
    ("host", "hosted", "expected"),
    [
        (_Server(ready=True, at="host"), _Server(ready=True, at="hosted"), {"ready": True, "at": "host"}),
        (
            _Server(ready=True, at="host"),
            _Server(ready=False, reason="no webhook", at="hosted"),
            {"ready": False, "reason": "no webhook", "at": "host"},
        ),
        (
            _Server(ready=False, reason="the database hangs"),
            _Server(ready=False, reason="no webhook"),
            {"ready": False, "reason": "the database hangs"},
        ),
    ],
)
async def test_the_reason_is_that_of_the_channel_that_is_not_ready(
    host: _Server, hosted: _Server, expected: dict[str, Any]
) -> None:
    """The operator reads why, whichever channel it is."""
    app = SimpleNamespace(state=SimpleNamespace(servers={"host": host, "hosted": hosted}))
    assert await ready_of_all(Request({"type": "http", "app": app})) == expected
