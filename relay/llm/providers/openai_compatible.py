"""Any OpenAI-compatible server: vLLM, llama.cpp, LM Studio, LiteLLM, or a paid one with a key."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from relay.core.errors import ModelFailure
from relay.llm.chat import (
    ChatRequest,
    Embeddings,
    ModelFacts,
    Provider,
    ProviderError,
    ProviderStatus,
    RequestTiming,
    StreamEvents,
)
from relay.llm.providers.json_values import as_amount, as_dict, as_dicts, as_int, as_text, as_vectors
from relay.llm.providers.openai_wire import AnswerReader, request_body
from relay.llm.providers.refused_fields import RefusedFields
from relay.llm.providers.upstream import Upstream

_MAX_FIELDS_REFUSED = 4
"""How many fields one request may turn out to have too many."""


class OpenAiProvider(Provider):
    """Without a `model` the default is the server's first one. Only a `local` server is free of charge.

    vision: whether the default model sees pictures; None: unknown.
    """

    name = "openai"
    required_setting = "OPENAI_BASE_URL"

    def __init__(self, upstream: Upstream, model: str, *, local: bool = False, vision: bool | None = None) -> None:
        self.name = upstream.provider
        self.default_model = model
        self._upstream = upstream
        self._local = local
        self._vision = vision
        self._refused = RefusedFields()

    @property
    def refused_fields(self) -> Mapping[str, Collection[str]]:
        return self._refused.names

    def is_free(self, model: str) -> bool:  # noqa: ARG002 (the server decides, not the model)
        return self._local

    async def answer(self, request: ChatRequest, model: str, timing: RequestTiming) -> StreamEvents:
        whole = self._body(request, model)
        for more in reversed(range(_MAX_FIELDS_REFUSED + 1)):
            began, body = False, self._refused.left_out(whole)
            try:
                async with aclosing(self._answer(body, timing, with_images=request.has_images)) as events:
                    async for event in events:
                        began = True
                        yield event
            except ProviderError as error:
                if began or not more or not self._refused.learn(body, error):
                    raise
            else:
                return

    async def _answer(self, body: dict[str, Any], timing: RequestTiming, *, with_images: bool) -> StreamEvents:
        async with self._upstream.stream("/chat/completions", body, timing, with_images=with_images) as stream:
            reader = AnswerReader(stream, body["model"])
            if await stream.is_document():  # a server that does not stream, or an error with status 200
                for value in await stream.objects():
                    if (chunk := reader.take(value)) is not None:
                        yield chunk
            else:
                async for lines in stream.lines():
                    if (chunk := reader.read(lines)) is not None:
                        yield chunk
                    if reader.done:
                        break
                    if reader.finished:
                        stream.finish_soon()
                await stream.drain()
            for event in reader.end():
                yield event

    async def embed(self, texts: Sequence[str], model: str, options: Mapping[str, Any]) -> Embeddings:
        body = {"model": model, "input": list(texts)}
        body |= {key: value for key, value in options.items() if key == "dimensions"}
        async with self._upstream.stream("/embeddings", body, RequestTiming(0.0)) as stream:
            answer = as_dict(await stream.document())
            if answer.get("error"):
                raise stream.error(answer)
        rows = sorted(as_dicts(answer.get("data")), key=lambda row: as_int(row.get("index")))
        vectors = as_vectors([row.get("embedding") for row in rows], len(texts))
        if vectors is None:
            raise self._upstream.broken("sent something that is no embedding")
        usage, used = as_dict(answer.get("usage")), as_text(answer.get("model")) or model
        return Embeddings(vectors, used, as_int(usage.get("prompt_tokens")), as_amount(usage.get("cost")))

    def _body(self, request: ChatRequest, model: str) -> dict[str, Any]:
        body = request_body(request, model)
        if (penalty := body.get("repetition_penalty")) is not None:
            body["repeat_penalty"] = penalty  # the name of llama.cpp and LM Studio
        return body

    async def fetch_status(self) -> ProviderStatus:
        try:
            listed = await self._upstream.fetch("/models")
        except ProviderError as error:
            if error.kind is ModelFailure.NOT_FOUND:
                error.hint = f"check the address {self._upstream.base_url}; most servers need a /v1 at its end"
            raise
        found = as_dict(listed).get("data")
        if not isinstance(found, list):
            raise self._upstream.broken("does not list its models; is its base URL right, with its /v1?")
        models = tuple(ModelFacts(row["id"], _context(row)) for row in as_dicts(found) if as_text(row.get("id")))
        model = self.default_model or next((facts.name for facts in models if "embed" not in facts.name.lower()), "")
        if not model:
            raise ProviderError(ModelFailure.NOT_FOUND, f"{self.name} at {self._upstream.address} has no model loaded")
        seeing = (replace(facts, supports_vision=self._vision) if facts.name == model else facts for facts in models)
        return ProviderStatus(model, tuple(seeing))


def _context(row: dict[str, object]) -> int | None:
    """Called max_model_len by vLLM and context_length by others; most servers omit it."""
    return as_int(row.get("max_model_len")) or as_int(row.get("context_length")) or None
