"""Who is asked, in which order: names of models, aliases and fallbacks become a chain of targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from relay.config.settings import Settings
from relay.core.errors import ModelFailure
from relay.llm.gateway.api_format import HintedError
from relay.llm.gateway.backend import Backend

HEALERS = ("openrouter/auto", "openrouter/free")
"""What OpenRouter has always: asked when every model that somebody chose is gone."""
_REPLACED_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Target:
    """A model of a source, "" for its default, with parameters of its own."""

    provider: str
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider


class Chain:
    """Builds the chain for a name, and remembers which models are gone and what to ask instead."""

    def __init__(self, settings: Settings, backends: Mapping[str, Backend], clock: Callable[[], float]) -> None:
        self._settings = settings
        self._backends = backends
        self._clock = clock
        self._gone: dict[Target, tuple[float, tuple[Target, ...]]] = {}

    def of(self, name: str) -> tuple[list[Target], bool]:
        """The targets for a model's name, and whether we may choose others than these: not when a caller named one.

        "" and "default" mean what is configured. Raises HintedError when nothing is.
        """
        if name in ("", "default"):
            return self._healed(self.default()), True
        alias = self._settings.llm_aliases.get(name)
        if alias is not None:
            options = {key: value for key, value in alias.items() if key != "model"}
            target = replace(self._read(alias["model"]), options=options)
            return self._healed(list(dict.fromkeys([target, *self.default()]))), True
        return [self._read(name)], False

    def default(self) -> list[Target]:
        """The configured source or what `auto` finds, its fallbacks, and the last resort."""
        chosen = self._settings.llm_source
        usable = self._found() if chosen == "auto" else [self._configured(chosen)]
        fallbacks = [self._read(text) for text in self._settings.llm_fallbacks]
        if fallbacks:
            usable = [*usable[:1], *fallbacks]
        if not usable and self._settings.simulated:
            usable = [Target("demo")]
        if not usable and not self._settings.llm_last_resort:
            raise HintedError(
                ModelFailure.UNAVAILABLE,
                "no model is configured",
                "set OPENROUTER_API_KEY, or start Ollama on this machine, or set OPENAI_BASE_URL; see docs/SETTINGS.md",
            )
        last = [Target("demo")] if self._settings.llm_last_resort else []
        return list(dict.fromkeys([*usable, *last]))

    def is_last_resort(self, target: Target) -> bool:
        return target.provider == "demo" and self._settings.llm_last_resort and self._settings.llm_source != "demo"

    def _found(self) -> list[Target]:
        """Configured sources whatever their state, others as long as they answer."""
        return [
            Target(backend.name)
            for backend in self._backends.values()
            if backend.name != "demo" and (backend.configured or backend.answers)
        ]

    def _configured(self, provider: str) -> Target:
        if provider not in self._backends:
            keys = {"openrouter": "OPENROUTER_API_KEY", "openai": "OPENAI_BASE_URL"}
            raise HintedError(
                ModelFailure.UNAVAILABLE,
                f"the source {provider} is not configured",
                f"set {keys.get(provider, 'LLM_SOURCE')}, or use llm_source=auto; see docs/SETTINGS.md",
            )
        return Target(provider)

    def _read(self, text: str) -> Target:
        """A source, `source:model`, or a model of the source that answers by default."""
        provider, _, model = text.partition(":")
        if provider in self._backends:
            return Target(provider, model)
        if provider in {"openrouter", "openai"} and (model or text == provider):
            return self._configured(provider)
        if self._settings.llm_source != "auto":
            return Target(self._configured(self._settings.llm_source).provider, text)
        return Target(next((target.provider for target in self._found()), "demo"), text)

    # -- models that are gone ------------------------------------------------------------------------------------------

    def lost(self, target: Target, offered: Iterable[str]) -> tuple[Target, ...] | None:
        """Note that a model is gone; returns what to ask instead, in this order, or None when it was known already.

        A model with something instead is asked again after an hour, one without at every question: it may be installed
        at any moment.
        """
        if target in self._gone:
            return None
        names = [*offered, *(HEALERS if target.provider == "openrouter" else ())]
        instead = tuple(Target(target.provider, name, target.options) for name in names if name != target.model)
        self._gone[target] = (self._clock() + _REPLACED_SECONDS, instead)
        return instead

    def gone(self) -> dict[str, str]:
        """Models that are gone, and what is asked first instead; for the status."""
        self._forget()
        return {str(target): str(instead[0]) for target, (_, instead) in self._gone.items() if instead}

    def _healed(self, targets: list[Target]) -> list[Target]:
        """The chain with every model that is gone replaced; OpenRouter's routers come after what somebody chose."""
        self._forget()
        if not self._gone:
            return targets
        chosen = [found for target in targets for found in self._instead(target) if found.model not in HEALERS]
        routers = [found for target in targets for found in self._instead(target) if found.model in HEALERS]
        last = [target for target in chosen if self.is_last_resort(target)]
        return list(dict.fromkeys([*(target for target in chosen if target not in last), *routers, *last]))

    def _instead(self, target: Target) -> tuple[Target, ...]:
        _, instead = self._gone.get(target, (0.0, ()))
        return instead or (target,)

    def _forget(self) -> None:
        now = self._clock()
        for target in [target for target, (until, _) in self._gone.items() if until <= now]:
            del self._gone[target]
