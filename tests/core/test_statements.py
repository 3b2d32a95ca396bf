"""What one message costs the database: statements and write transactions, which is a count and no time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event

from relay.core.messages import InboundMessage
from tests.core.harness import ANN, NewRelay, RelayHarness

STORE = ["INSERT inbound", "INSERT users", "INSERT counters"]
CLAIM = ["UPDATE inbound"]
CONTEXT = ["SELECT conversations", "SELECT users", "SELECT inbound", "SELECT inbound"]
CONTINUED = ["SELECT inbound"]
COMPLETE = ["UPDATE inbound", "SELECT users", "INSERT conversations", "SELECT outbound"]
ANSWER = ["INSERT outbound", "INSERT conversations", "UPDATE users", "INSERT counters"]
BEGIN = ["SELECT outbound", "UPDATE outbound", "INSERT counters"]
ACCEPT = ["SELECT outbound", "UPDATE outbound", "INSERT counters"]


@contextmanager
def _statements() -> Iterator[list[str]]:
    """The statements of all engines meanwhile, each by its verb and its table; BEGIN is that of a writer."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        table = re.match(r"(?:INSERT INTO|UPDATE|SELECT.*\bFROM) (\w+)", statement, re.DOTALL)
        found.append(f"{statement.split(maxsplit=1)[0]} {table[1]}" if table else statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def _one_message(relay: RelayHarness, number: int) -> list[str]:
    message = InboundMessage(relay.platform, f"SM{number}", ANN, "a question", relay.clock.now)
    with _statements() as found:
        await relay.database.store_inbound(message, "raw")
        relay.conversation.workers.notify(ANN)
        await relay.idle()
    return found


@pytest.mark.parametrize("empty_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("rate_limited", "joins", "expected"),
    [
        (False, False, [STORE, CLAIM, [*COMPLETE, *ANSWER], ACCEPT]),
        (True, True, [STORE, CLAIM, [*COMPLETE, *ANSWER], BEGIN, ACCEPT]),
    ],
    ids=["as for SMS", "as for Telegram"],
)
async def test_one_answered_message_takes_few_statements(
    new_relay: NewRelay, expected: list[list[str]], *, rate_limited: bool, joins: bool
) -> None:
    """Each list is one write transaction; the reads are one of the context, and one where messages may be continued."""
    relay = await new_relay(rate_limited=rate_limited)
    relay.channel.joins_messages = joins
    await _one_message(relay, 1)  # the first success also removes the note of an earlier pause
    found = await _one_message(relay, 2)
    writes = [statement for transaction in expected for statement in ("BEGIN IMMEDIATE", *transaction)]
    reads = ["BEGIN", *CONTEXT] + (["BEGIN", *CONTINUED] if joins else [])
    place = len(STORE) + 1 + len(CLAIM) + 1
    assert found == writes[:place] + reads + writes[place:]


@pytest.mark.parametrize("empty_database", ["sqlite"], indirect=True)
async def test_waiting_messages_and_further_parts_are_claimed(new_relay: NewRelay) -> None:
    """None of them is left to the sweep, although the claim that would find nothing is left out."""
    relay = await new_relay()
    relay.model.script.extend(["one|two|three", "four"])
    await relay.receive("a", "b")
    await relay.idle()
    assert relay.channel.to(ANN) == ["one", "two", "three", "four"]


@pytest.mark.parametrize("empty_database", ["sqlite"], indirect=True)
async def test_a_message_stored_by_another_server_is_answered_without_the_sweep(new_relay: NewRelay) -> None:
    """It came while the model worked, and this server was not notified of it."""
    relay = await new_relay()

    async def meanwhile() -> str:
        message = InboundMessage(relay.platform, "SM-other", ANN, "by another server", relay.clock.now)
        await relay.database.store_inbound(message, "raw")
        return "first"

    relay.channel.joins_messages = False
    relay.model.script.append(meanwhile)
    await relay.receive("a")
    await relay.idle()
    assert relay.channel.to(ANN) == ["first", "re: by another server"]
