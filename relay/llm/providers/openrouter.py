"""OpenRouter: SSE with comments as keep-alive, exact cost in the last chunk, free models with a daily quota.

Rules from openrouter.ai/docs: attribution headers, usage always in the last chunk, GET /key costs nothing and tells
whether the key is right, what it spent this month and how many free requests are left today.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from relay.core.errors import ModelError
from relay.llm.chat import ChatRequest, ModelFacts, ProviderStatus, RequestTiming, StreamEvent
from relay.llm.providers.json_values import as_amount, as_dict, as_dicts
from relay.llm.providers.openai_wire import COMMON_OPTIONS, events, request_body
from relay.llm.providers.upstream import Upstream

TITLE = "SMS and Telegram AI relay"
_OPTIONS = {**COMMON_OPTIONS, "top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"}
_ROUTERS = ("openrouter/auto", "openrouter/free")


def attribution(app_url: str | None) -> dict[str, str]:
    """Headers that tell OpenRouter which app asks; without an address it appears in none of its rankings."""
    return {"X-Title": TITLE, "X-OpenRouter-Title": TITLE, **({"HTTP-Referer": app_url} if app_url else {})}


class OpenRouterProvider:
    """The paid and free models of openrouter.ai behind one key."""

    name = "openrouter"

    def __init__(self, upstream: Upstream, model: str, *, routing: dict[str, Any] | None = None) -> None:
        self._upstream = upstream
        self._model = model
        self._routing = routing or {}
        self._facts: ModelFacts | None = None

    async def answer(
        self, request: ChatRequest, model: str, timing: RequestTiming
    ) -> AsyncGenerator[StreamEvent, None]:
        body = request_body(request, model, _OPTIONS)
        if self._routing:
            body["provider"] = self._routing
        if not request.think:
            # Not "enabled": false, which models that cannot do without reasoning refuse.
            body["reasoning"] = {"exclude": True}
        elif isinstance(request.think, str):
            body["reasoning"] = {"effort": request.think}
        if request.person:
            body["session_id"] = request.person[:256]  # keeps a person's prompt cache with one provider
        async with (
            self._upstream.stream("/chat/completions", body, timing, with_images=request.has_images) as stream,
            aclosing(events(stream, model)) as answer,
        ):
            async for event in answer:
                yield event

    async def fetch_status(self) -> ProviderStatus:
        """Asks /key, which also proves the key, and once what the model can do."""
        key = as_dict(as_dict(await self._upstream.get("/key")).get("data"))
        if self._facts is None:
            self._facts = await self._facts_of(self._model)
        names = dict.fromkeys((self._model, *_ROUTERS))
        models = tuple(self._facts if name == self._model else ModelFacts(name) for name in names)
        free = as_dict(key.get("free_model_daily_requests"))
        used, limit = as_amount(free.get("used")), as_amount(free.get("limit"))
        return ProviderStatus(
            self._model,
            models,
            None if used is None else int(used),
            None if limit is None else int(limit),
            as_amount(key.get("usage_monthly")),
        )

    async def _facts_of(self, model: str) -> ModelFacts:
        """Context and eyes of one model; unknown when OpenRouter does not tell, which stops nothing."""
        if model in _ROUTERS:
            return ModelFacts(model)
        try:
            data = as_dict(as_dict(await self._upstream.get(f"/models/{model}/endpoints")).get("data"))
        except ModelError:
            return ModelFacts(model)
        lengths = [row.get("context_length") for row in as_dicts(data.get("endpoints"))]
        context = min((length for length in lengths if isinstance(length, int) and length > 0), default=None)
        inputs = as_dict(data.get("architecture")).get("input_modalities")
        return ModelFacts(model, context, "image" in inputs if isinstance(inputs, list) else None)
