"""Which sources there are: those that the settings name, and with `auto` what answers on this machine's usual ports.

It opens nothing itself; the HTTP transport is given.
"""

from __future__ import annotations

from pathlib import Path

import httpx
from pydantic import SecretStr

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

_DEMO_MAX_CONCURRENT = 256


def backends(settings: Settings, http: httpx.AsyncBaseTransport, environment: Environment) -> list[Backend]:
    """Every source that could be asked under these settings, in the order in which `auto` prefers them."""
    found: list[Backend] = []
    if settings.openrouter_api_key is not None:
        found.append(_openrouter(settings, http, environment, settings.openrouter_api_key))
    found.append(_ollama(settings, http, environment))
    if settings.openai_base_url is not None:
        found.append(_openai(settings, http, environment, "openai", settings.openai_base_url, configured=True))
    if settings.llm_source == "auto":
        for port in environment.local_ports:
            address = f"http://127.0.0.1:{port}/v1"
            found.append(_openai(settings, http, environment, f"local-{port}", address, configured=False))
    demo = DemoProvider(Faq(Path(settings.demo_faq_file)))
    found.append(
        Backend(
            demo,
            _queue(settings, "demo", _DEMO_MAX_CONCURRENT),
            default="demo",
            configured=True,
            free=True,
            environment=environment,
        )
    )
    # What somebody configured goes before what merely happens to run here; the demo is last as it stands.
    return sorted(found, key=lambda backend: 2 if backend.name == "demo" else not backend.configured)


def _openrouter(
    settings: Settings, http: httpx.AsyncBaseTransport, environment: Environment, key: SecretStr
) -> Backend:
    upstream = _upstream(settings, http, "openrouter", settings.openrouter_base_url, key)
    provider = OpenRouterProvider(upstream, settings.openrouter_model, routing=settings.openrouter_provider)
    queue = _queue(settings, "openrouter", settings.openrouter_max_concurrent)
    return Backend(
        provider, queue, default=settings.openrouter_model, configured=True, free=False, environment=environment
    )


def _ollama(settings: Settings, http: httpx.AsyncBaseTransport, environment: Environment) -> Backend:
    upstream = _upstream(settings, http, "ollama", settings.ollama_host, None)
    provider = OllamaProvider(upstream, settings.ollama_model, settings.ollama_context_tokens)
    queue = _queue(settings, "ollama", settings.ollama_max_concurrent)
    configured = settings.llm_source == "ollama" or bool({"ollama_host", "ollama_model"} & settings.model_fields_set)
    return Backend(
        provider, queue, default=settings.ollama_model or "", configured=configured, free=True, environment=environment
    )


def _openai(
    settings: Settings,
    http: httpx.AsyncBaseTransport,
    environment: Environment,
    name: str,
    base_url: str,
    *,
    configured: bool,
) -> Backend:
    upstream = _upstream(settings, http, name, base_url, settings.openai_api_key if configured else None)
    model = (settings.openai_model or "") if configured else ""
    queue = _queue(settings, name, settings.openai_max_concurrent)
    free = not configured or upstream.is_on_this_machine
    provider: Provider = OpenAiProvider(upstream, model, name=name)
    return Backend(provider, queue, default=model, configured=configured, free=free, environment=environment)


def _queue(settings: Settings, provider: str, at_once: int) -> FairQueue:
    return FairQueue(provider, at_once, settings.llm_max_waiting)


def _upstream(
    settings: Settings, http: httpx.AsyncBaseTransport, provider: str, base_url: str, secret: SecretStr | None
) -> Upstream:
    return Upstream(
        http,
        provider,
        base_url,
        connect_seconds=settings.llm_connect_seconds,
        secret=secret.get_secret_value() if secret else None,
        headers=attribution(settings.openrouter_app_url) if provider == "openrouter" else None,
    )
