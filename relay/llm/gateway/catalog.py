"""Which sources there are: those that the settings name, and with `auto` what answers on this machine's usual ports.

It opens nothing itself; the HTTP transport is given.
"""

from __future__ import annotations

from pathlib import Path

import httpx
from pydantic import SecretStr

from relay.config.settings import Settings
from relay.llm.chat import Source
from relay.llm.gateway.backend import Station
from relay.llm.gateway.environment import Outside
from relay.llm.gateway.fair_queue import FairQueue
from relay.llm.providers.demo import DemoSource
from relay.llm.providers.faq import Faq
from relay.llm.providers.ollama_native import OllamaSource
from relay.llm.providers.openai_compatible import OpenAiSource
from relay.llm.providers.openrouter import OpenRouterSource, attribution
from relay.llm.providers.upstream import Upstream

_DEMO_AT_ONCE = 256


def stations(settings: Settings, http: httpx.AsyncBaseTransport, outside: Outside) -> list[Station]:
    """Every source that could be asked under these settings, in the order in which `auto` prefers them."""
    found: list[Station] = []
    if settings.openrouter_api_key is not None:
        found.append(_openrouter(settings, http, outside, settings.openrouter_api_key))
    found.append(_ollama(settings, http, outside))
    if settings.openai_base_url is not None:
        found.append(_openai(settings, http, outside, "openai", settings.openai_base_url, configured=True))
    if settings.llm_source == "auto":
        for port in outside.local_ports:
            address = f"http://127.0.0.1:{port}/v1"
            found.append(_openai(settings, http, outside, f"local-{port}", address, configured=False))
    demo = DemoSource(Faq(Path(settings.demo_faq_file)))
    found.append(
        Station(
            demo, _queue(settings, "demo", _DEMO_AT_ONCE), default="demo", configured=True, free=True, outside=outside
        )
    )
    # What somebody configured goes before what merely happens to run here; the demo is last as it stands.
    return sorted(found, key=lambda station: 2 if station.name == "demo" else not station.configured)


def _openrouter(settings: Settings, http: httpx.AsyncBaseTransport, outside: Outside, key: SecretStr) -> Station:
    upstream = _upstream(settings, http, "openrouter", settings.openrouter_base_url, key)
    source = OpenRouterSource(upstream, settings.openrouter_model, routing=settings.openrouter_provider)
    queue = _queue(settings, "openrouter", settings.openrouter_max_concurrent)
    return Station(source, queue, default=settings.openrouter_model, configured=True, free=False, outside=outside)


def _ollama(settings: Settings, http: httpx.AsyncBaseTransport, outside: Outside) -> Station:
    upstream = _upstream(settings, http, "ollama", settings.ollama_host, None)
    source = OllamaSource(upstream, settings.ollama_model, settings.ollama_context_tokens)
    queue = _queue(settings, "ollama", settings.ollama_max_concurrent)
    configured = settings.llm_source == "ollama" or bool({"ollama_host", "ollama_model"} & settings.model_fields_set)
    return Station(
        source, queue, default=settings.ollama_model or "", configured=configured, free=True, outside=outside
    )


def _openai(
    settings: Settings, http: httpx.AsyncBaseTransport, outside: Outside, name: str, base_url: str, *, configured: bool
) -> Station:
    upstream = _upstream(settings, http, name, base_url, settings.openai_api_key if configured else None)
    model = (settings.openai_model or "") if configured else ""
    queue = _queue(settings, name, settings.openai_max_concurrent)
    free = not configured or upstream.is_on_this_machine
    source: Source = OpenAiSource(upstream, model, name=name)
    return Station(source, queue, default=model, configured=configured, free=free, outside=outside)


def _queue(settings: Settings, source: str, at_once: int) -> FairQueue:
    return FairQueue(source, at_once, settings.llm_max_waiting)


def _upstream(
    settings: Settings, http: httpx.AsyncBaseTransport, source: str, base_url: str, secret: SecretStr | None
) -> Upstream:
    return Upstream(
        http,
        source,
        base_url,
        connect_seconds=settings.llm_connect_seconds,
        secret=secret.get_secret_value() if secret else None,
        headers=attribution(settings.openrouter_app_url) if source == "openrouter" else None,
    )
