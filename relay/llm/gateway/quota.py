"""OpenRouter's limits for free models: 20 requests a minute, and 50 or 1,000 a UTC day for the whole account.

Rules from openrouter.ai/docs (limits); the daily figures come from GET /key and are extrapolated between two probes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import ProviderStatus

_REQUESTS_A_MINUTE = 20
_DAY = 86_400


class FreeQuota:
    """Counts requests to free models. `clock` returns Unix time; days are UTC."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._recent: deque[float] = deque()
        self._day = 0
        self._used = 0
        self._limit: int | None = None

    def learn(self, status: ProviderStatus) -> None:
        """Adopt the account's figures; they may lag behind our own count, so the larger one is kept."""
        self._roll_day()
        self._limit = status.free_limit if status.free_limit is not None else self._limit
        self._used = max(self._used, status.free_used or 0)

    def take(self) -> None:
        """Count one request. Raises ModelError(RATE_LIMIT) with retry_after when the quota is used up."""
        now = self._clock()
        self._roll_day()
        while self._recent and self._recent[0] <= now - 60:
            self._recent.popleft()
        if self._limit is not None and self._used >= self._limit:
            quota, wait = f"{self._limit} questions a day", _DAY - now % _DAY
        elif len(self._recent) >= _REQUESTS_A_MINUTE:
            quota, wait = f"{_REQUESTS_A_MINUTE} questions a minute", max(0.1, self._recent[0] + 60 - now)
        else:
            self._recent.append(now)
            self._used += 1
            return
        message = f"openrouter: the {quota} to free models are used up"
        raise ModelError(ModelFailure.RATE_LIMIT, message, retry_after=wait)

    def _roll_day(self) -> None:
        day = int(self._clock() // _DAY)
        if day != self._day:
            self._day, self._used = day, 0
