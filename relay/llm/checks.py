"""What `--check` asks the model providers: whether they answer and have the model, and a one-word question."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from relay.config.checks import Finding, Severity
from relay.config.settings import Settings
from relay.core.errors import ModelError
from relay.core.http_client import open_transport
from relay.core.metrics import Metrics
from relay.llm.chat import ChatMessage, ChatRequest, Chunk, RequestTiming
from relay.llm.gateway.api_format import hint_of
from relay.llm.gateway.backend import Backend
from relay.llm.gateway.catalog import open_backends
from relay.llm.gateway.chain import Chain, Target
from relay.llm.gateway.environment import Environment
from relay.llm.gateway.gateway import Gateway
from relay.llm.gateway.metrics import LlmMetrics
from relay.llm.gateway.spend import SpendTracker

WHAT = "model"
QUESTION = "Reply with the single word: ready"
_MAX_SHOWN = 40
_SECONDS = 60.0
"""For the question; a local server may have to load the model first."""


async def check_model(settings: Settings, folder: Path) -> list[Finding]:
    """The findings about the model; a question is asked when a provider could answer it, and its cost is counted."""
    http, environment = open_transport(max_connections=10), Environment()
    try:
        backends = {backend.name: backend for backend in open_backends(settings, http, environment)}
        spend = SpendTracker(folder / settings.llm_spending_file, environment.wall)
        gateway = Gateway(settings, backends.values(), spend, LlmMetrics(Metrics()), environment)
        gateway.start()
        try:
            await gateway.first_probe_done()
            return [finding async for finding in _findings(settings, gateway, backends, environment)]
        finally:
            await gateway.stop()
    finally:
        await http.aclose()


async def _findings(
    settings: Settings, gateway: Gateway, backends: dict[str, Backend], environment: Environment
) -> AsyncIterator[Finding]:
    try:
        targets = Chain(settings, backends, environment.clock).default()
    except ModelError as error:
        yield _problem(error)
        return
    if not backends[targets[0].provider].provider.is_ai:
        yield Finding(Severity.NOTE, WHAT, f"no AI is connected; the demo answers from {settings.demo_faq_file}")
        return
    mistakes = [found for target in targets if (found := await _mistake(target, backends[target.provider]))]
    for mistake in mistakes:
        yield _problem(mistake)
    if len(mistakes) < len(targets):
        yield await _answer(gateway)


async def _mistake(target: Target, backend: Backend) -> ModelError | None:
    """Why a target cannot answer; a model that its provider does not list is a mistake even if it ignores names."""
    if backend.problem is not None:
        return backend.problem
    try:
        await backend.model(target.model or backend.provider.default_model)
    except ModelError as error:
        error.hint = error.hint or f"set the model of {backend.name} ({backend.name}_model, or in llm_sources) to one"
        return error
    return None


async def _answer(gateway: Gateway) -> Finding:
    """What the model says. It is stopped when it writes more than is shown: a small model may not find an end."""
    timing, text = RequestTiming(time.perf_counter()), ""

    async def on_chunk(chunk: Chunk) -> None:
        nonlocal text
        text += chunk.text
        if timing.stop is not None and len(text) > _MAX_SHOWN:
            timing.stop()

    request = ChatRequest((ChatMessage("user", QUESTION),), user="operator")
    try:
        async with asyncio.timeout(_SECONDS):
            summary = await gateway.ask(request, on_chunk, timing)
    except TimeoutError:
        return Finding(Severity.PROBLEM, WHAT, f"no answer to a one-word question within {_SECONDS:g} s")
    except ModelError as error:
        return _problem(error)
    shown = " ".join(text.split())[:_MAX_SHOWN]
    seconds = time.perf_counter() - timing.started
    return Finding(Severity.FINE, WHAT, f'{summary.provider}, {summary.model}: answered "{shown}" in {seconds:.1f} s')


def _problem(error: ModelError) -> Finding:
    return Finding(Severity.PROBLEM, WHAT, f"{error.message}: {hint_of(error)}")
