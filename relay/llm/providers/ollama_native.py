"""Ollama's own protocol: NDJSON, thinking switched off explicitly, models that must be installed.

Rules from Ollama's docs/api.md: an absent `think` means true for models that can think, and false is taken by all;
an error in mid-stream is one line {"error": "..."}; a stream without done:true was cut off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from relay.core.errors import ModelFailure
from relay.llm.chat import (
    ChatMessage,
    ChatRequest,
    Chunk,
    Completion,
    Embeddings,
    ModelFacts,
    Provider,
    ProviderError,
    ProviderStatus,
    RequestTiming,
    StreamEvents,
    ToolCall,
)
from relay.llm.providers.json_values import as_arguments, as_dict, as_dicts, as_int, as_text, as_vectors
from relay.llm.providers.tool_calls import identified, linked
from relay.llm.providers.upstream import Stream, Upstream

DEFAULT_CONTEXT = 4096
"""Ollama's default context in tokens on machines with less than 24 GB of video memory."""
LARGER_CONTEXT = 8192
"""What instructions and documents of the usual size need, with a conversation; its memory is a few hundred MB."""
_NOT_OLLAMA = "the server at ollama_host answers in OpenAI's protocol: set openai_base_url to it instead"
_CONCURRENT_SHOWS = 8
_LEARN_SECONDS = 2.0


class OllamaProvider(Provider):
    """Without a `model` the default is the first installed one that can chat."""

    name = "ollama"
    truncates_silently = True

    def __init__(self, upstream: Upstream, model: str, context: int | None = None) -> None:
        self._upstream = upstream
        self.default_model = model
        self._context = context
        self.larger_context = None if context else LARGER_CONTEXT
        self._capabilities: dict[str, Any] = {}

    async def answer(self, request: ChatRequest, model: str, timing: RequestTiming) -> StreamEvents:
        try:
            async with self._upstream.stream(
                "/api/chat", self._body(request, model), timing, with_images=request.has_images
            ) as stream:
                completion, called = None, False
                async for lines in stream.lines():
                    chunk, completion = _read(stream, lines, model)
                    if chunk is not None:
                        called = called or bool(chunk.tool_calls)
                        yield chunk
                    if completion is not None:
                        break
                if completion is None:
                    raise stream.broke_off()
                await stream.drain()
                yield completion._replace(reason="tool_calls") if called and completion.reason == "stop" else completion
        except ProviderError as error:
            if error.kind is ModelFailure.NOT_FOUND:
                raise await self._missing(model) from None
            raise

    def _body(self, request: ChatRequest, model: str) -> dict[str, Any]:
        options = {key: value for key, value in request.options.items() if key != "parallel_tool_calls"}
        if "logit_bias" in options:
            raise ProviderError(ModelFailure.BAD_REQUEST, "logit_bias: ollama cannot weigh single tokens")
        if self._context:
            options.setdefault("num_ctx", self._context)
        optional = {
            "options": options,
            "format": request.format if isinstance(request.format, str) else (request.format or {}).get("schema"),
            "tools": [] if request.tool_choice == "none" else list(request.tools),
            "keep_alive": request.keep_alive,
        }
        return {
            "model": model,
            "messages": [_message(message) for message in linked(request.messages)],
            "stream": True,
            "think": request.think or False,
            **{key: value for key, value in optional.items() if value not in (None, {}, [], "")},
        }

    async def embed(self, texts: Sequence[str], model: str, options: Mapping[str, Any]) -> Embeddings:
        body = {"model": model, "input": list(texts), **options}
        try:
            async with self._upstream.stream("/api/embed", body, RequestTiming(0.0)) as stream:
                answer = as_dict(await stream.document())
        except ProviderError as error:
            if error.kind is ModelFailure.NOT_FOUND:
                raise await self._missing(model) from None
            raise
        vectors = as_vectors(answer.get("embeddings"), len(texts))
        if vectors is None:
            raise self._upstream.broken("sent something that is no embedding")
        return Embeddings(vectors, as_text(answer.get("model")) or model, as_int(answer.get("prompt_eval_count")), 0.0)

    async def load(self, model: str, keep_alive: str | float | None) -> None:
        """Send a request without messages, which Ollama answers when the model is in memory, or out of it."""
        body = {"model": model, "messages": [], "stream": False}
        body |= {} if keep_alive is None else {"keep_alive": keep_alive}
        async with self._upstream.stream("/api/chat", body, RequestTiming(0.0)) as stream:
            await stream.document()

    async def _missing(self, model: str) -> ProviderError:
        """The error for a model that is not installed; its message lists the installed ones."""
        try:
            names = [facts.name for facts in (await self.fetch_status()).models]
        except ProviderError:
            names = []
        there = f"installed are: {', '.join(names[:12])}" if names else "none is installed"
        return ProviderError(
            ModelFailure.NOT_FOUND, f"ollama has no model {model!r}; {there}. To get it: ollama pull {model}"
        )

    async def fetch_status(self) -> ProviderStatus:
        listed = await self._upstream.fetch("/api/tags")
        found = as_dict(listed).get("models")
        if not isinstance(found, list):
            raise self._upstream.broken("is not Ollama; is ollama_host right?")
        rows = [row for row in as_dicts(found) if as_text(row.get("name"))]
        await self._learn(rows)
        models = tuple(self._facts(row) for row in rows)
        model = self.default_model or next((facts.name for facts in models if _chats(facts)), "")
        if not model:
            raise ProviderError(
                ModelFailure.NOT_FOUND,
                f"ollama at {self._upstream.address} has no model installed. To get one: ollama pull llama3.2",
            )
        return ProviderStatus(model, models)

    async def _learn(self, rows: Iterable[dict[str, Any]]) -> None:
        """Ask for the capabilities of unknown models for up to 2 s; the next probe asks for the rest."""
        first = {self.default_model, f"{self.default_model}:latest"}
        ordered = sorted(rows, key=lambda row: row["name"] not in first)
        unknown = deque(row for row in ordered if _mark(row) not in self._capabilities)

        async def ask() -> None:
            while unknown:
                row = unknown.popleft()
                with suppress(ProviderError):
                    shown = as_dict(await self._upstream.fetch("/api/show", {"model": row["name"]}))
                    self._capabilities[_mark(row)] = shown.get("capabilities")

        with suppress(TimeoutError):
            async with asyncio.timeout(_LEARN_SECONDS):
                await asyncio.gather(*(ask() for _ in range(_CONCURRENT_SHOWS)))

    def _facts(self, row: dict[str, Any]) -> ModelFacts:
        details: dict[str, Any] = {key: row[key] for key in ("size", "digest", "modified_at", "details") if key in row}
        able = self._capabilities.get(_mark(row))
        if _mark(row) in self._capabilities:
            details["capabilities"] = able
        supports_vision = "vision" in able if isinstance(able, list) else None
        return ModelFacts(row["name"], self._context or DEFAULT_CONTEXT, supports_vision, details)


def _mark(row: dict[str, Any]) -> str:
    """A name for one version of an installed model."""
    return f"{row['name']} {row.get('digest')}"


def _chats(facts: ModelFacts) -> bool:
    able = facts.details.get("capabilities")
    return "completion" in able if isinstance(able, list) else "embed" not in facts.name


def _message(message: ChatMessage) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        if any(image.url for image in message.images):
            raise ProviderError(ModelFailure.BAD_REQUEST, "ollama takes pictures as data only, not by their address")
        fields["images"] = [image.data for image in message.images]
    if message.tool_calls:
        fields["tool_calls"] = encoded_calls(message.tool_calls)
    if message.tool_name:
        fields["tool_name"] = message.tool_name
    if message.tool_call_id:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def encoded_calls(calls: Iterable[ToolCall], first: int = 0) -> list[dict[str, Any]]:
    """Tool calls as the protocol has them, with indexes from `first`."""
    return [
        {"id": call.id, "function": {"index": number, "name": call.name, "arguments": call.arguments}}
        for number, call in enumerate(calls, first)
    ]


def _read(stream: Stream, lines: list[bytes], model: str) -> tuple[Chunk | None, Completion | None]:
    """Merge the lines of one read into one chunk, and the completion if it is among them."""
    said, thinking, completion = "", "", None
    calls: tuple[ToolCall, ...] = ()
    for data in (value for line in _data_lines(lines) for value in stream.parsed(line)):
        if isinstance(data.get("choices"), list):
            raise ProviderError(ModelFailure.UNAVAILABLE, _NOT_OLLAMA)
        if data.get("error"):
            error = stream.error(data)
            error.billed = bool(said or thinking)  # the beginning of the answer came in the same read
            raise error
        message = data.get("message")
        if isinstance(message, dict):
            said += as_text(message.get("content"))
            thinking += as_text(message.get("thinking"))
            if "tool_calls" in message:
                calls += tuple(call for row in as_dicts(message["tool_calls"]) if (call := _call(row)).name)
        if data.get("done"):
            completion = _finish(data, model)
            break
    chunk = Chunk(said, thinking, calls) if said or thinking or calls else None
    return chunk, completion


def _data_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines without what a proxy that turns them into server-sent events adds."""
    for line in lines:
        data = line.removeprefix(b"data:").strip()
        if data and data != b"[DONE]" and not data.startswith((b":", b"event:", b"id:", b"retry:")):
            yield data


def _call(call: dict[str, Any]) -> ToolCall:
    function = as_dict(call.get("function"))
    arguments = as_arguments(function.get("arguments")) or {}
    return identified(ToolCall(as_text(function.get("name")), arguments, as_text(call.get("id"))))


def _finish(data: dict[str, Any], model: str) -> Completion:
    return Completion(
        "length" if data.get("done_reason") == "length" else "stop",
        as_text(data.get("model")) or model,
        as_int(data.get("prompt_eval_count")),
        as_int(data.get("eval_count")),
        0.0,
        as_int(data.get("load_duration")),
        as_int(data.get("prompt_eval_duration")),
        as_int(data.get("eval_duration")),
    )
