"""One source and everything known about it: what it offers, its queue, its circuits, its last success and failure."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from relay.core.errors import ModelError, ModelFailure
from relay.core.text import timestamp
from relay.llm.chat import ModelFacts, Provider, ProviderError, ProviderStatus
from relay.llm.gateway.breaker import Breaker, Circuit
from relay.llm.gateway.environment import Environment
from relay.llm.gateway.fair_queue import FairQueue
from relay.llm.gateway.quota import FreeQuota, is_free_model

log = logging.getLogger("relay.gateway")

_PROBE_SECONDS = 10.0
_DETECTION_SECONDS = 2.0
"""What was only looked for on this machine answers quickly or is something else, and nobody's start waits for that."""
_MAX_BREAKERS = 200


class Backend:
    """`default` is the model that the settings name, "" when the source decides.

    configured: somebody asked for this source, so that its failures are worth a word; else it was only looked for.
    free: an answer never costs money.
    """

    def __init__(
        self,
        provider: Provider,
        queue: FairQueue,
        *,
        default: str,
        configured: bool,
        free: bool,
        environment: Environment,
    ) -> None:
        self.provider = provider
        self.name = provider.name
        self.queue = queue
        self.configured = configured
        self.provider_status: ProviderStatus | None = None
        self.problem: ModelError | None = None
        self.quota = FreeQuota(environment.wall)
        self.unopened: set[str] = set()
        self._default = default
        self._free = free
        self._clock = environment.clock
        self._wall = environment.wall
        self._breakers: dict[str, Breaker] = {}
        self._probing: asyncio.Task[None] | None = None
        self._last_success: float | None = None
        self._last_error: tuple[float, ModelError] | None = None

    @property
    def answers(self) -> bool:
        """Whether it was there when it was last looked at."""
        return self.provider_status is not None and self.problem is None

    async def probe(self) -> None:
        """Find out what the source offers, by free calls; never raises. Callers at the same time share one look."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())
        await asyncio.shield(self._probing)

    async def stop(self) -> None:
        """End a look that is under way."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _probe(self) -> None:
        before = self.problem
        try:
            async with asyncio.timeout(_PROBE_SECONDS if self.configured else _DETECTION_SECONDS):
                self.provider_status = await self.provider.fetch_status()
            self.problem = None
            self.quota.learn(self.provider_status)
            if before is not None:
                for breaker in self._breakers.values():
                    breaker.on_recovered()
        except TimeoutError:
            self.problem = ProviderError(ModelFailure.TIMEOUT, f"{self.name} did not say what it offers in time")
        except ModelError as error:
            self.problem = error
        except Exception:
            # Every question waits for the first look, so whatever a server says, the look comes to an end.
            log.exception("what %s says of itself is not understood", self.name)
            self.problem = ProviderError(ModelFailure.UNAVAILABLE, f"what {self.name} says of itself is not understood")
        if self.configured:
            self._log_change(before)

    def _log_change(self, before: ModelError | None) -> None:
        if self.problem is not None and (before is None or before.message != self.problem.message):
            log.warning("%s", self.problem.message)
        elif self.problem is None and before is not None:
            log.info("%s is back", self.name)

    async def model(self, wanted: str) -> str:
        """The name to ask for: `wanted`, or the default one. Raises ModelError when the source has no such model."""
        if not wanted and self._default:
            return self._default
        if self.provider_status is None:
            await self.probe()
        if self.provider_status is None:
            if wanted:
                return wanted
            raise self.problem or ModelError(ModelFailure.UNAVAILABLE, f"{self.name} does not answer")
        return self._listed(wanted) if wanted else self.provider_status.model

    def _listed(self, wanted: str) -> str:
        """A name from the source's list; OpenRouter's list is too long to be kept, it says itself what it lacks."""
        names = [facts.name for facts in self.provider_status.models] if self.provider_status else []
        if self.name == "openrouter" or wanted in names or any("*" in name for name in names):
            return wanted
        if f"{wanted}:latest" in names:
            return f"{wanted}:latest"
        there = ", ".join(names[:12])
        raise ModelError(ModelFailure.NOT_FOUND, f"{self.name} has no model {wanted!r}; there are: {there}")

    def facts(self, model: str) -> ModelFacts | None:
        rows = self.provider_status.models if self.provider_status else ()
        return next((facts for facts in rows if facts.name == model), None)

    def is_free(self, model: str) -> bool:
        return self._free or (self.name == "openrouter" and is_free_model(model))

    def breaker(self, model: str) -> Breaker:
        breaker = self._breakers.get(model)
        if breaker is None:
            if len(self._breakers) >= _MAX_BREAKERS:  # names come from callers, so there is no end of them
                self._breakers.pop(next(iter(self._breakers)))
            breaker = self._breakers[model] = Breaker(self._clock)
        return breaker

    def record_success(self) -> None:
        self._last_success = self._wall()
        self.problem = None

    def record_failure(self, error: ModelError) -> None:
        self._last_error = (self._wall(), error)

    @property
    def default_model(self) -> str:
        """The model that answers by default, "" while nobody knows."""
        return self._default or (self.provider_status.model if self.provider_status else "")

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
            "tried_again_in_seconds": round(circuit.open_seconds, 1),
            "active": self.queue.active,
            "waiting": self.queue.waiting,
            "problem": _words(self.problem),
            "last_success_at": timestamp(self._last_success),
            "last_error_at": timestamp(error[0]) if error else None,
            "last_error": _words(error[1]) if error else None,
        }


def _words(error: ModelError | None) -> dict[str, str] | None:
    return {"kind": error.kind.value, "message": error.message} if error else None
