"""Our sender transmits so many segments a second: a burst leaves at once, the rest waits where a STOP reaches it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from relay.channels.sms.spec import SMS
from relay.channels.sms.throughput import BURST_SECONDS, Throughput, segments_per_second
from relay.core.errors import SendError, SendFailure
from relay.core.messages import PartId, UserId
from relay.core.parts import Part
from sms_service import SmsService
from tests.settings import Settings

ACCOUNT = {"twilio_account_sid": "AC" + "1" * 32, "twilio_auth_token": "token"}
SERVICE_SID = "MG" + "0" * 32


class Time:
    """A clock that advances by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def part(text: str = "hello") -> Part:
    return Part(PartId("a" * 32), SMS, UserId("+12025550101"), 1, 1, text, None, None, 0.0, "me", 1, 2e9)


@pytest.mark.parametrize(
    ("changes", "rate"),
    [
        ({"twilio_phone_number": "+12345678900"}, 1.0),
        ({"twilio_phone_number": "+14165550100"}, 1.0),
        ({"twilio_phone_number": "+18335550100"}, 3.0),
        ({"twilio_phone_number": "+18225550100"}, 1.0),
        ({"twilio_phone_number": "68849"}, 100.0),
        ({"twilio_phone_number": "+447700900123"}, 10.0),
        ({"twilio_phone_number": "+491512345678"}, 10.0),
        ({"twilio_messaging_service_sid": SERVICE_SID}, None),
        ({"twilio_phone_number": "+12345678900", "twilio_messaging_service_sid": SERVICE_SID}, None),
        ({"twilio_phone_number": "+12345678900", "sms_segments_per_second": 4.5}, 4.5),
        ({"twilio_phone_number": "+12345678900", "sms_segments_per_second": 0}, None),
        ({"twilio_messaging_service_sid": SERVICE_SID, "sms_segments_per_second": 75}, 75.0),
    ],
)
def test_each_kind_of_sender_has_its_throughput(changes: dict[str, Any], rate: float | None) -> None:
    """Unless the settings name another, which they must for a Messaging Service."""
    assert segments_per_second(Settings(**ACCOUNT, **changes)) == rate


def test_the_simulator_sets_no_limit() -> None:
    """Try-out mode plays no carrier's queue."""
    assert segments_per_second(Settings().for_simulator()) is None


def test_a_burst_leaves_at_once_and_the_rest_at_the_rate() -> None:
    """A minute's worth is what Twilio's own queue may hold; no more is saved up in a quiet hour."""
    time = Time()
    bucket = Throughput(2.0, time)
    time.now += 3600
    most = int(2 * BURST_SECONDS)
    assert bucket.wait(most) == 0
    bucket.take(most)
    assert bucket.wait(1) == 0.5
    assert bucket.wait(6) == 3.0
    time.now += 3
    assert bucket.wait(6) == 0


def test_a_text_larger_than_a_burst_waits_for_a_whole_one() -> None:
    """It would wait for ever otherwise; those behind it wait for what it took."""
    time = Time()
    bucket = Throughput(0.1, time)
    bucket.take(1)
    assert bucket.wait(10) == pytest.approx(10)
    time.now += 10
    assert bucket.wait(10) == 0
    bucket.take(10)
    assert bucket.wait(1) == pytest.approx(50)


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    """What was left stays; from then on it grows again."""
    time = Time()
    bucket = Throughput(1.0, time)
    bucket.take(60)
    time.now -= 500
    assert bucket.wait(2) == 2
    time.now += 2
    assert bucket.wait(2) == 0


async def test_a_part_waits_for_its_segments_and_a_long_wait_is_put_back() -> None:
    """A text of three segments needs three seconds; a longer wait leaves the place to others, nothing sent."""
    time, settings = Time(), Settings(**ACCOUNT, twilio_phone_number="+12345678900")
    async with httpx.AsyncClient() as http:
        service = SmsService(settings, http, clock=time, sleep=time.sleep)
        assert service.rate_limited
        for _ in range(20):
            await service.wait_for_rate_limit(part("x" * 400))
        assert time.slept == []
        await service.wait_for_rate_limit(part("x" * 400))
        assert time.slept == [3.0]
        with pytest.raises(SendError) as raised:
            await service.wait_for_rate_limit(part("x" * 1000))
    assert (raised.value.kind, raised.value.retry_after) == (SendFailure.BUSY, 7.0)


async def test_without_a_limit_nothing_waits() -> None:
    """Twilio queues by itself."""
    time, settings = Time(), Settings(**ACCOUNT, twilio_messaging_service_sid=SERVICE_SID)
    async with httpx.AsyncClient() as http:
        service = SmsService(settings, http, clock=time, sleep=time.sleep)
        for _ in range(500):
            await service.wait_for_rate_limit(part("x" * 400))
    assert (service.rate_limited, time.slept) == (False, [])
