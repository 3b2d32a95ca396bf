"""What one message costs the database: statements and write transactions, which is a count and no time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import pytest
from sqlalchemy import Engine, event

from relay.core.messages import InboundMessage
from relay.core.parts import Receipt
from tests.core.harness import ANN, NewRelay, RelayHarness

STORE = ["INSERT inbound", "INSERT users", "INSERT counters"]
STORE_BILLED = ["INSERT inbound", "INSERT users", "INSERT charges", "INSERT counters"]
CLAIM = ["UPDATE inbound"]
CONTEXT = ["SELECT conversations", "SELECT users", "SELECT inbound", "SELECT inbound"]
SPENDING = ["SELECT counters"]
CONTINUED = ["SELECT inbound"]
COMPLETE = ["UPDATE inbound", "SELECT users", "INSERT conversations", "SELECT outbound"]
ANSWER = ["INSERT outbound", "INSERT conversations", "UPDATE users", "INSERT counters"]
BEGIN = ["SELECT outbound", "UPDATE outbound", "INSERT counters"]
ACCEPT = ["SELECT outbound", "UPDATE outbound", "INSERT counters"]
ACCEPT_BILLED = ["SELECT outbound", "INSERT charges", "UPDATE outbound", "INSERT counters"]
USD = 0.01


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
    cost = USD if relay.channel.is_billed else 0.0
    message = InboundMessage(relay.platform, f"SM{number}", ANN, "a question", relay.clock.now, cost_usd=cost)
    with _statements() as found:
        await relay.database.store_inbound(message, "raw")
        relay.conversation.workers.notify(ANN)
        await relay.idle()
    return found


async def _second_message(relay: RelayHarness) -> list[str]:
    await _one_message(relay, 1)  # the first success also removes the note of an earlier pause
    return await _one_message(relay, 2)


def _in_order(transactions: list[list[str]], reads: list[str]) -> list[str]:
    """All write transactions, and the reads after the first two of them."""
    written = [["BEGIN IMMEDIATE", *transaction] for transaction in transactions]
    return list(chain.from_iterable([*written[:2], reads, *written[2:]]))


@pytest.mark.parametrize("empty_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("rate_limited", "joins", "expected"),
    [
        (False, False, [STORE, CLAIM, [*COMPLETE, *ANSWER], ACCEPT]),
        (True, True, [STORE, CLAIM, [*COMPLETE, *ANSWER], BEGIN, ACCEPT]),
    ],
    ids=["for nothing", "as for Telegram"],
)
async def test_one_answered_message_takes_few_statements(
    new_relay: NewRelay, expected: list[list[str]], *, rate_limited: bool, joins: bool
) -> None:
    """Each list is one write transaction; the reads are one of the context, and one where messages may be continued."""
    relay = await new_relay(rate_limited=rate_limited)
    relay.channel.joins_messages = joins
    found = await _second_message(relay)
    assert found == _in_order(expected, ["BEGIN", *CONTEXT] + (["BEGIN", *CONTINUED] if joins else []))


@pytest.mark.parametrize("empty_database", ["sqlite"], indirect=True)
async def test_a_message_that_is_billed_takes_three_statements_more(new_relay: NewRelay) -> None:
    """As a text: what it costs is read with one statement, and written with what causes it."""
    relay = await new_relay()
    relay.channel.joins_messages, relay.channel.is_billed = False, True
    relay.channel.script.extend(Receipt(f"billed-{number}", cost_usd=USD) for number in (1, 2))
    found = await _second_message(relay)
    expected = [STORE_BILLED, CLAIM, [*COMPLETE, *ANSWER], ACCEPT_BILLED]
    assert found == _in_order(expected, ["BEGIN", *CONTEXT, *SPENDING])


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
