"""Figures by day as stacked bars: the geometry of an SVG, and the table with the same figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay.channels.registry import CHANNELS
from relay.console.pages import money
from relay.core.messages import Platform

WIDTH, HEIGHT = 560, 120
"""The size of the picture in its own units; the page scales it."""
_GAP = 0.3
"""The share of a day that stays free between its bar and the next."""

ByDay = Sequence[Mapping[str, Any]]
"""{"date": "2026-11-27", "platforms": {platform: figures}}, oldest first."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One value of a day and a channel. series: its place in the legend, from 0; label: what it is, in words."""

    x: float
    y: float
    width: float
    height: float
    series: int
    date: str
    platform: str
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture. kind: which rows its figures are made of; legend: the platform of each series, by its name.

    rows: date, one text for each series, and all together.
    """

    id: str
    title: str
    kind: str
    legend: Mapping[str, str]
    bars: Sequence[Bar]
    rows: Sequence[tuple[str, Sequence[str]]]
    highest: str
    today: str
    yesterday: str

    @property
    def summary(self) -> str:
        """What a person who does not see the picture is told first."""
        return f"{len(self.rows)} days; the highest is {self.highest}, today {self.today}, yesterday {self.yesterday}"


@dataclass(frozen=True, slots=True)
class _Figure:
    id: str
    title: str
    kind: str
    value: Callable[[Mapping[str, Any]], float]
    shown: Callable[[float], str]


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _seconds(value: float) -> str:
    return f"{value:,.1f} s" if value else "none"


_KINDS = (
    _Figure("messages", "Messages", "messages", lambda one: one["messages"], _count),
    _Figure("failed", "Parts that failed", "failed", lambda one: one["failed"], _count),
    _Figure("segments", "Segments and messages sent", "sent", lambda one: one["segments"], _count),
    _Figure("money", "Money: models and sending", "messages", lambda one: one["model_usd"] + one["sent_usd"], money),
)


def charts(by_day: ByDay) -> list[Chart]:
    """A picture of each figure by channel, and of the answer times of each channel that has answered."""
    titles = {one.platform: one.title for one in CHANNELS if one.platform in by_day[-1]["platforms"]}
    stacks = [
        _stacked(one, titles, {day["date"]: list(map(one.value, _of(day, titles))) for day in by_day}) for one in _KINDS
    ]
    return stacks + [
        _answer_times(platform, title, by_day)
        for platform, title in titles.items()
        if any(day["platforms"][platform]["median_seconds"] is not None for day in by_day)
    ]


def _of(day: Mapping[str, Any], platforms: Iterable[Platform]) -> list[Mapping[str, Any]]:
    return [day["platforms"][platform] for platform in platforms]


def _answer_times(platform: str, title: str, by_day: ByDay) -> Chart:
    """Half of the answers, and on top of it what 95 of 100 took longer; the table has both from the beginning."""
    times = {day["date"]: day["platforms"][platform] for day in by_day}
    pairs = {date: (one["median_seconds"] or 0.0, one["slow_seconds"] or 0.0) for date, one in times.items()}
    kind = _Figure(f"times-{platform}", f"Time to an answer, {title}", "sent", lambda _: 0.0, _seconds)
    heights = {date: [median, slow - median] for date, (median, slow) in pairs.items()}
    rows = [(date, [_seconds(value) for value in pair]) for date, pair in pairs.items()]
    return _chart(kind, {"half within": platform, "95 of 100 within": platform}, heights, rows)


def _stacked(kind: _Figure, titles: Mapping[Platform, str], values: Mapping[str, Sequence[float]]) -> Chart:
    several = len(titles) > 1
    rows = [
        (date, [*map(kind.shown, parts), *([kind.shown(sum(parts))] if several else [])])
        for date, parts in values.items()
    ]
    series = {title: str(platform) for platform, title in titles.items()}
    return _chart(kind, {**series, "Together": ""} if several else series, values, rows)


def _chart(
    kind: _Figure,
    series_of: Mapping[str, str],
    values: Mapping[str, Sequence[float]],
    rows: Sequence[tuple[str, Sequence[str]]],
) -> Chart:
    """The picture of these values; series_of: the platform of each series, empty for all of them, by its name."""
    legend, platforms = list(series_of), list(series_of.values())
    sums = [sum(parts) for parts in values.values()]
    scale = HEIGHT / (max(sums) or 1)
    step = WIDTH / len(values)
    bars: list[Bar] = []
    for column, (date, parts) in enumerate(values.items()):
        top = float(HEIGHT)
        for series, value in enumerate(parts):
            top -= value * scale
            if value:
                place = (round(column * step + step * _GAP / 2, 2), round(top, 2), round(step * (1 - _GAP), 2))
                label = f"{date}, {legend[series]}: {rows[column][1][series]}"
                bars.append(Bar(*place, round(value * scale, 2), series, date, platforms[series], label))
    ends = [kind.shown(value) for value in (max(sums), sums[-1], sums[-2])]
    return Chart(kind.id, kind.title, kind.kind, series_of, bars, rows, *ends)
