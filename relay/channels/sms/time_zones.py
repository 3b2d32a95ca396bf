"""In which time zones a person may be, by their number. The data takes 11 MB, so it is loaded where it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone

from relay.channels.sms.prices import KNOWN_NUMBERS, parsed_number


@lru_cache(maxsize=KNOWN_NUMBERS)
def time_zones(number: str) -> tuple[ZoneInfo, ...]:
    """All zones in which people with numbers like this one may be; none when that is not known."""
    try:
        names = timezone.time_zones_for_number(parsed_number(number))
    except phonenumbers.NumberParseException:
        return ()
    return tuple(_found(names))


def _found(names: Sequence[str]) -> Iterator[ZoneInfo]:
    """The zones that this system has; the library's name for an unknown zone is none of them."""
    for name in names:
        try:
            yield ZoneInfo(name)
        except ZoneInfoNotFoundError:
            continue
