"""Hours of a week, such as "Mon-Fri 9:00-17:30, Sat 10-14": as spans, and when they begin next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ENTRY = re.compile(
    r"(?P<days>[a-z]+(?:\s*-\s*[a-z]+)?)\s+"
    r"(?P<opens>\d{1,2}(?:[:.]\d{2})?)\s*-\s*(?P<closes>\d{1,2}(?:[:.]\d{2})?)"
)
_DAY_MINUTES = 24 * 60
_WEEK_SECONDS = 7 * 86_400.0

Span = tuple[int, int, int]
"""A weekday (Monday is 0), and the minutes since its midnight at which the hours begin and end."""


@cache
def spans(text: str) -> tuple[Span, ...]:
    """The spans of a text, in the order of the week; those over midnight are cut there. Raises ValueError."""
    found: list[Span] = []
    for entry in filter(None, (part.strip().lower() for part in re.split(r"[,;\n]", text))):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError("must have the form: Mon-Fri 9:00-17:30, Sat 10:00-14:00")
        opens, closes = _minutes(match["opens"]), _minutes(match["closes"])
        for day in _days(match["days"]):
            if opens < closes:
                found.append((day, opens, closes))
            else:  # over midnight, or around the clock
                found += [(day, opens, _DAY_MINUTES), ((day + 1) % 7, 0, closes)]
    return tuple(sorted(span for span in found if span[1] < span[2]))


def is_open(text: str, now: datetime) -> bool:
    """Whether `now`, in the zone of the hours, is within them; without hours it always is."""
    minute = now.hour * 60 + now.minute
    week = spans(text)
    return not week or any(day == now.weekday() and opens <= minute < closes for day, opens, closes in week)


def opens_at(text: str, now: datetime) -> datetime | None:
    """When they begin next after `now`, in its zone; None when they never do."""
    for ahead in range(8):
        date = (now + timedelta(days=ahead)).date()
        for day, opens, _ in spans(text):
            begin = datetime.combine(date, time(opens // 60, opens % 60), now.tzinfo)
            if day == date.weekday() and begin > now:
                return begin
    return None


@lru_cache(maxsize=1000)
def opens_everywhere_at(text: str, now: float, zones: tuple[ZoneInfo, ...]) -> float | None:
    """When they are first open in all these zones at once, as Unix time: `now` if they are; None if never in a week."""
    moment = now
    while moment <= now + _WEEK_SECONDS:
        local = [datetime.fromtimestamp(moment, zone) for zone in zones]
        begins = [opens_at(text, one) for one in local if not is_open(text, one)]
        if not begins:
            return moment
        # When the clock is set back, a time of the day comes twice, and the first one may be over.
        moment = max(moment + 60, *(begin.timestamp() for begin in begins if begin))
    return None


def _days(text: str) -> Iterator[int]:
    """The days of "Mon" or "Mon-Fri", across the end of the week too."""
    first, _, last = (part.strip() for part in text.partition("-"))
    begin, end = _day(first), _day(last or first)
    for offset in range((end - begin) % 7 + 1):
        yield (begin + offset) % 7


def _day(name: str) -> int:
    if name[:3] not in _DAYS:
        raise ValueError("must name days in English: Mon, Tue, Wed, Thu, Fri, Sat, Sun")
    return _DAYS.index(name[:3])


def _minutes(text: str) -> int:
    hours, _, minutes = text.replace(".", ":").partition(":")
    found = int(hours) * 60 + int(minutes or 0)
    if found > _DAY_MINUTES or int(minutes or 0) > 59:
        raise ValueError("must have times from 0:00 to 24:00")
    return found
