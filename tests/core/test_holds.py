"""A sender that one country refuses: the parts to that country wait, those to other countries do not."""

from __future__ import annotations

import pytest

from relay.channels.sms.spec import SMS
from relay.core.errors import SendError, SendFailure
from relay.core.holds import LAST_SECONDS, TRIALS
from relay.core.messages import PartId, UserId
from relay.core.parts import DeliveryEvent, PartState
from relay.storage.queries import read_holds
from relay.storage.schema import outbound
from tests.core.harness import ANN, BOB, CAT, RelayHarness

UNREGISTERED = SendError(SendFailure.COUNTRY, "30034", "our number is not registered")
DAN, EVE = UserId("dan"), UserId("eve")
COUNTRIES = {ANN: "US", BOB: "US", DAN: "US", CAT: "GB"}


@pytest.fixture
def relay(relay: RelayHarness) -> RelayHarness:
    """Ann, Bob and Dan are in the United States, Cat is in Britain, and Eve has an address without a country."""
    relay.channel.countries = dict(COUNTRIES)
    return relay


async def ask(relay: RelayHarness, text: str, *users: UserId) -> None:
    for user in users:
        await relay.receive(text, from_=user)
        await relay.idle()


async def report(
    relay: RelayHarness, user: UserId, state: PartState = PartState.UNDELIVERED, code: str | None = "30034"
) -> None:
    """A status of the newest part that left to a user; without a code it is no refusal."""
    rows = await relay.rows(outbound, "part_id", "provider_id", "user_id")
    part_id, sid, _ = [row for row in rows if row[1] and row[2] == user][-1]
    failure = SendFailure.COUNTRY if code else None
    event = DeliveryEvent(
        SMS, sid, state, relay.clock.now, PartId(part_id), code, code and "no", failure=failure, user_id=user
    )
    assert await relay.outbox.record_status(event)


def held(relay: RelayHarness) -> list[str]:
    return [hold["country"] for hold in relay.outbox.holds.status()]


@pytest.mark.parametrize("by_status", [False, True], ids=["by the send", "by a status"])
async def test_a_refused_country_waits_and_no_other(relay: RelayHarness, by_status: bool) -> None:
    """One refusal is enough: others of the country are not tried, and everybody elsewhere is answered."""
    if not by_status:
        relay.channel.script.append(UNREGISTERED)
    await ask(relay, "/a", ANN)
    if by_status:
        await report(relay, ANN)
    sent = len(relay.channel.sent)
    await ask(relay, "/b", BOB, DAN, CAT, EVE)
    await relay.advance(TRIALS.first - 60)
    assert [user for user, _ in relay.channel.sent[sent:]] == [CAT, EVE]
    assert held(relay) == ["US"]
    assert relay.outbox.works
    assert await relay.rows(outbound, "state", "error_code") == [
        *[("planned", "30034")] * 3,
        *[("accepted", None)] * 2,
    ]


async def test_others_of_the_country_are_tried_before_the_refused_part(relay: RelayHarness) -> None:
    """One after each pause; while they are refused too, nothing else is spent on the country."""
    await ask(relay, "/a", ANN)
    await report(relay, ANN)
    await ask(relay, "/b", BOB, DAN)
    await relay.advance(TRIALS.first)
    assert relay.channel.sent[1:] == [(BOB, "did /b")]
    await report(relay, BOB)
    await relay.advance(TRIALS.first)
    assert len(relay.channel.sent) == 2
    await relay.advance(TRIALS.first)
    assert relay.channel.sent[2:] == [(DAN, "did /b")]
    await report(relay, DAN)
    await relay.advance(TRIALS.longest)
    await relay.advance(LAST_SECONDS * 2)
    assert relay.channel.sent[3:] == [(ANN, "did /a")]


@pytest.mark.parametrize("state", [PartState.DELIVERED, PartState.READ])
async def test_a_trial_that_arrives_ends_the_hold(relay: RelayHarness, state: PartState) -> None:
    """All that wait leave then, and the hold is gone from the database."""
    await ask(relay, "/a", ANN)
    await report(relay, ANN)
    await ask(relay, "/b", BOB, DAN)
    await relay.advance(TRIALS.first)
    await report(relay, BOB, state, None)
    await relay.advance(2)
    assert sorted(relay.channel.sent[2:]) == [(ANN, "did /a"), (DAN, "did /b")]
    assert not held(relay)
    assert not await relay.database.read_holds(SMS)


async def test_a_trial_that_was_sent_and_not_refused_until_the_next_is_proof(relay: RelayHarness) -> None:
    """Some carriers report no delivery; a refusal after "sent" still counts."""
    await ask(relay, "/a", ANN)
    await report(relay, ANN)
    await ask(relay, "/b", BOB, DAN)
    await relay.advance(TRIALS.first)
    await report(relay, BOB, PartState.SENT, None)
    assert held(relay) == ["US"]
    await relay.advance(TRIALS.first)
    await relay.advance(2)
    assert sorted(relay.channel.sent[2:]) == [(ANN, "did /a"), (DAN, "did /b")]
    assert not held(relay)


async def test_a_delivery_of_an_earlier_part_is_no_proof(relay: RelayHarness) -> None:
    """Its status came late; no part has left since the refusal."""
    await ask(relay, "/a", BOB, ANN)
    await report(relay, ANN)
    await report(relay, BOB, PartState.DELIVERED, None)
    assert held(relay) == ["US"]


async def test_one_refusal_amid_deliveries_concerns_its_user_alone(relay: RelayHarness) -> None:
    """It is tried again like any refused destination; a second user who is refused is the country."""
    await ask(relay, "/a", BOB)
    await report(relay, BOB, PartState.DELIVERED, None)
    await ask(relay, "/b", ANN)
    await report(relay, ANN)
    assert not held(relay)
    await ask(relay, "/c", BOB)
    assert relay.channel.to(BOB) == ["did /a", "did /c"]
    await report(relay, BOB)
    assert held(relay) == ["US"]


async def test_a_hold_outlasts_a_restart(relay: RelayHarness) -> None:
    """The process ends without a farewell; the next one spends nothing before the next trial."""
    await ask(relay, "/a", ANN)
    await report(relay, ANN)
    await relay.stop()
    relay.rebuild()
    await relay.start()
    await ask(relay, "/b", BOB)
    assert relay.channel.to(BOB) == []
    assert held(relay) == ["US"]
    await relay.advance(TRIALS.first)
    assert relay.channel.to(BOB) == ["did /b"]


async def test_an_operator_tries_a_part_and_the_others_follow_it(relay: RelayHarness) -> None:
    """Send now is the trial, of the chosen part: nothing else is spent when it is refused again."""
    await ask(relay, "/a", ANN)
    await report(relay, ANN)
    await ask(relay, "/b", BOB, DAN)
    ids = [part_id for (part_id,) in await relay.rows(outbound, "part_id")]
    await relay.database.repair("send-now", ids[1], "operator")
    await relay.advance(2)
    assert relay.channel.sent[1:] == [(BOB, "did /b")]
    await report(relay, BOB)
    await relay.database.repair("send-now", ids[2], "operator")
    await relay.advance(2)
    assert relay.channel.sent[2:] == [(DAN, "did /b")]
    await report(relay, DAN, PartState.DELIVERED, None)
    await relay.advance(2)
    assert sorted(relay.channel.sent[3:]) == [(ANN, "did /a"), (BOB, "did /b")]


async def test_what_waited_too_long_is_given_up_unsent(relay: RelayHarness) -> None:
    """An answer of yesterday is not sent when the registration is through."""
    await ask(relay, "/a", ANN)
    await report(relay, ANN)
    await ask(relay, "/b", BOB)
    for _ in range(26):
        await relay.advance(TRIALS.longest)
        for user in (ANN, BOB):
            rows = await relay.rows(outbound, "user_id", "state")
            if (user, "accepted") in rows:
                await report(relay, user)
    states = await relay.part_states()
    assert set(states) <= {"failed", "undelivered"}
    assert await relay.database.query(lambda c: read_holds(c, SMS))


async def test_a_clock_that_was_set_back_delays_no_trial(relay: RelayHarness) -> None:
    """A hold that seems to last longer than any is from before."""
    await ask(relay, "/a", ANN)
    await report(relay, ANN)
    relay.clock.set_back(2 * 3600.0)
    await ask(relay, "/b", BOB)
    await relay.advance(2)
    assert len(relay.channel.sent) == 2
