"""Ollama's protocol as a server speaks it: POST /api/chat, NDJSON, durations in nanoseconds.

Rules from Ollama's docs/api.md and its Python client: an absent `stream` means true, unknown fields are ignored, errors
are always a string, a blank line in a stream kills the client (so keep-alives are chunks with empty content).
"""

from __future__ import annotations

import hashlib
import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from relay.core.errors import ModelError, ModelFailure, UnusableAnswers
from relay.llm.chat import ChatMessage, ChatRequest, Chunk, ModelFacts, RequestTiming, ToolCall
from relay.llm.gateway.api_format import AnswerSummary, hint_of
from relay.llm.gateway.body import Arguments, image_from_base64, read
from relay.llm.providers.ollama_native import encoded_calls

_NS = 1_000_000_000
_NO_TIME = re.compile(r"0+(\.0+)?(ms|s|m|h)?")
"""A `keep_alive` that unloads the model."""


class _OllamaFunction(BaseModel):
    name: str
    arguments: Arguments = {}


class _OllamaCall(BaseModel):
    id: str | None = None
    function: _OllamaFunction


class _OllamaMessage(BaseModel):
    role: Annotated[Literal["system", "user", "assistant", "tool"], BeforeValidator(lambda role: str(role).lower())]
    content: str | None = None
    images: list[str] | None = None
    tool_calls: list[_OllamaCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _RelayExtension(BaseModel):
    """Our extension: the user, for fair queueing and the demo's greeting, the question's unusable answers so far, and
    the id of the request.

    id: for POST /api/stop. Ollama ignores it.
    """

    channel: str | None = Field(default=None, max_length=40)
    name: str | None = Field(default=None, max_length=200)
    person: str | None = Field(default=None, max_length=200)
    language: str | None = Field(default=None, max_length=40)
    unusable: int = Field(default=0, ge=0)
    request_id: str | None = None
    id: str | None = Field(default=None, max_length=64)


class _OllamaOptions(BaseModel):
    """Options with a meaning for every provider; all others are passed to Ollama unchanged."""

    model_config = ConfigDict(extra="allow")

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    num_predict: int | None = None
    num_ctx: int | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class ChatBody(BaseModel):
    """The body of POST /api/chat; unknown fields are ignored, as Ollama does."""

    model: str | None = None
    messages: list[_OllamaMessage] | None = None
    stream: bool | None = None
    options: _OllamaOptions | None = None
    format: str | dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    think: bool | str | None = None
    keep_alive: str | float | None = None
    logprobs: bool | None = None
    x_relay: _RelayExtension | None = None


def read_chat(content: bytes) -> tuple[ChatRequest, bool]:
    """Parse a body: the request and whether to stream. An empty list of messages asks to load the model.

    Raises ModelError(BAD_REQUEST).
    """
    body = read(ChatBody, content)
    if body.messages is None:
        raise ModelError(ModelFailure.BAD_REQUEST, "messages: at least one message is needed")
    if body.logprobs:
        raise ModelError(ModelFailure.BAD_REQUEST, "logprobs: probabilities of tokens are not passed on")
    who = body.x_relay or _RelayExtension()
    request = ChatRequest(
        messages=tuple(_message(message) for message in body.messages),
        model=(body.model or "").strip(),
        options=body.options.model_dump(exclude_none=True) if body.options else {},
        format=_format(body.format),
        tools=tuple(body.tools or ()),
        think=body.think,
        keep_alive=body.keep_alive,
        user=who.person or "",
        name=who.name or "",
        channel=who.channel or "",
        language=who.language or "",
        unusable=who.unusable,
        request_id=who.request_id or "",
        id=who.id or "",
    )
    return request, body.stream is not False


def _format(wanted: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    if isinstance(wanted, dict):
        return {"name": "answer", "strict": True, "schema": wanted} if wanted else None
    if wanted not in (None, "", "json"):
        raise ModelError(ModelFailure.BAD_REQUEST, 'format: it must be "json" or a JSON schema')
    return wanted or None


def _message(message: _OllamaMessage) -> ChatMessage:
    return ChatMessage(
        message.role,
        message.content or "",
        tuple(image_from_base64(image) for image in message.images or ()),
        tuple(
            ToolCall(call.function.name, call.function.arguments, call.id or "") for call in message.tool_calls or ()
        ),
        message.tool_name or "",
        message.tool_call_id or "",
    )


class OllamaAnswer:
    """Encodes one answer; `model` is the name in the request."""

    media_type = "application/x-ndjson"

    def __init__(self, model: str) -> None:
        self._model = model
        self._calls = 0

    def chunk(self, chunk: Chunk) -> bytes:
        message = _message_of(chunk, first_call=self._calls)
        self._calls += len(chunk.tool_calls)
        return _line(self._envelope(message))

    def keepalive(self, timing: RequestTiming) -> bytes:
        envelope = self._envelope({"role": "assistant", "content": ""})
        return _line({**envelope, "x_relay": {"place": timing.place()}} if timing.place is not None else envelope)

    def end(self, summary: AnswerSummary) -> bytes:
        return _line({**self._envelope({"role": "assistant", "content": ""}), **_totals(summary)})

    def error_chunk(self, error: ModelError) -> bytes:
        return _line(self.refusal(error))

    def full_response(self, chunk: Chunk, summary: AnswerSummary) -> dict[str, Any]:
        return {**self._envelope(_message_of(chunk)), **_totals(summary)}

    def refusal(self, error: ModelError) -> dict[str, Any]:
        wait = {} if error.retry_after is None else {"retry_after": math.ceil(error.retry_after)}
        more = {**wait, **_paid_for(error.unusable)}
        return {"error": error.message, "kind": error.kind.value, "hint": hint_of(error), **more}

    def loaded(self, keep_alive: str | float | None) -> bytes:
        """The answer to a request without messages, as Ollama's server gives it."""
        reason = "unload" if _NO_TIME.fullmatch(str(keep_alive)) else "load"
        return _line({**self._envelope({"role": "assistant", "content": ""}), "done": True, "done_reason": reason})

    def _envelope(self, message: dict[str, Any]) -> dict[str, Any]:
        return {"model": self._model, "created_at": datetime.now(UTC), "message": message, "done": False}


def _line(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def _message_of(chunk: Chunk, *, first_call: int = 0) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": chunk.text}
    if chunk.thinking:
        message["thinking"] = chunk.thinking
    if chunk.tool_calls:
        message["tool_calls"] = encoded_calls(chunk.tool_calls, first_call)
    return message


def _totals(summary: AnswerSummary) -> dict[str, Any]:
    """The last line: Ollama's counts and durations, and in x_relay the real provider, model and cost."""
    completion = summary.completion
    return {
        "done": True,
        "done_reason": "length" if completion.reason == "length" else "stop",
        "total_duration": int(summary.total_seconds * _NS),
        "load_duration": completion.load_ns,
        "prompt_eval_count": completion.prompt_tokens,
        "prompt_eval_duration": completion.prompt_ns or int(summary.first_token_seconds * _NS),
        "eval_count": completion.answer_tokens,
        "eval_duration": completion.answer_ns or int((summary.total_seconds - summary.first_token_seconds) * _NS),
        "x_relay": {
            "source": summary.provider,
            "model": summary.model,
            "cost_usd": summary.cost_usd,
            "degraded": summary.degraded,
            "first_token_seconds": round(summary.first_token_seconds, 4),
            **({"generation_id": completion.generation_id} if completion.generation_id else {}),
            **({"stopped": True, "estimated": completion.estimated} if completion.stopped else {}),
            **_paid_for(summary.unusable),
        },
    }


def _paid_for(unusable: UnusableAnswers) -> dict[str, Any]:
    return {"unusable": unusable.count, "unusable_cost_usd": unusable.cost_usd} if unusable.count else {}


# -- the other routes --------------------------------------------------------------------------------------------------


class _StopBody(BaseModel):
    id: str


def read_stop(content: bytes) -> str:
    """The name of an answer in the body of POST /api/stop. Raises ModelError(BAD_REQUEST)."""
    return read(_StopBody, content).id


class _ShowBody(BaseModel):
    model: str | None = None
    name: str | None = None  # the field of older clients


def read_show(content: bytes) -> str:
    """The model name in the body of POST /api/show. Raises ModelError(BAD_REQUEST)."""
    body = read(_ShowBody, content)
    name = body.model or body.name
    if not name:
        raise ModelError(ModelFailure.BAD_REQUEST, "model: the name of a model is needed")
    return name


def listed(name: str, facts: ModelFacts) -> dict[str, Any]:
    """One row of /api/tags. Clients take rows of one digest for names of one model, so each name has its own."""
    known = {key: value for key, value in facts.details.items() if key != "capabilities"}
    digest = hashlib.sha256(name.encode()).hexdigest()
    nothing = {"modified_at": "1970-01-01T00:00:00Z", "size": 0, "digest": digest, "details": {"family": "relay"}}
    return {"name": name, "model": name, **nothing, **known}


def shown(facts: ModelFacts) -> dict[str, Any]:
    """The answer of /api/show."""
    pictures = [] if facts.supports_vision is False else ["vision"]  # where nothing is known both are passed on
    usual = ["embedding"] if "embed" in facts.name.lower() else ["completion", "tools", *pictures]
    able = facts.details.get("capabilities") or usual
    context = {} if facts.context is None else {"relay.context_length": facts.context}
    return {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": facts.details.get("details") or {"family": "relay"},
        "model_info": {"general.architecture": "relay", **context},
        "capabilities": able,
    }
