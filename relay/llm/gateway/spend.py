"""Tracks this month's spending and enforces the monthly budget.

The sum is saved to a small file at most every 2 s and on shutdown, so a crash loses the last seconds. Where a provider
reports its own monthly total, the larger figure counts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import Completion
from relay.llm.providers.json_values import as_amount

log = logging.getLogger("relay.ledger")

_PER_MILLION = 1_000_000
_SAVE_SECONDS = 2.0


class SpendTracker:
    """Sums costs by calendar month (UTC). `clock` returns Unix time."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._month, self._ends = _month_at(clock())
        self._spent = 0.0
        self._invoiced: dict[str, float] = {}
        self._unsaved = False
        self._saved_at = 0.0
        self._load()

    @property
    def spent(self) -> float:
        """Known spending of this month in USD."""
        self._roll_month()
        return max(self._spent, sum(self._invoiced.values()))

    def add(self, cost: float | None) -> None:
        """Add the cost of an answer; None and 0 are ignored."""
        if cost:
            self._roll_month()
            self._spent += cost
            self._unsaved = True
            if abs(self._clock() - self._saved_at) >= _SAVE_SECONDS:  # works also after the clock was set back
                self.save()

    def record_invoice(self, provider: str, month_usd: float | None) -> None:
        """Adopt the monthly total in USD reported by a provider; None is ignored."""
        self._roll_month()
        if month_usd is not None:
            self._invoiced[provider] = float(month_usd)

    def check_budget(self, ceiling: float | None, provider: str) -> None:
        """Raise ModelError(CREDITS) when `ceiling` (USD, None: unlimited) is reached."""
        if ceiling is not None and self.spent >= ceiling:
            raise ModelError(
                ModelFailure.CREDITS,
                f"{provider} is not asked any more this month: {self.spent:.2f} of {ceiling:.2f} USD are spent",
                hint="raise llm_monthly_budget_usd, or add a free source to llm_fallbacks",
            )

    def save(self) -> None:
        """Write the sum if it changed; a write error is only logged."""
        if not self._unsaved:
            return
        self._saved_at = self._clock()
        beside = self._path.with_name(self._path.name + ".new")
        try:
            beside.write_text(json.dumps({"month": self._month, "spent_usd": self._spent}) + "\n", encoding="utf-8")
            beside.replace(self._path)
            self._unsaved = False
        except OSError as error:
            log.warning("what the answers cost cannot be noted in %s: %s", self._path, error)

    def _load(self) -> None:
        try:
            noted = json.loads(self._path.read_text(encoding="utf-8"))
            spent = as_amount(noted["spent_usd"])  # NaN would never reach a ceiling
            if spent is None:
                raise ValueError("spent_usd is no amount")
            if noted["month"] == self._month:
                self._spent = spent
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("%s cannot be read (%s): what was spent this month is counted from now on", self._path, error)

    def _roll_month(self) -> None:
        now = self._clock()
        if now >= self._ends:
            self._month, self._ends = _month_at(now)
            self._spent = 0.0
            self._invoiced.clear()
            self._unsaved = True


def _month_at(now: float) -> tuple[str, float]:
    """The calendar month (UTC) of a Unix time, and the Unix time of its end."""
    first = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=31)).replace(day=1)
    return first.strftime("%Y-%m"), following.timestamp()


def cost_of(completion: Completion, model: str, prices: Mapping[str, tuple[float, float]]) -> float | None:
    """USD for one answer: the provider's figure, else from the price table, else None."""
    if completion.cost_usd is not None:
        return completion.cost_usd
    price = prices.get(completion.model) or prices.get(model)
    if price is None:
        return None
    return (completion.prompt_tokens * price[0] + completion.answer_tokens * price[1]) / _PER_MILLION
