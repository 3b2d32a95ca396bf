"""One source and everything known about it: what it offers, its queue, its circuits, its last success and failure."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from relay.core.errors import ModelError, ModelFailure
from relay.core.text import timestamp
from relay.llm.chat import ModelFacts, Source, SourceError, Survey
from relay.llm.gateway.breaker import Breaker, Circuit
from relay.llm.gateway.environment import Outside
from relay.llm.gateway.fair_queue import FairQueue
from relay.llm.gateway.quota import FreeQuota, is_free_model

log = logging.getLogger("relay.gateway")

_LOOK_SECONDS = 10.0
_GUESS_SECONDS = 2.0
"""What was only looked for on this machine answers quickly or is something else, and nobody's start waits for that."""
_MOST_BREAKERS = 200


class Station:
    """`default` is the model that the settings name, "" when the source decides.

    configured: somebody asked for this source, so that its failures are worth a word; else it was only looked for.
    free: an answer never costs money.
    """

    def __init__(
        self,
        source: Source,
        queue: FairQueue,
        *,
        default: str,
        configured: bool,
        free: bool,
        outside: Outside,
    ) -> None:
        self.source = source
        self.name = source.name
        self.queue = queue
        self.configured = configured
        self.survey: Survey | None = None
        self.problem: ModelError | None = None
        self.quota = FreeQuota(outside.wall)
        self.unopened: set[str] = set()
        self._default = default
        self._free = free
        self._clock = outside.clock
        self._wall = outside.wall
        self._breakers: dict[str, Breaker] = {}
        self._looking: asyncio.Task[None] | None = None
        self._last_success: float | None = None
        self._last_error: tuple[float, ModelError] | None = None

    @property
    def answers(self) -> bool:
        """Whether it was there when it was last looked at."""
        return self.survey is not None and self.problem is None

    async def look(self) -> None:
        """Find out what the source offers, by free calls; never raises. Callers at the same time share one look."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)

    async def stop(self) -> None:
        """End a look that is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        before = self.problem
        try:
            async with asyncio.timeout(_LOOK_SECONDS if self.configured else _GUESS_SECONDS):
                self.survey = await self.source.survey()
            self.problem = None
            self.quota.learn(self.survey)
            if before is not None:
                for breaker in self._breakers.values():
                    breaker.came_back()
        except TimeoutError:
            self.problem = SourceError(ModelFailure.TIMEOUT, f"{self.name} did not say what it offers in time")
        except ModelError as error:
            self.problem = error
        except Exception:
            # Every question waits for the first look, so whatever a server says, the look comes to an end.
            log.exception("what %s says of itself is not understood", self.name)
            self.problem = SourceError(ModelFailure.UNAVAILABLE, f"what {self.name} says of itself is not understood")
        if self.configured:
            self._tell(before)

    def _tell(self, before: ModelError | None) -> None:
        if self.problem is not None and (before is None or before.message != self.problem.message):
            log.warning("%s", self.problem.message)
        elif self.problem is None and before is not None:
            log.info("%s is back", self.name)

    async def model(self, wanted: str) -> str:
        """The name to ask for: `wanted`, or the default one. Raises ModelError when the source has no such model."""
        if not wanted and self._default:
            return self._default
        if self.survey is None:
            await self.look()
        if self.survey is None:
            if wanted:
                return wanted
            raise self.problem or ModelError(ModelFailure.UNAVAILABLE, f"{self.name} does not answer")
        return self._listed(wanted) if wanted else self.survey.model

    def _listed(self, wanted: str) -> str:
        """A name from the source's list; OpenRouter's list is too long to be kept, it says itself what it lacks."""
        names = [facts.name for facts in self.survey.models] if self.survey else []
        if self.name == "openrouter" or wanted in names or any("*" in name for name in names):
            return wanted
        if f"{wanted}:latest" in names:
            return f"{wanted}:latest"
        there = ", ".join(names[:12])
        raise ModelError(ModelFailure.NOT_FOUND, f"{self.name} has no model {wanted!r}; there are: {there}")

    def facts(self, model: str) -> ModelFacts | None:
        rows = self.survey.models if self.survey else ()
        return next((facts for facts in rows if facts.name == model), None)

    def is_free(self, model: str) -> bool:
        return self._free or (self.name == "openrouter" and is_free_model(model))

    def breaker(self, model: str) -> Breaker:
        breaker = self._breakers.get(model)
        if breaker is None:
            if len(self._breakers) >= _MOST_BREAKERS:  # names come from callers, so there is no end of them
                self._breakers.pop(next(iter(self._breakers)))
            breaker = self._breakers[model] = Breaker(self._clock)
        return breaker

    def succeeded(self) -> None:
        self._last_success = self._wall()
        self.problem = None

    def failed(self, error: ModelError) -> None:
        self._last_error = (self._wall(), error)

    @property
    def default_model(self) -> str:
        """The model that answers by default, "" while nobody knows."""
        return self._default or (self.survey.model if self.survey else "")

    @property
    def usable(self) -> bool:
        """Whether a question to the default model would be tried now."""
        return self.problem is None and self.breaker(self.default_model).state is not Circuit.OPEN

    def status(self) -> dict[str, Any]:
        """How the source is, for people and programs; no secrets."""
        circuit = self.breaker(self.default_model)
        error = self._last_error
        return {
            "source": self.name,
            "model": self.default_model or None,
            "circuit": circuit.state.value,
            "tried_again_in_seconds": round(circuit.rest_seconds, 1),
            "active": self.queue.active,
            "waiting": self.queue.waiting,
            "problem": _words(self.problem),
            "last_success_at": timestamp(self._last_success),
            "last_error_at": timestamp(error[0]) if error else None,
            "last_error": _words(error[1]) if error else None,
        }


def _words(error: ModelError | None) -> dict[str, str] | None:
    return {"kind": error.kind.value, "message": error.message} if error else None
