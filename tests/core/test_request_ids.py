"""One id of each inbound message is in all that is logged about it, and stored with its answer."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from relay.config.logs import REQUEST_ID, TextLines
from relay.core.errors import ModelError, ModelFailure, SendError, SendFailure
from relay.core.messages import Answer
from relay.storage.schema import conversations, inbound
from tests.core.harness import BOB, NewRelay, RelayHarness


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the server logs, formatted as it is written."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(TextLines("%H:%M:%S"))
    logger = logging.getLogger("relay.core")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(before)


async def ids(relay: RelayHarness) -> list[str]:
    return [f"sms-{row}" for (row,) in await relay.rows(inbound, "id")]


def about(log: io.StringIO, request_id: str) -> list[str]:
    return [line.partition("] ")[2] for line in log.getvalue().splitlines() if f"[{request_id}] " in line]


async def test_the_story_of_a_message_is_found_by_its_id(relay: RelayHarness, log: io.StringIO) -> None:
    """Failures of the model and of sending, the answer, its parts; another user's message has another id."""
    named = Answer("first|second", "m", "openai", request_id="as asked", generation_id="gen-42")
    relay.model.script.extend([ModelError(ModelFailure.UNAVAILABLE, "away"), named])
    relay.channel.script.append(SendError(SendFailure.BUSY, "429", "slowly", retry_after=1))
    await relay.receive("hello")
    await relay.idle()
    for _ in range(8):
        await relay.advance(5)
    await relay.receive("hi", from_=BOB)
    await relay.idle()
    first, second = await ids(relay)
    lines = about(log, first)
    assert "no answer from the model" in lines[0]
    assert "answered by m (openai), generation gen-42" in lines
    assert any("slowly" in line for line in lines)
    assert [line for line in lines if "was accepted as" in line][-1].startswith("part 2 of 2")
    assert [line.partition(" ")[0] for line in about(log, second)] == ["answered", "part"]
    stored = await relay.rows(conversations, "role", "request_id", "generation_id")
    assert ("assistant", "as asked", "gen-42") in stored
    assert REQUEST_ID.get() == ""


async def test_messages_with_one_answer_are_found_by_each_id(new_relay: NewRelay, log: io.StringIO) -> None:
    """The one that was claimed names the others."""
    relay = await new_relay(merge_messages=True, merge_window_seconds=5)
    await relay.receive("one", "two")
    await relay.until(lambda: relay.clock.sleeping(5) > 0)
    await relay.advance(5)
    first, second = await ids(relay)
    assert f"it is the answer to {second} as well" in about(log, first)
