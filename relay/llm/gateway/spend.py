"""What the answers of this month cost, and whether money may still be spent.

The sum is kept in a small file, written every few seconds at most and at the end: a crash forgets the last seconds, and
where the source itself knows what it billed this month, the larger figure counts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from relay.core.errors import ModelFailure
from relay.llm.chat import Completion
from relay.llm.gateway.api_format import HintedError
from relay.llm.providers.json_values import as_amount

log = logging.getLogger("relay.ledger")

_PER_MILLION = 1_000_000
_SAVE_SECONDS = 2.0


class SpendTracker:
    """Counts money by calendar month (UTC). `clock` tells Unix time."""

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
        """USD spent this month, as far as anybody knows."""
        self._roll_month()
        return max(self._spent, sum(self._invoiced.values()))

    def add(self, cost: float | None) -> None:
        """Count one answer; None and nothing cost nothing."""
        if cost:
            self._roll_month()
            self._spent += cost
            self._unsaved = True
            if abs(self._clock() - self._saved_at) >= _SAVE_SECONDS:  # a clock that was set back does not stop it
                self.save()

    def record_invoice(self, provider: str, month_usd: float | None) -> None:
        """What a source says that it billed this month."""
        self._roll_month()
        if month_usd is not None:
            self._invoiced[provider] = float(month_usd)

    def check_budget(self, ceiling: float | None, provider: str) -> None:
        """Raises ModelError(CREDITS) when the ceiling is reached."""
        if ceiling is not None and self.spent >= ceiling:
            raise HintedError(
                ModelFailure.CREDITS,
                f"{provider} is not asked any more this month: {self.spent:.2f} of {ceiling:.2f} USD are spent",
                "raise llm_monthly_budget_usd, or add a free source to llm_fallbacks",
            )

    def save(self) -> None:
        """Write the sum down if it changed; a file that cannot be written is a line in the log."""
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
            if noted["month"] == self._month:
                self._spent = _spent_in(noted)
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
    """The calendar month (UTC) of a moment, and the moment in which it ends."""
    first = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=31)).replace(day=1)
    return first.strftime("%Y-%m"), following.timestamp()


def _spent_in(noted: Mapping[str, Any]) -> float:
    """The sum in a note; raises ValueError when it is none, for one that is no number would never reach a ceiling."""
    spent = as_amount(noted["spent_usd"])
    if spent is None:
        msg = "spent_usd is no amount"
        raise ValueError(msg)
    return spent


def cost_of(completion: Completion, model: str, prices: Mapping[str, tuple[float, float]]) -> float | None:
    """USD for one answer: the source's own figure, else the price table's, else None."""
    if completion.cost_usd is not None:
        return completion.cost_usd
    price = prices.get(completion.model) or prices.get(model)
    if price is None:
        return None
    return (completion.prompt_tokens * price[0] + completion.answer_tokens * price[1]) / _PER_MILLION
