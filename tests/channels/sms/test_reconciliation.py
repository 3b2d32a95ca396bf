"""Texts without a report are fetched from Twilio, the oldest first, and each at ever longer intervals."""

from __future__ import annotations

from typing import Any

import pytest

from relay.channels.sms.reconciliation import MAX_FETCHED, YOUNGEST_SECONDS, Reconciliation
from relay.channels.sms.spec import SMS
from relay.channels.whatsapp.spec import WHATSAPP
from relay.core.messages import PartId, Platform
from relay.core.parts import DeliveryEvent, PartState

NOW = 1_000_000.0


class Texts:
    """Accepted texts, by age in seconds; those in `known` have a state at Twilio."""

    def __init__(self, ages: dict[str, float], known: tuple[str, ...] = (), platform: Platform = SMS) -> None:
        self.now = NOW
        self._platform = platform
        self._accepted = {sid: NOW - age for sid, age in ages.items()}
        self._known = known
        self.fetched: list[str] = []
        self.recorded: list[str] = []

    async def parts_without_status(self, platform: str, after: float, before: float) -> list[tuple[PartId, str, float]]:
        assert platform == self._platform
        found = [(PartId(sid), sid, at) for sid, at in self._accepted.items() if after <= at <= before]
        return [one for one in sorted(found, key=lambda one: one[2]) if one[1] not in self.recorded]

    async def fetch(self, part_id: PartId, sid: str) -> DeliveryEvent | None:
        self.fetched.append(sid)
        return (
            DeliveryEvent(self._platform, sid, PartState.DELIVERED, self.now, part_id) if sid in self._known else None
        )

    async def record(self, event: DeliveryEvent) -> bool:
        self.recorded.append(event.provider_id)
        return True

    def reconciliation(self) -> Reconciliation:
        store: Any = self
        return Reconciliation(self._platform, store, self.fetch, self.record, clock=lambda: self.now)


@pytest.mark.parametrize("platform", [SMS, WHATSAPP])
async def test_a_lost_report_is_made_up_for(platform: Platform) -> None:
    """The state counts like that of a callback; a young text is given time."""
    ages = {"old": 2000.0, "queued": 1500.0, "young": YOUNGEST_SECONDS - 60}
    texts = Texts(ages, known=("old", "young"), platform=platform)
    task = texts.reconciliation()
    await task.once()
    assert (texts.fetched, texts.recorded) == (["old", "queued"], ["old"])
    texts.now += 300
    await task.once()
    assert texts.fetched == ["old", "queued", "young"]
    texts.now += 1200
    await task.once()
    assert texts.fetched == ["old", "queued", "young", "queued"]


async def test_one_round_fetches_a_few_only() -> None:
    """The others follow in the next rounds."""
    texts = Texts({f"SM{number}": 2000.0 + number for number in range(MAX_FETCHED + 5)})
    task = texts.reconciliation()
    await task.once()
    await task.once()
    assert len(texts.fetched) == len(set(texts.fetched)) == MAX_FETCHED + 5


async def test_what_is_too_old_is_left_alone() -> None:
    """Twilio knows no more about it."""
    texts = Texts({"SM1": 10 * 86_400.0}, known=("SM1",))
    await texts.reconciliation().once()
    assert texts.fetched == []
