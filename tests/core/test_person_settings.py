"""What an operator sets for one person is obeyed by the channel, and by nobody else's conversation."""

from __future__ import annotations

from typing import Any

import pytest

from relay.channels.sms.spec import SMS
from relay.core.decisions import Decision
from relay.core.messages import LANGUAGE, InboundMessage, Limit, Outcome
from relay.core.parts import PlannedPart
from relay.core.person_settings import NOTE, PAUSED_UNTIL, PER_DAY, PER_MINUTE, SAFEGUARDS, PersonSettings
from relay.storage import listings
from relay.storage.schema import audit, inbound
from tests.core.harness import ANN, BOB, RelayHarness

HOUR = 3600.0


async def set_for(relay: RelayHarness, **changes: Any) -> bool:
    return await relay.database.set_for_person(SMS, ANN, changes, "this machine", "settings")


@pytest.mark.parametrize(("key", "reason"), [(PER_MINUTE, Limit.MINUTE), (PER_DAY, Limit.DAY)])
async def test_a_person_has_limits_of_their_own(relay: RelayHarness, key: str, reason: Limit) -> None:
    """The third message is told the limit, the fourth nothing; another person is answered as usual."""
    for person in (ANN, BOB):
        await relay.receive("hi", from_=person)
    await relay.idle()
    assert await set_for(relay, **{key: 2})
    await relay.receive("two", "three", "four")
    await relay.receive("two", "three", from_=BOB)
    await relay.idle()
    assert relay.channel.to(ANN)[:2] == ["re: hi", "re: two"]
    assert len(relay.channel.to(ANN)) == 3
    assert relay.channel.to(BOB) == ["re: hi", "re: two", "re: three"]
    reasons = [row for row in await relay.rows(inbound, "outcome", "reason") if row[1]]
    assert reasons == [(Outcome.TOLD, reason), (Outcome.SILENT, reason)]


async def test_a_pause_ends_by_itself(relay: RelayHarness) -> None:
    """What came meanwhile is kept and not answered; the first message after it is."""
    await relay.receive("hi")
    await relay.idle()
    assert await set_for(relay, **{PAUSED_UNTIL: relay.clock.now + HOUR})
    await relay.receive("hello?")
    await relay.idle()
    assert relay.channel.to(ANN) == ["re: hi"]
    assert (await relay.rows(inbound, "outcome", "reason"))[-1] == (Outcome.SILENT, "paused by the operator")
    await relay.advance(HOUR)
    await relay.receive("and now?")
    await relay.idle()
    assert relay.channel.to(ANN) == ["re: hi", "re: and now?"]


async def test_a_block_cancels_what_is_planned_and_not_what_a_person_wrote(relay: RelayHarness) -> None:
    """An answer that waits for its time is not sent; a message by hand is."""
    await relay.receive("hi")
    await relay.idle()
    await relay.outbox.workers.stop(0)
    await relay.receive("more")
    await relay.until(lambda: len(relay.model.prompts) == 2)
    await relay.conversation.workers.stop(1)
    await relay.database.plan_message(SMS, ANN, [PlannedPart("by hand", "by hand")])
    assert await set_for(relay, barred=True)
    assert await relay.part_states() == ["accepted", "canceled", "planned"]
    assert [text for _, text in await relay.history()] == ["hi", "re: hi", "more", "by hand"]


async def test_settings_are_kept_recorded_and_listed_with_the_person(relay: RelayHarness) -> None:
    """Only changes are recorded; what is set is part of the person in every list, and nothing of it for others."""
    for person in (ANN, BOB):
        await relay.receive("hi", from_=person)
    await relay.idle()
    for _ in range(2):
        await set_for(relay, **{NOTE: "pays late", PER_DAY: 5, LANGUAGE: "de"})
    assert await relay.rows(audit, "action", "user_id") == [("settings", ANN)]
    people = await relay.database.query(lambda c: listings.list_all_users(c, [SMS], "", 10, 0))
    (of_bob,) = [one for one in people if one["user_id"] == BOB]
    (of_ann,) = [one["by_operator"] for one in people if one["user_id"] == ANN]
    assert "by_operator" not in of_bob
    assert (of_ann["note"], of_ann["messages_per_day"], of_ann["language"]) == ("pays late", 5, "de")


async def test_who_is_forgotten_keeps_limits_and_loses_notes(relay: RelayHarness) -> None:
    """FORGET ME does not lift a block or a limit; notes and the language are about the person, and go."""
    await relay.receive("hi")
    await relay.idle()
    safe = {"barred": True, PAUSED_UNTIL: 5.0, PER_MINUTE: 1, PER_DAY: 2}
    assert set(safe) == SAFEGUARDS
    await set_for(relay, **safe, **{NOTE: "a note", LANGUAGE: "de"})
    wish = InboundMessage(SMS, "wish", ANN, "forget me", relay.clock.now)
    assert await relay.database.store_inbound(wish, "") is not None
    claim = await relay.database.claim_next_inbound(SMS, ANN)
    assert claim is not None
    await relay.database.complete_inbound(claim, Decision(forget=True), [])
    user = await relay.database.find_user(SMS, ANN)
    assert user is not None
    assert user.settings == safe
    assert PersonSettings.of(user.settings).note == ""
