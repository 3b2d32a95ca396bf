"""What every channel of the registry keeps, from its webhook to its provider: `tests/channels/contract.py` says how."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib import import_module

import pytest
from _pytest.mark import ParameterSet

from relay.channels.registry import FOLDERS
from relay.core.messages import SILENT_STATES, UserState
from relay.core.parts import PartState
from tests.channels.contract import (
    MODEL_TEXT,
    RETRY_AFTER_SECONDS,
    Act,
    ChannelContract,
    Row,
    RunningChannel,
    running_channel,
)

CONTRACTS: tuple[ChannelContract, ...] = tuple(
    import_module(f"tests.channels.{name}.contract").CONTRACT for name in FOLDERS
)
"""One of each channel, in the order of the registry."""

TESTED: set[Row] = set()
"""Rows that a test of this module runs; tests/repository/test_contracts.py requires all of them."""

LONG = 3600.0
"""Seconds within which everything is repeated that will be."""


def rows(*chosen: Row) -> pytest.MarkDecorator:
    """Run a test with these rows of every channel that has them."""
    TESTED.update(chosen)

    def cases() -> Iterator[ParameterSet]:
        for contract in CONTRACTS:
            for row in chosen:
                if row not in contract.not_applicable:
                    yield pytest.param(contract, row, id=f"{contract.channel.platform}-{row}")

    return pytest.mark.parametrize(("contract", "row"), list(cases()))


@pytest.fixture
async def running(
    contract: ChannelContract, row: Row, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningChannel]:
    """The server of the channel; `row` is here so that tests of one row need not name it."""
    del row
    async with running_channel(contract, sqlite_url, monkeypatch) as started:
        yield started


# -- what comes in -----------------------------------------------------------------------------------------------------


@rows(Row.TEXT, Row.MEDIA, Row.EDITED, Row.KEYWORD, Row.TOO_LONG)
async def test_a_message_is_stored_and_answered_as_its_kind_asks_for(running: RunningChannel, row: Row) -> None:
    """Acknowledged when it is stored; the model is asked about text alone, and what it answers is sent once."""
    payload = running.contract.payloads[row]
    assert (await running.post(payload.body)).status_code == 200
    columns = ("external_id", "user_id", "json_extract(body, '$.text')", "json_extract(body, '$.kind')")
    assert running.inbound(*columns) == [(payload.external_id, running.contract.user, payload.text, payload.kind)]
    await running.idle()
    assert running.inbound("state", "outcome") == [("done", payload.outcome)]
    assert len(running.questions()) == (row is Row.TEXT)
    assert [send.to for send in running.provider.sends] == [running.contract.user] * payload.replies
    assert payload.reply is None or {send.text for send in running.provider.sends} == {payload.reply}
    states = [(running.contract.accepted_state, provider_id) for provider_id in running.provider.taken]
    assert running.parts("state", "provider_id") == states
    assert running.user_state() == payload.user_state


@rows(Row.TEXT)
async def test_the_answer_of_the_model_is_what_is_sent(running: RunningChannel) -> None:
    """And the model was given the text of the user."""
    payload = running.contract.payloads[Row.TEXT]
    await running.post(payload.body)
    await running.idle()
    assert [send.text for send in running.provider.sends] == [MODEL_TEXT]
    assert payload.text.encode() in running.questions()[0]


@rows(Row.REPEAT)
async def test_a_repeated_message_is_answered_once(running: RunningChannel) -> None:
    """Whether the repetition comes before the answer or after it, and it is acknowledged all the same."""
    payload = running.contract.payloads[Row.TEXT]
    for _ in range(2):
        assert (await running.post(payload.body)).status_code == 200
    await running.idle()
    assert (await running.post(payload.body)).status_code == 200
    await running.pass_by(LONG)
    assert running.inbound("external_id") == [(payload.external_id,)]
    assert (len(running.questions()), len(running.provider.sends)) == (1, 1)


@rows(Row.GARBAGE)
async def test_what_cannot_be_parsed_is_a_dead_letter(running: RunningChannel) -> None:
    """A success, so that the provider does not repeat it; kept raw, once; the next message is answered."""
    payload = running.contract.payloads[Row.GARBAGE]
    for _ in range(2):
        assert (await running.post(payload.body)).status_code == 200
    await running.idle()
    [(state, outcome, raw, error)] = running.inbound("state", "outcome", "raw", "error")
    assert (state, outcome) == ("dead", "not understood")
    assert raw
    assert error
    assert running.provider.sends == []
    await running.post(running.contract.payloads[Row.TEXT].body)
    await running.idle()
    assert [send.text for send in running.provider.sends] == [MODEL_TEXT]


# -- what goes out -----------------------------------------------------------------------------------------------------


async def ask(running: RunningChannel) -> None:
    """A message that the model answers, up to the first attempt to send the answer."""
    assert (await running.post(running.contract.payloads[Row.TEXT].body)).status_code == 200
    await running.until(lambda: len(running.provider.sends) > 0)


@pytest.mark.parametrize("takeover", [False, True])
@rows(Row.TEXT)
async def test_a_message_by_hand_silences_the_ai_when_it_takes_over(running: RunningChannel, takeover: bool) -> None:
    """A script's notice changes nothing; an operator who takes over is not talked over."""
    if running.contract.introduction is None:
        await running.write_first()
    assert (await running.send_by_hand("by hand", takeover=takeover)).status_code == 202
    assert (await running.post(running.contract.payloads[Row.TEXT].body)).status_code == 200
    await running.idle()
    assert [send.text for send in running.provider.sends] == ["by hand", *([] if takeover else [MODEL_TEXT])]
    assert len(running.questions()) == (0 if takeover else 1)


@rows(Row.BLOCKED)
async def test_a_user_who_blocked_us_is_not_written_to(running: RunningChannel) -> None:
    """The part fails at once, the user's state changes, and an operator's message is refused."""
    running.provider.acts.append(running.contract.refusals[Row.BLOCKED])
    await ask(running)
    await running.idle()
    [(state, code)] = running.parts("state", "error_code")
    assert state == "failed"
    assert code
    assert UserState(running.user_state()) in SILENT_STATES
    refused = await running.send_by_hand("Are you there?")
    assert (refused.status_code, set(refused.json())) == (409, {"error", "hint"})
    await running.pass_by(LONG)
    assert len(running.provider.sends) == 1


@rows(Row.RATE_LIMITED)
async def test_a_rate_limited_part_is_sent_when_the_provider_allows_it(running: RunningChannel) -> None:
    """The refusal is certain (BUSY), so the part is sent again without a lookup, not before Retry-After, and once."""
    running.provider.acts.append(running.contract.refusals[Row.RATE_LIMITED])
    await ask(running)
    await running.until(lambda: running.parts("state") == [("planned",)])
    assert (await running.counted_sends())["busy"] == 1
    await running.pass_by(LONG)
    first, second = running.provider.sends
    assert second.at - first.at >= RETRY_AFTER_SECONDS
    assert running.parts("state", "provider_id", "resends") == [(*running.accepted(), 0)]


@rows(Row.SERVER_ERROR, Row.TIMEOUT)
async def test_a_part_of_unknown_outcome_is_sent_once_more(running: RunningChannel, row: Row) -> None:
    """The provider may have it (OutcomeUnknown); it has not, which a lookup shows where there is one."""
    running.provider.acts.append(Act.HANG if row is Row.TIMEOUT else running.contract.refusals[row])
    await ask(running)
    await running.until(lambda: running.parts("state") == [("unknown",)])
    assert (await running.counted_sends())["unknown"] == 1
    await running.pass_by(LONG)
    assert [send.text for send in running.provider.sends] == [MODEL_TEXT] * 2
    assert running.parts("state", "provider_id", "resends") == [(*running.accepted(), 1)]


@rows(Row.CUT_AFTER_ACCEPTANCE)
async def test_a_part_that_was_taken_without_an_answer_is_not_sent_again_and_again(running: RunningChannel) -> None:
    """With a lookup it is found and never repeated; without one it is repeated once, and the user is told at most."""
    running.provider.acts.extend([Act.CUT, Act.CUT])
    await ask(running)
    await running.pass_by(LONG)
    texts = [send.text for send in running.provider.sends]
    if running.server.service.supports_lookup:
        assert texts == [MODEL_TEXT]
        assert running.parts("state", "provider_id", "resends") == [(*running.accepted(), 0)]
    else:
        first, second, notice = texts
        assert first == second == MODEL_TEXT
        assert "may not have reached you" in notice
        assert running.parts("state", "resends") == [("failed", 1), (running.contract.accepted_state, 0)]


# -- what the provider reports later -----------------------------------------------------------------------------------


@rows(Row.STATUS_EARLY)
@pytest.mark.parametrize("ending", [Act.HOLD, Act.HOLD_AND_CUT])
async def test_a_status_may_come_before_the_answer_to_the_send(running: RunningChannel, ending: Act) -> None:
    """It is kept when the answer comes after it, and decides the outcome when none comes: no resend."""
    running.provider.acts.append(ending)
    await ask(running)
    assert (await running.report(PartState.DELIVERED)).status_code == 200
    running.provider.released.set()
    await running.pass_by(LONG)
    assert running.parts("state", "provider_id", "resends") == [("delivered", running.accepted()[1], 0)]
    assert len(running.provider.sends) == 1


@rows(Row.STATUS_LATE)
async def test_a_status_moves_an_accepted_part_on(running: RunningChannel) -> None:
    """In the order that the provider documents."""
    await ask(running)
    await running.idle()
    assert running.parts("state", "provider_id") == [running.accepted()]
    for state in (PartState.SENT, PartState.DELIVERED):
        assert (await running.report(state)).status_code == 200
        assert running.parts("state") == [(state,)]
    await running.pass_by(LONG)
    assert len(running.provider.sends) == 1


@rows(Row.STATUS_TWICE)
async def test_a_repeated_status_counts_once(running: RunningChannel) -> None:
    """One row, one count, and no second send."""
    await ask(running)
    await running.idle()
    for _ in range(2):
        assert (await running.report(PartState.DELIVERED)).status_code == 200
    await running.pass_by(LONG)
    assert running.rows("SELECT state, applied FROM delivery_events") == [("delivered", 1)]
    assert running.rows("SELECT value FROM counters WHERE name = 'delivery_events'") == [(1,)]
    assert running.parts("state") == [("delivered",)]
    assert len(running.provider.sends) == 1


@rows(Row.STATUS_CONTRADICTING)
@pytest.mark.parametrize("other", [PartState.SENT, PartState.UNDELIVERED, PartState.FAILED])
async def test_a_final_state_stays(running: RunningChannel, other: PartState) -> None:
    """A lower or another final status after it is acknowledged and changes neither part nor user."""
    await ask(running)
    await running.idle()
    for state in (PartState.DELIVERED, other):
        assert (await running.report(state)).status_code == 200
    await running.pass_by(LONG)
    assert running.parts("state") == [("delivered",)]
    assert running.user_state() == UserState.ACTIVE
    assert len(running.provider.sends) == 1
