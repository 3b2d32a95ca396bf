"""Detects the end of an outage of the model, so that postponed questions need not wait for their retry time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

MAX_TRIALS = 30
"""Trials of one recovery, a minute of sweeps; after that the questions' own pauses are no longer than that."""


class ModelOutage:
    """Follows an outage from the first postponed question to the first answer after it.

    is_usable: the state of the LLM server, read at each check while the outage lasts. A start of ours counts as an
    outage, because an earlier process may have left postponed questions.
    """

    def __init__(self, is_usable: Callable[[], Awaitable[bool]]) -> None:
        self._is_usable = is_usable
        self._lasts = True
        self._was_usable = False
        self._recovering = False
        self._trials = 0

    def begin(self) -> None:
        """A question was postponed."""
        self._lasts = True

    async def check(self) -> bool:
        """Whether to retry a postponed question as a trial: the model has become usable and not yet answered."""
        if not self._lasts:
            return False
        before, self._was_usable = self._was_usable, await self._is_usable()
        if self._was_usable and not before:
            self._recovering, self._trials = True, MAX_TRIALS
        if not (self._was_usable and self._recovering and self._trials):
            return False
        self._trials -= 1
        return True

    def end(self) -> bool:
        """The model has answered, or no question waits; true if all others should be retried now.

        An answer in ordinary times is no reason: a question that itself makes the model fail must keep its pauses.
        """
        recovered, self._recovering, self._lasts = self._recovering, False, False
        return recovered
