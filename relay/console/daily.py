"""Figures of the last days by channel. Those of finished days are counted ahead of the pages that show them.

Today's are counted at each call, until they are many.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from relay.channels.registry import served
from relay.config.settings import Settings
from relay.console.charts import ByDay
from relay.console.kept import Kept
from relay.core.messages import Platform, UserId
from relay.storage.daily_totals import day_totals, user_days

DAYS = 14
AHEAD_SECONDS = 90.0
"""How long before the figures of a finished day are dropped they are counted again; more than between two rounds."""

ROUND_SECONDS = 60.0
Totals = dict[str, dict[str, Any]]
"""Figures by platform, as day_totals returns them, and `sent_usd`, the estimated cost of sending."""


@dataclass(frozen=True, slots=True)
class Day:
    """date: as 2026-11-27 in the time zone of the settings; begin, end: Unix times of its midnights."""

    date: str
    begin: float
    end: float

    @classmethod
    def of(cls, midnight: datetime) -> Day:
        return cls(midnight.date().isoformat(), midnight.timestamp(), (midnight + timedelta(days=1)).timestamp())


def last_days(now: float, settings: Settings, count: int = DAYS) -> list[Day]:
    """The last days, today included, oldest first; a day is as long as the clocks of its time zone make it."""
    zone = ZoneInfo(settings.timezone)
    today = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return [Day.of(today - timedelta(days=back)) for back in reversed(range(count))]


def with_costs(totals: Totals, settings: Settings) -> Totals:
    """The figures with the estimated cost of sending."""
    prices: dict[str, float] = {channel.platform: channel.segment_usd(settings) for channel in served(settings)}
    return {
        platform: {**figures, "sent_usd": round(figures["segments"] * prices[platform], 6)}
        for platform, figures in totals.items()
    }


Query = Callable[[Callable[[Connection], dict[str, Any]]], Awaitable[dict[str, Any]]]
"""Runs a query in a transaction of the database. Raises StorageError."""


class DailyTotals:
    """Counts days in transactions of their own, so that no page waits for more than one of them at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._platforms = [channel.platform for channel in served(settings)]
        self._kept = Kept[Totals]()
        self._bounds: dict[tuple[str, float], int] = {}
        self._locks = defaultdict[str, asyncio.Lock](asyncio.Lock)

    async def read(self, query: Query, now: float) -> list[tuple[Day, Totals]]:
        """The last days with their figures, oldest first. Raises StorageError."""
        self._forget_bounds(now)
        return [(day, await self._totals(query, day, now, now)) for day in last_days(now, self._settings)]

    async def count_ahead(self, query: Query, now: float) -> None:
        """Count the finished days that are not kept for another AHEAD_SECONDS. Raises StorageError."""
        self._forget_bounds(now)
        for day in last_days(now, self._settings)[:-1]:
            await self._totals(query, day, now, now + AHEAD_SECONDS)

    def _forget_bounds(self, now: float) -> None:
        """Rows of a moment that has just passed may not be committed yet."""
        since = now - (DAYS + 2) * 86_400
        self._bounds = {key: row for key, row in self._bounds.items() if since < key[1] < now - 3600}

    async def _totals(self, query: Query, day: Day, now: float, until: float) -> Totals:
        """The figures of a day, counted now unless they are kept until then; those under way are waited for."""
        async with self._locks[day.date]:
            totals = self._kept.get(day.date, until)
            if totals is None:
                totals = await query(lambda connection: self._count(connection, day))
                rows = sum(figures["messages"] + figures["segments"] for figures in totals.values())
                self._kept.put(day.date, totals, now, rows, _keep_seconds(day, now))
            return totals

    def _count(self, connection: Connection, day: Day) -> Any:
        return with_costs(day_totals(connection, self._platforms, day.begin, day.end, self._bounds), self._settings)


def _keep_seconds(day: Day, now: float) -> float:
    """How long the figures of a day are kept: today's not at all; those of a day that ended long ago rarely change."""
    return min(3600.0, max(0.0, now - day.end) / 24)


def day_named(date: str, settings: Settings) -> Day | None:
    """The day of this date, such as 2026-11-27; None for anything else."""
    try:
        midnight = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=ZoneInfo(settings.timezone))
        return Day.of(midnight)
    except (ValueError, OverflowError):
        return None


def read_user_days(
    connection: Connection, platform: Platform, user_id: UserId, now: float, settings: Settings
) -> ByDay:
    """The figures of one user in the last days, in the form of the charts."""
    days = last_days(now, settings)
    found = user_days(connection, platform, user_id, [days[0].begin, *(day.end for day in days)])
    return [
        {"date": day.date, "platforms": with_costs({platform: figures}, settings)}
        for day, figures in zip(days, found, strict=True)
    ]
