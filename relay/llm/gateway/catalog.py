"""Builds the backends: providers named by the settings and, with `auto`, servers on this machine's usual ports.

Opens no connection itself; the HTTP transport is injected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx

from relay.config.logs import Redactor
from relay.config.settings import Settings
from relay.llm.chat import Provider
from relay.llm.gateway.backend import Backend
from relay.llm.gateway.environment import Environment
from relay.llm.gateway.fair_queue import FairQueue
from relay.llm.providers.demo import DemoProvider
from relay.llm.providers.faq import Faq
from relay.llm.providers.ollama_native import OllamaProvider
from relay.llm.providers.openai_compatible import OpenAiProvider
from relay.llm.providers.openrouter import OpenRouterProvider, attribution
from relay.llm.providers.upstream import Upstream

REQUIRED_SETTINGS = {provider.name: provider.required_setting for provider in (OpenRouterProvider, OpenAiProvider)}
"""Providers that exist only with a setting, and the environment variable of it."""
_DEMO_MAX_CONCURRENT = 256
_PROGRAM_FOLDER = Path(__file__).resolve().parents[3]


def open_backends(settings: Settings, http: httpx.AsyncBaseTransport, environment: Environment) -> list[Backend]:
    """Every provider that these settings allow, in the order of preference of `auto`.

    Configured providers come before auto-detected ones; the demo is last.
    """
    upstream = partial(
        Upstream,
        http.handle_async_request,
        connect_seconds=settings.llm_connect_seconds,
        redact=Redactor(settings.secrets()).redact,
    )
    ports = environment.local_ports if settings.llm_source == "auto" else ()
    backends = [
        Backend(
            provider,
            FairQueue(provider.name, max_active, settings.llm_max_waiting),
            environment,
            configured=configured,
        )
        for provider, max_active, configured in _providers(settings, upstream, ports)
    ]
    return sorted(backends, key=lambda backend: not backend.configured if backend.provider.is_ai else 2)


def _faq_file(settings: Settings) -> Path:
    """The FAQ of the settings folder; where there is none, that of the program's folder."""
    own = Path(settings.demo_faq_file)
    shipped = _PROGRAM_FOLDER / own
    return shipped if shipped.exists() and not own.exists() else own


def _providers(
    settings: Settings, upstream: Callable[..., Upstream], ports: tuple[int, ...]
) -> Iterator[tuple[Provider, int, bool]]:
    """Each provider, how many requests it takes at once, and whether a setting names it."""
    if settings.openrouter_api_key is not None:
        server = upstream(
            OpenRouterProvider.name,
            settings.openrouter_base_url,
            secret=settings.openrouter_api_key,
            headers=attribution(settings.openrouter_app_url),
        )
        openrouter = OpenRouterProvider(server, settings.openrouter_model, routing=settings.openrouter_provider)
        yield openrouter, settings.openrouter_max_concurrent, True
    server = upstream(OllamaProvider.name, settings.ollama_host)
    ollama = OllamaProvider(server, settings.ollama_model or "", settings.ollama_context_tokens)
    named = settings.llm_source == ollama.name or bool({"ollama_host", "ollama_model"} & settings.model_fields_set)
    yield ollama, settings.ollama_max_concurrent, named
    if settings.openai_base_url is not None:
        server = upstream(OpenAiProvider.name, settings.openai_base_url, secret=settings.openai_api_key)
        is_free = server.is_on_this_machine and settings.openai_api_key is None  # a LiteLLM with keys bills
        openai = OpenAiProvider(server, settings.openai_model or "", local=is_free, vision=settings.openai_vision)
        yield openai, settings.openai_max_concurrent, True
    for name, own in settings.llm_sources.items():
        server = upstream(name, own.base_url, secret=own.api_key)
        provider = OpenAiProvider(server, own.model or "", local=own.is_free, vision=own.vision)
        yield provider, own.max_concurrent, True
    for port in ports:
        server = upstream(f"local-{port}", f"http://127.0.0.1:{port}/v1")
        yield OpenAiProvider(server, "", local=True), settings.openai_max_concurrent, False
    yield DemoProvider(Faq(_faq_file(settings))), _DEMO_MAX_CONCURRENT, True
