"""How many segments our sender transmits in a second, and when the next text may be given to Twilio.

Twilio queues what is sent faster, for up to ten hours: https://help.twilio.com/articles/115002943027. It is given as
much as it sends in a minute; the rest waits here, where users are served round robin and a STOP cancels it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from relay.channels.sms.senders import own_number
from relay.channels.sms.settings import SmsSettings

BURST_SECONDS: Final = 60.0
LONG_CODE, ABROAD, TOLL_FREE, SHORT_CODE = 1.0, 10.0, 3.0, 100.0
"""Segments a second: a number of the United States or Canada, of another country, a toll-free one, a short code."""

BROADCAST_SHARE: Final = 0.8
"""Of what our sender transmits; answers have the rest, so that they do not wait at Twilio."""

_TOLL_FREE = re.compile(r"\+18(?:00|33|44|55|66|77|88)\d{7}")


def segments_per_second(settings: SmsSettings) -> float | None:
    """The setting, or what such a sender may do; None without a limit, as for a Messaging Service and its pool."""
    if settings.sms_segments_per_second is not None:
        return settings.sms_segments_per_second or None
    number = own_number(settings)
    if settings.twilio_messaging_service_sid or number is None:
        return None
    if len(number.lstrip("+")) <= 8:
        return SHORT_CODE
    if _TOLL_FREE.fullmatch(number):
        return TOLL_FREE
    return LONG_CODE if number.startswith("+1") else ABROAD


def broadcasts_per_second(settings: SmsSettings) -> float:
    """How many segments a second a message to many may take."""
    return BROADCAST_SHARE * (segments_per_second(settings) or ABROAD)


class Throughput:
    """A token bucket of segments. Pure bookkeeping: clock and sleep are the caller's."""

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._clock = clock
        self._most = per_second * BURST_SECONDS
        self._left = self._most
        self._at = clock()

    def wait(self, segments: int) -> float:
        """Seconds until so many segments may be sent, 0 when they may now. More than a burst wait for a whole one."""
        self._refill()
        return max(0.0, min(segments, self._most) - self._left) / self._per_second

    def take(self, segments: int) -> None:
        """Count segments that are sent now."""
        self._refill()
        self._left -= segments

    def _refill(self) -> None:
        now = self._clock()
        seconds = max(0.0, now - self._at)  # the clock may have been set back
        self._left = min(self._most, self._left + seconds * self._per_second)
        self._at = now
