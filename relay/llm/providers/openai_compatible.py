"""Any OpenAI-compatible server: vLLM, llama.cpp, LM Studio, LiteLLM, or a paid one with a key."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from relay.core.errors import ModelFailure
from relay.llm.chat import ChatRequest, ModelFacts, ProviderError, ProviderStatus, RequestTiming, StreamEvent
from relay.llm.providers.json_values import as_dict, as_dicts, as_int, as_text
from relay.llm.providers.openai_wire import events, request_body
from relay.llm.providers.upstream import Upstream


class OpenAiProvider:
    """`model` is asked for by default; the server's first one when it is empty."""

    def __init__(self, upstream: Upstream, model: str | None, name: str = "openai") -> None:
        self.name = name
        self._upstream = upstream
        self._model = model

    async def answer(
        self, request: ChatRequest, model: str, timing: RequestTiming
    ) -> AsyncGenerator[StreamEvent, None]:
        body = request_body(request, model)
        async with (
            self._upstream.stream("/chat/completions", body, timing, with_images=request.has_images) as stream,
            aclosing(events(stream, model)) as answer,
        ):
            async for event in answer:
                yield event

    async def fetch_status(self) -> ProviderStatus:
        listed = await self._upstream.get("/models")
        found = as_dict(listed).get("data")
        if not isinstance(found, list):
            raise self._upstream.broken("does not list its models; is openai_base_url right, with its /v1?")
        models = tuple(ModelFacts(row["id"], _context(row)) for row in as_dicts(found) if as_text(row.get("id")))
        model = self._model or next((facts.name for facts in models if "embed" not in facts.name.lower()), "")
        if not model:
            raise ProviderError(ModelFailure.NOT_FOUND, f"{self.name} at {self._upstream.address} has no model loaded")
        return ProviderStatus(model, models)


def _context(row: dict[str, object]) -> int | None:
    """What vLLM calls max_model_len others context_length; most say nothing."""
    return as_int(row.get("max_model_len")) or as_int(row.get("context_length")) or None
