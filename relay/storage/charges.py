"""What messages cost, by user and day, and in all: written together with what caused it.

`usd` is an estimate, made when a message is stored or accepted; `billed_usd` is what the provider reports later.
Days and months are those of UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from relay.core.messages import Platform, Spending, UserId
from relay.storage.prepared import Prepared, Upsert
from relay.storage.schema import charges, counters
from relay.storage.transactions import Tx, user_parameters

KEPT_SECONDS = 600.0
_SUMS = ("segments_in", "segments_out", "media", "usd")
_KEY = ["platform", "day", "user_id"]
_ADD = Upsert(
    charges,
    lambda row: row.on_conflict_do_update(
        index_elements=_KEY, set_={name: charges.c[name] + row.excluded[name] for name in _SUMS}
    ),
)
_BILL = Upsert(
    charges,
    lambda row: row.on_conflict_do_update(index_elements=_KEY, set_={"billed_usd": row.excluded.billed_usd}),
)
_of_user = select(charges.c.usd).where(
    charges.c.platform == bindparam("of_platform"),
    charges.c.day == bindparam("today"),
    charges.c.user_id == bindparam("of_user"),
)


def _total(name: str) -> Select[Any]:
    is_named = (counters.c.platform == bindparam("of_platform")) & (counters.c.name == bindparam(name))
    return select(counters.c.value).where(is_named)


_SPENDING = Prepared(select(*(sums.scalar_subquery() for sums in (_of_user, _total("of_day"), _total("of_month")))))


def day_of(moment: float) -> str:
    """The day of a time, as 2026-11-27; its first seven characters are the month."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def charge(
    tx: Tx,
    platform: Platform,
    user_id: UserId,
    usd: float,
    *,
    segments_in: int = 0,
    segments_out: int = 0,
    media: int = 0,
) -> None:
    """Add an estimated cost to those of the user and of all."""
    day = day_of(tx.now)
    sums = {"segments_in": segments_in, "segments_out": segments_out, "media": media, "usd": usd}
    tx.run(_ADD, {"platform": platform, "day": day, "user_id": user_id, **sums})
    for period in (day, day[:7]):
        tx.count(platform, f"usd:{period}", usd)


def record_bill(tx: Tx, platform: Platform, day: str, billed: Mapping[UserId, float]) -> None:
    """Store what the provider billed for the messages of a day, by user."""
    nothing = dict.fromkeys(_SUMS, 0)
    for user_id, usd in sorted(billed.items()):
        tx.run(_BILL, {"platform": platform, "day": day, "user_id": user_id, "billed_usd": usd, **nothing})


def spending(connection: Connection, platform: Platform, user_id: UserId, now: float) -> Spending:
    """What has been spent so far, as estimated."""
    day = day_of(now)
    periods = {"today": day, "of_day": f"usd:{day}", "of_month": f"usd:{day[:7]}"}
    sums = _SPENDING.run(connection, {**user_parameters(platform, user_id), **periods}).one()
    return Spending(*(value or 0.0 for value in sums))


class SpendingReports:
    """What messages cost today and this month.

    The sums of the month's finished days, which have a row for each of their users, are read once: bills alone change
    them, so `forget` is called for each. What another process stores is seen after KEPT_SECONDS.
    """

    def __init__(self) -> None:
        self._finished: dict[Platform, tuple[str, float, dict[str, Any]]] = {}

    def forget(self) -> None:
        self._finished.clear()

    def read(self, connection: Connection, platform: Platform, now: float, most: int) -> dict[str, Any]:
        """The costs of today and of this month, estimated and billed, and the users who cost most today."""
        day = day_of(now)
        of_today = (charges.c.platform == platform) & (charges.c.day == day)
        dearest = select(charges).where(of_today).order_by(charges.c.usd.desc(), charges.c.user_id).limit(most)
        rows = connection.execute(dearest).all()
        today, before = _totals(connection, of_today), self._before(connection, platform, day, now)
        billed = [sums["billed_usd"] for sums in (today, before) if sums["billed_usd"] is not None]
        month = {name: today[name] + before[name] for name in _SUMS} | {"billed_usd": sum(billed) if billed else None}
        return {
            "today": _rounded(today),
            "month": _rounded(month),
            "users_today": [_of_user_today(row) for row in rows],
        }

    def _before(self, connection: Connection, platform: Platform, day: str, now: float) -> dict[str, Any]:
        """The sums of the days of this month that are over."""
        kept_day, until, sums = self._finished.get(platform, ("", 0.0, {}))
        if kept_day != day or now >= until:
            over = (charges.c.platform == platform) & (charges.c.day >= f"{day[:7]}-01") & (charges.c.day < day)
            sums = _totals(connection, over)
            self._finished[platform] = (day, now + KEPT_SECONDS, sums)
        return sums


def _totals(connection: Connection, chosen: Any) -> dict[str, Any]:
    columns = [func.coalesce(func.sum(charges.c[name]), 0).label(name) for name in _SUMS]
    row = connection.execute(select(*columns, func.sum(charges.c.billed_usd).label("billed_usd")).where(chosen)).one()
    return row._asdict()


def _of_user_today(row: Any) -> dict[str, Any]:
    return {"user_id": row.user_id, **_rounded({name: getattr(row, name) for name in _SUMS})}


def _rounded(sums: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in sums.items()}
