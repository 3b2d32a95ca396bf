"""The bill of a day is read once its prices are there, by person, and once."""

# ruff: noqa: ARG002 (the arguments are those of the database)

from __future__ import annotations

from calendar import timegm
from typing import Any

import pytest

from relay.channels.sms.bills import Bills
from relay.channels.sms.spec import SMS
from relay.core.errors import SendError
from relay.core.http_client import open_http_client
from relay.core.messages import UserId
from sms_service import SmsService
from tests.channels.scripted_server import Reply, listening
from tests.channels.sms.scripted_twilio import listed, message, scripted_twilio
from tests.channels.sms.test_twilio_sending import settings_for

ANN, BEN = UserId("+12345678900"), UserId("+12345678901")
NOON = timegm((2026, 11, 27, 12, 0, 0))


class Recorder:
    """Remembers what was recorded, as the database does."""

    def __init__(self) -> None:
        self.bills: dict[str, Any] = {}
        self._state: Any = None

    async def read_state(self, platform: str, name: str) -> Any:
        return self._state

    async def set_state(self, platform: str, name: str, value: Any) -> None:
        self._state = value

    async def record_bill(self, platform: str, day: str, billed: Any) -> None:
        assert platform == SMS
        assert day not in self.bills
        self.bills[day] = billed


async def test_the_bill_of_a_day_is_recorded_once_when_it_is_rated() -> None:
    """Twelve hours after its end."""
    store: Any = Recorder()
    now = float(NOON - 1)

    async def fetch(day: str) -> dict[UserId, float]:
        return {ANN: float(len(day))}

    bills = Bills(store, fetch, clock=lambda: now)
    await bills.once()
    assert list(store.bills) == ["2026-11-25"]
    now += 1
    await bills.once()
    await bills.once()
    assert list(store.bills) == ["2026-11-25", "2026-11-26"]


async def test_a_bill_adds_up_both_directions_by_person() -> None:
    """Prices are negative numbers as text; what is not rated yet, or is in another currency, does not count."""
    async with listening(scripted_twilio()) as twilio, open_http_client() as http:
        service = SmsService(settings_for(twilio.base_url), http)
        of_ann = {"to": ANN, "from": "+15550100000", "price_unit": "USD"}
        twilio.script.append(
            listed(
                message(**of_ann, price="-0.0166"),
                message(**{**of_ann, "to": "+15550100000", "from": ANN}, direction="inbound", price="-0.0083"),
                message(**{**of_ann, "to": BEN}, price="-0.01"),
                message(**of_ann, price=None),
                message(**{**of_ann, "price_unit": "EUR"}, price="-5"),
            )
        )
        assert await service.fetch_bill("2026-11-26") == {ANN: pytest.approx(0.0249), BEN: pytest.approx(0.01)}
        assert twilio.requests[0].query["DateSent>"] == ["2026-11-26T00:00:00Z"]
        assert twilio.requests[0].query["DateSent<"] == ["2026-11-26T23:59:59Z"]
        twilio.script.extend([Reply(200, b"{}")] * 2)
        with pytest.raises(SendError):
            await service.fetch_bill("2026-11-26")
