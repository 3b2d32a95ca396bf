"""Business hours: how they are written, and when somebody is there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from relay.config.errors import SettingsError
from relay.config.loading import load_settings
from relay.config.weekly_times import is_open, opens_at, opens_everywhere_at
from tests.settings import Settings

BERLIN = ZoneInfo("Europe/Berlin")
WEEK = "Mon-Fri 9:00-17:30, Sat 10-14"
MOMENTS: list[tuple[str, str, str, bool, str | None]] = [
    ("before they open", WEEK, "2026-11-27 08:59", False, "2026-11-27 09:00"),
    ("the first minute", WEEK, "2026-11-27 09:00", True, "2026-11-28 10:00"),
    ("the last minute", WEEK, "2026-11-27 17:29", True, "2026-11-28 10:00"),
    ("just closed", WEEK, "2026-11-27 17:30", False, "2026-11-28 10:00"),
    ("over the weekend", WEEK, "2026-11-28 14:00", False, "2026-11-30 09:00"),
    ("always", "", "2026-11-29 03:00", True, None),
    ("over midnight, before", "Fri-Sat 22:00-2:00", "2026-11-27 23:59", True, "2026-11-28 00:00"),
    ("over midnight, behind", "Fri-Sat 22:00-2:00", "2026-11-29 01:59", True, "2026-12-04 22:00"),
    ("across the end of the week", "Sat-Mon 9-12", "2026-11-30 10:00", True, "2026-12-05 09:00"),
    ("all day", "Sun 0:00-24:00", "2026-11-29 23:59", True, "2026-12-06 00:00"),
    ("with a break", "Mon 9-12; Mon 13-17", "2026-11-30 12:30", False, "2026-11-30 13:00"),
    ("whole names and spaces", "Monday - Friday  09.00 - 17.00", "2026-11-27 10:00", True, "2026-11-30 09:00"),
    ("the day the clock changes", "Sun 1:00-4:00", "2026-10-25 00:30", False, "2026-10-25 01:00"),
]


@pytest.mark.parametrize(
    ("hours", "now", "is_there", "back"), [row[1:] for row in MOMENTS], ids=[row[0] for row in MOMENTS]
)
def test_when_somebody_is_there(hours: str, now: str, is_there: bool, back: str | None) -> None:
    """In the zone of the settings."""
    moment = datetime.fromisoformat(now).replace(tzinfo=BERLIN)
    found = opens_at(hours, moment)
    assert is_open(hours, moment) is is_there
    assert (found and f"{found:%Y-%m-%d %H:%M}") == back


DAYTIME = "Mon-Sun 8:00-21:00"


@pytest.mark.parametrize(
    ("hours", "now", "zones", "opens"),
    [
        (DAYTIME, "2026-11-27 12:00", ("Europe/Berlin",), "2026-11-27 12:00"),
        (DAYTIME, "2026-11-27 12:00", ("Europe/Berlin", "America/Los_Angeles"), "2026-11-27 16:00"),
        (DAYTIME, "2026-11-27 19:30", ("Atlantic/Canary", "Europe/Madrid"), "2026-11-27 19:30"),
        (DAYTIME, "2026-11-27 20:30", ("Atlantic/Canary", "Europe/Madrid"), "2026-11-28 08:00"),
        (DAYTIME, "2026-11-27 12:00", ("Asia/Anadyr", "Europe/Moscow"), "2026-11-28 05:00"),
        ("Mon-Fri 9-17", "2026-11-27 12:00", ("Pacific/Guam", "America/New_York"), None),
        ("Mon-Fri 9-17", "2026-11-28 12:00", ("Asia/Tokyo",), "2026-11-30 00:00"),
        ("Sun 2:45-2:50", "2026-10-25 01:46", ("Europe/Berlin",), "2026-10-25 01:46"),
        ("Sun 2:45-2:50", "2026-10-25 01:30", ("Europe/Berlin",), "2026-10-25 01:45"),
        ("", "2026-11-27 12:00", ("Asia/Tokyo",), "2026-11-27 12:00"),
        (",", "2026-11-27 12:00", ("Asia/Tokyo",), "2026-11-27 12:00"),
    ],
)
def test_when_hours_are_open_in_all_zones(hours: str, now: str, zones: tuple[str, ...], opens: str | None) -> None:
    """All times of the test are in UTC; the hour that the clock repeats in autumn counts each time."""
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    found = opens_everywhere_at(hours, moment, tuple(map(ZoneInfo, zones)))
    assert (found and f"{datetime.fromtimestamp(found, UTC):%Y-%m-%d %H:%M}") == opens


@pytest.mark.parametrize("text", ["9-17", "Mo 9-17", "Mon 9-25", "Mon 9:60-17", "Mon", "Mon nine-five", "Mon-Fri"])
def test_what_is_no_business_hours_is_refused(tmp_path: Path, text: str) -> None:
    """At the start, with an example."""
    with pytest.raises(SettingsError, match="business_hours is not valid"):
        load_settings(Settings, tmp_path, {"BUSINESS_HOURS": text})
