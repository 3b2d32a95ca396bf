"""Resolves model names, aliases and fallbacks to an ordered chain of targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from relay.config.settings import Settings
from relay.core.errors import ModelError, ModelFailure
from relay.llm.gateway.backend import Backend
from relay.llm.gateway.catalog import REQUIRED_SETTINGS

_REPLACED_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Target:
    """A model of a provider ("" for its default) with its own request options."""

    provider: str
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider


class Chain:
    """Builds the chain for a model name; caches removed models and their replacements."""

    def __init__(self, settings: Settings, backends: Mapping[str, Backend], clock: Callable[[], float]) -> None:
        self._settings = settings
        self._backends = backends
        self._clock = clock
        self._last_resort = next(name for name, backend in backends.items() if not backend.provider.is_ai)
        self._missing: dict[Target, tuple[float, tuple[Target, ...]]] = {}

    def of(self, name: str) -> tuple[list[Target], bool]:
        """Targets for a model name, and whether a removed model may be replaced (not when the caller named one).

        "" and "default" mean the configured chain. Raises ModelError when nothing is configured.
        """
        if name in ("", "default"):
            return self._with_replacements(self.default()), True
        alias = self._settings.llm_aliases.get(name)
        if alias is not None:
            options = {key: value for key, value in alias.items() if key != "model"}
            target = replace(self._read(alias["model"]), options=options)
            return self._with_replacements(list(dict.fromkeys([target, *self.default()]))), True
        return [self._read(name)], False

    def default(self) -> list[Target]:
        """The configured provider or those that `auto` finds, the fallbacks, and the last resort."""
        chosen = self._settings.llm_source
        usable = self._found() if chosen == "auto" else [self._configured(chosen)]
        fallbacks = [self._read(text) for text in self._settings.llm_fallbacks]
        if fallbacks:
            usable = [*usable[:1], *fallbacks]
        if not usable and self._settings.simulated:
            usable = [Target(self._last_resort)]
        if not usable and not self._settings.llm_last_resort:
            raise ModelError(
                ModelFailure.UNAVAILABLE,
                "no model is configured",
                hint="set OPENROUTER_API_KEY or OPENAI_BASE_URL, or start Ollama on this machine; see docs/SETTINGS.md",
            )
        last = [Target(self._last_resort)] if self._settings.llm_last_resort else []
        return list(dict.fromkeys([*usable, *last]))

    def is_last_resort(self, target: Target) -> bool:
        wanted = self._settings.llm_last_resort and self._settings.llm_source != self._last_resort
        return wanted and target.provider == self._last_resort

    def _found(self) -> list[Target]:
        """Configured providers in any state, auto-detected ones while they answer."""
        return [
            Target(backend.name)
            for backend in self._backends.values()
            if backend.provider.is_ai and (backend.configured or backend.answers)
        ]

    def _configured(self, provider: str) -> Target:
        if provider not in self._backends:
            raise ModelError(
                ModelFailure.UNAVAILABLE,
                f"the source {provider} is not configured",
                hint=f"set {REQUIRED_SETTINGS.get(provider, 'LLM_SOURCE')}, or llm_source=auto; see docs/SETTINGS.md",
            )
        return Target(provider)

    def _read(self, text: str) -> Target:
        """Parse `provider`, `provider:model`, or a model of the default provider."""
        provider, _, model = text.partition(":")
        if provider in self._backends:
            return Target(provider, model)
        if provider in REQUIRED_SETTINGS and (model or text == provider):
            return self._configured(provider)
        if self._settings.llm_source != "auto":
            return Target(self._configured(self._settings.llm_source).provider, text)
        return Target(next((target.provider for target in self._found()), self._last_resort), text)

    # -- removed models ------------------------------------------------------------------------------------------------

    def mark_missing(self, target: Target, offered: Iterable[str]) -> tuple[Target, ...] | None:
        """Record a removed model; returns its replacements in order, or None when it was recorded before.

        A model with replacements is retried after an hour; one without at every request, since it may be installed any
        time.
        """
        if target in self._missing:
            return None
        names = [*offered, *self._auto_models(target)]
        instead = tuple(Target(target.provider, name, target.options) for name in names if name != target.model)
        self._missing[target] = (self._clock() + _REPLACED_SECONDS, instead)
        return instead

    def replaced(self) -> dict[str, str]:
        """Removed models and their first replacement, for the status."""
        self._forget()
        return {str(target): str(instead[0]) for target, (_, instead) in self._missing.items() if instead}

    def _with_replacements(self, targets: list[Target]) -> list[Target]:
        """The chain with removed models replaced; automatic models come after all chosen ones."""
        self._forget()
        if not self._missing:
            return targets
        found = [other for target in targets for other in self._instead(target)]
        routers = [target for target in found if target.model in self._auto_models(target)]
        chosen = [target for target in found if target not in routers]
        last = [target for target in chosen if self.is_last_resort(target)]
        return list(dict.fromkeys([*(target for target in chosen if target not in last), *routers, *last]))

    def _instead(self, target: Target) -> tuple[Target, ...]:
        _, instead = self._missing.get(target, (0.0, ()))
        return instead or (target,)

    def _auto_models(self, target: Target) -> tuple[str, ...]:
        return self._backends[target.provider].provider.auto_models

    def _forget(self) -> None:
        now = self._clock()
        for target in [target for target, (until, _) in self._missing.items() if until <= now]:
            del self._missing[target]
