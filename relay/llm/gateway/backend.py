"""One provider with its state: last probe, request queue, circuit breakers, last success and failure."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from relay.core.circuit import CircuitState
from relay.core.errors import ModelError, ModelFailure
from relay.core.text import timestamp
from relay.llm.chat import ModelFacts, Provider, ProviderError, ProviderStatus
from relay.llm.gateway.api_format import MAX_SHOWN_NAME
from relay.llm.gateway.breaker import Breaker
from relay.llm.gateway.environment import Environment
from relay.llm.gateway.fair_queue import FairQueue
from relay.llm.gateway.quota import FreeQuota
from relay.llm.providers.error_mapping import says_blind

log = logging.getLogger("relay.gateway")

_PROBE_SECONDS = 10.0
_DETECTION_SECONDS = 2.0
"""Timeout for auto-detected servers: short, so that they do not delay the start."""
_MAX_BREAKERS = 200


class Backend:
    """A provider and its state.

    configured: named by a setting, so that failures are logged; otherwise it was only auto-detected.
    """

    def __init__(
        self,
        provider: Provider,
        queue: FairQueue,
        environment: Environment,
        *,
        configured: bool = True,
    ) -> None:
        self.provider = provider
        self.name = provider.name
        self.queue = queue
        self.configured = configured
        self.quota = FreeQuota(environment.wall) if provider.has_free_quota else None
        self.provider_status: ProviderStatus | None = None
        self.problem: ModelError | None = None
        self.bad_request: ModelError | None = None
        """Set when a channel's question was no valid request for this provider; until its next answer."""
        self.unopened: set[str] = set()
        """Models whose reasoning has no opening tag."""
        self.overthinking: set[str] = set()
        """Models that have used an answer for reasoning alone."""
        self.enlarged: set[str] = set()
        """Models that are asked for the provider's larger context."""
        self.blind: set[str] = set()
        """Models that have refused pictures, although the provider did not say so of them."""
        self._clock = environment.clock
        self._wall = environment.wall
        self._breakers: dict[str, Breaker] = {}
        self._probing: asyncio.Task[None] | None = None
        self._last_success: float | None = None
        self._last_error: tuple[float, ModelError] | None = None

    @property
    def answers(self) -> bool:
        """Whether the last probe succeeded."""
        return self.provider_status is not None and self.problem is None

    async def probe(self) -> None:
        """Fetch the provider's status; never raises. Concurrent callers share one probe."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())
        await asyncio.shield(self._probing)

    async def stop(self) -> None:
        """Cancel a running probe."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _probe(self) -> None:
        before = self.problem
        try:
            async with asyncio.timeout(_PROBE_SECONDS if self.configured else _DETECTION_SECONDS):
                self.provider_status = await self.provider.fetch_status()
            self.problem = None
            if self.quota is not None:
                self.quota.learn(self.provider_status)
            if before is not None:
                for breaker in self._breakers.values():
                    breaker.on_recovered()
        except TimeoutError:
            self.problem = ProviderError(ModelFailure.TIMEOUT, f"{self.name} did not say what it offers in time")
        except ModelError as error:
            self.problem = error
        except Exception:
            # Requests wait for the first probe, so it must end whatever a server sends.
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
        """The model name to request: `wanted`, or the default. Raises ModelError when the provider lacks it."""
        if not wanted and self.provider.default_model:
            return self.default_model
        if self.provider_status is None:
            await self.probe()
        if self.provider_status is None:
            if wanted:
                return wanted
            raise self.problem or ModelError(ModelFailure.UNAVAILABLE, f"{self.name} does not answer")
        return self._listed(wanted) if wanted else self.provider_status.model

    def _listed(self, wanted: str) -> str:
        names = [facts.name for facts in self._models]
        if not self.provider.lists_all_models or wanted in names or any("*" in name for name in names):
            return wanted
        if (tagged := f"{wanted}:latest") in names:
            return tagged
        there = ", ".join(names[:12])
        raise ModelError(
            ModelFailure.NOT_FOUND, f"{self.name} has no model {wanted[:MAX_SHOWN_NAME]!r}; there are: {there}"
        )

    @property
    def _models(self) -> tuple[ModelFacts, ...]:
        return self.provider_status.models if self.provider_status else ()

    def facts(self, model: str) -> ModelFacts | None:
        """The properties of a model; None when it is not listed."""
        return next((facts for facts in self._models if facts.name in (model, f"{model}:latest")), None)

    def breaker(self, model: str) -> Breaker:
        """The circuit breaker of one model, created on first use."""
        breaker = self._breakers.get(model)
        if breaker is None:
            if len(self._breakers) >= _MAX_BREAKERS:  # callers choose model names, so their number is unbounded
                self._breakers.pop(next(iter(self._breakers)))
            breaker = self._breakers[model] = Breaker(self._clock)
        return breaker

    def record_success(self) -> None:
        self._last_success = self._wall()
        self.problem = self.bad_request = None

    def record_failure(self, error: ModelError) -> None:
        self._last_error = (self._wall(), error)

    @property
    def default_model(self) -> str:
        """The model that answers by default, "" while unknown."""
        configured = self.provider.default_model
        if not configured:
            return self.provider_status.model if self.provider_status else ""
        return facts.name if (facts := self.facts(configured)) is not None else configured

    @property
    def usable(self) -> bool:
        """Whether a request to the default model would be attempted now, if it were that of another user."""
        breaker = self.breaker(self.default_model)
        return self.problem is None and not (breaker.state is CircuitState.OPEN and breaker.concerns_all)

    @property
    def hindrance(self) -> ModelError | None:
        """What an operator should see beside a source that answers: refused settings, or an open circuit."""
        breaker = self.breaker(self.default_model)
        return self.bad_request or (breaker.cause if breaker.state is CircuitState.OPEN else None)

    def sees(self, model: str) -> bool | None:
        """Whether a model takes pictures; None while it is not known."""
        facts = self.facts(model)
        return False if model in self.blind else facts.supports_vision if facts is not None else None

    def learn_blindness(self, model: str, error: ModelError) -> None:
        """Remember that a model takes no pictures, when that is what the error says, and not that one is damaged."""
        if self.sees(model) is not None or not says_blind(error.message):
            return
        self.blind.add(model)
        log.warning("%s; from now on %s is asked without pictures", error.message, model)

    def _left_out(self) -> dict[str, list[str]]:
        """What requests to each model are sent without, because it was refused."""
        refused = self.provider.refused_fields
        pictures = {model: ["images"] for model in self.blind}
        return {model: sorted({*refused.get(model, ()), *pictures.get(model, ())}) for model in {**refused, **pictures}}

    def status(self, *, with_messages: bool) -> dict[str, Any]:
        """State for people and programs; only messages of errors may contain text of providers and users."""
        circuit = self.breaker(self.default_model)
        error = self._last_error
        return {
            "source": self.name,
            "model": self.default_model or None,
            "circuit": circuit.state.value,
            "tried_again_in_seconds": round(circuit.open_seconds, 1),
            "active": self.queue.active,
            "waiting": self.queue.waiting,
            "problem": _described(self.problem, with_messages),
            "left_out": self._left_out(),
            "last_success_at": timestamp(self._last_success),
            "last_error_at": timestamp(error[0]) if error else None,
            "last_error": _described(error[1], with_messages) if error else None,
        }


def _described(error: ModelError | None, with_messages: bool) -> dict[str, str] | None:
    if error is None:
        return None
    return {"kind": error.kind.value, **({"message": error.message} if with_messages else {})}
