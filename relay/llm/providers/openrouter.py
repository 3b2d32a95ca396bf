"""OpenRouter: SSE with comments as keep-alive, exact cost in the last chunk, free models with a daily quota.

Rules from openrouter.ai/docs: attribution headers, usage always in the last chunk, GET /key costs nothing and reports
whether the key is valid, what it spent this month and how many free requests are left today.
"""

from __future__ import annotations

from typing import Any

from relay.core.errors import ModelError
from relay.llm.chat import ChatRequest, ModelFacts, ProviderStatus
from relay.llm.providers.json_values import as_amount, as_dict, as_dicts
from relay.llm.providers.openai_compatible import OpenAiProvider
from relay.llm.providers.openai_wire import request_body
from relay.llm.providers.upstream import Upstream

TITLE = "SMS and Telegram AI relay"


def attribution(app_url: str | None) -> dict[str, str]:
    """Headers that identify the app to OpenRouter; without an address it appears in none of its rankings."""
    return {"X-Title": TITLE, "X-OpenRouter-Title": TITLE, **({"HTTP-Referer": app_url} if app_url else {})}


class OpenRouterProvider(OpenAiProvider):
    """The paid and free models of openrouter.ai behind one key."""

    name = "openrouter"
    required_setting = "OPENROUTER_API_KEY"
    lists_all_models = False  # the list is too long to be kept
    has_free_quota = True
    auto_models = ("openrouter/auto", "openrouter/free")

    def __init__(self, upstream: Upstream, model: str, *, routing: dict[str, Any] | None = None) -> None:
        super().__init__(upstream, model)
        self._routing = routing or {}
        self._facts: ModelFacts | None = None

    def is_free(self, model: str) -> bool:
        return model.endswith(":free") or model == "openrouter/free"

    def _body(self, request: ChatRequest, model: str) -> dict[str, Any]:
        body = request_body(request, model)
        if self._routing:
            body["provider"] = self._routing
        for field in ("reasoning_effort", "chat_template_kwargs"):
            body.pop(field, None)
        if request.think is False:
            body["reasoning"] = {"exclude": True, "effort": "low"}
        elif not request.think:
            # Not "enabled": false, which models that cannot answer without reasoning refuse.
            body["reasoning"] = {"exclude": True}
        elif isinstance(request.think, str):
            body["reasoning"] = {"effort": request.think}
        if request.user:
            body["session_id"] = request.user[:256]  # keeps a user's prompt cache with one provider
        return body

    async def fetch_status(self) -> ProviderStatus:
        """Query /key, which also validates the key, and once the facts of the default model."""
        key = as_dict(as_dict(await self._upstream.fetch("/key")).get("data"))
        if self._facts is None:
            self._facts = await self._facts_of(self.default_model)
        names = dict.fromkeys((self.default_model, *self.auto_models))
        models = tuple(self._facts if name == self.default_model else ModelFacts(name) for name in names)
        free = as_dict(key.get("free_model_daily_requests"))
        used, limit = as_amount(free.get("used")), as_amount(free.get("limit"))
        return ProviderStatus(
            self.default_model,
            models,
            None if used is None else int(used),
            None if limit is None else int(limit),
            as_amount(key.get("usage_monthly")),
        )

    async def _facts_of(self, model: str) -> ModelFacts:
        """Context and vision support of one model; unknown when OpenRouter does not report them."""
        if model in self.auto_models:
            return ModelFacts(model)
        try:
            data = as_dict(as_dict(await self._upstream.fetch(f"/models/{model}/endpoints")).get("data"))
        except ModelError:
            return ModelFacts(model)
        lengths = [row.get("context_length") for row in as_dicts(data.get("endpoints"))]
        context = min((length for length in lengths if isinstance(length, int) and length > 0), default=None)
        inputs = as_dict(data.get("architecture")).get("input_modalities")
        return ModelFacts(model, context, "image" in inputs if isinstance(inputs, list) else None)
