"""Builds the backends: providers named by the settings and, with `auto`, servers on this machine's usual ports.

Opens no connection itself; the HTTP transport is injected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr

from relay.config.settings import Settings
from relay.llm.chat import Provider
from relay.llm.gateway.backend import Backend
from relay.llm.gateway.environment import Environment
from relay.llm.gateway.fair_queue import FairQueue
from relay.llm.gateway.quota import FreeQuota
from relay.llm.providers.demo import DemoProvider
from relay.llm.providers.faq import Faq
from relay.llm.providers.ollama_native import OllamaProvider
from relay.llm.providers.openai_compatible import OpenAiProvider
from relay.llm.providers.openrouter import OpenRouterProvider, attribution
from relay.llm.providers.upstream import Upstream

REQUIRED_SETTINGS = {provider.name: provider.required_setting for provider in (OpenRouterProvider, OpenAiProvider)}
"""Providers that exist only with a setting, and the environment variable of it."""
_DEMO_MAX_CONCURRENT = 256


def open_backends(settings: Settings, http: httpx.AsyncBaseTransport, environment: Environment) -> list[Backend]:
    """Every provider that these settings allow, in the order of preference of `auto`.

    Configured providers come before auto-detected ones; the demo is last.
    """
    found = _Catalog(settings, http, environment).backends()
    return sorted(found, key=lambda backend: not backend.configured if backend.provider.is_ai else 2)


@dataclass(frozen=True, slots=True)
class _Catalog:
    settings: Settings
    http: httpx.AsyncBaseTransport
    environment: Environment

    def backends(self) -> Iterator[Backend]:
        settings = self.settings
        if settings.openrouter_api_key is not None:
            yield self._openrouter(settings.openrouter_api_key)
        yield self._ollama()
        if settings.openai_base_url is not None:
            upstream = self._upstream(OpenAiProvider.name, settings.openai_base_url, settings.openai_api_key)
            provider = OpenAiProvider(upstream, settings.openai_model or "", local=upstream.is_on_this_machine)
            yield self._backend(provider, settings.openai_max_concurrent)
        for port in self.environment.local_ports if settings.llm_source == "auto" else ():
            local = OpenAiProvider(self._upstream(f"local-{port}", f"http://127.0.0.1:{port}/v1"), "", local=True)
            yield self._backend(local, settings.openai_max_concurrent, configured=False)
        yield self._backend(DemoProvider(Faq(Path(settings.demo_faq_file))), _DEMO_MAX_CONCURRENT)

    def _openrouter(self, key: SecretStr) -> Backend:
        settings = self.settings
        headers = attribution(settings.openrouter_app_url)
        upstream = self._upstream(OpenRouterProvider.name, settings.openrouter_base_url, key, headers)
        provider = OpenRouterProvider(upstream, settings.openrouter_model, routing=settings.openrouter_provider)
        return self._backend(provider, settings.openrouter_max_concurrent, quota=FreeQuota(self.environment.wall))

    def _ollama(self) -> Backend:
        settings = self.settings
        upstream = self._upstream(OllamaProvider.name, settings.ollama_host)
        provider = OllamaProvider(upstream, settings.ollama_model or "", settings.ollama_context_tokens)
        chosen = settings.llm_source == provider.name
        configured = chosen or bool({"ollama_host", "ollama_model"} & settings.model_fields_set)
        return self._backend(provider, settings.ollama_max_concurrent, configured=configured)

    def _backend(
        self, provider: Provider, max_active: int, *, configured: bool = True, quota: FreeQuota | None = None
    ) -> Backend:
        queue = FairQueue(provider.name, max_active, self.settings.llm_max_waiting)
        return Backend(provider, queue, self.environment, configured=configured, quota=quota)

    def _upstream(
        self, name: str, base_url: str, secret: SecretStr | None = None, headers: Mapping[str, str] | None = None
    ) -> Upstream:
        return Upstream(
            self.http.handle_async_request,
            name,
            base_url,
            connect_seconds=self.settings.llm_connect_seconds,
            secret=secret.get_secret_value() if secret else None,
            headers=headers,
        )
