"""OpenAI's protocol as a server speaks it: POST /v1/chat/completions, SSE, errors as objects.

Rules from the API reference and the official Python client: `stream` is false unless asked for, the usage comes in a
chunk of its own without choices when stream_options.include_usage is set, comments (": ...") are skipped by clients.
"""

from __future__ import annotations

import time
import uuid
from typing import Any, Literal

import orjson
from pydantic import BaseModel, Field

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import ChatMessage, ChatRequest, Chunk, Image, RequestTiming, ToolCall
from relay.llm.gateway.api_format import AnswerSummary, hint_of
from relay.llm.gateway.body import image_from_url, read
from relay.llm.providers.json_values import as_arguments
from relay.llm.providers.openai_wire import COMMON_OPTIONS, encoded_calls


class _ImageUrl(BaseModel):
    url: str


class _ContentPart(BaseModel):
    type: Literal["text", "image_url", "refusal"]
    text: str = ""
    image_url: _ImageUrl | None = None


class _OpenAiFunction(BaseModel):
    name: str
    arguments: str = "{}"


class _OpenAiCall(BaseModel):
    id: str = ""
    function: _OpenAiFunction


class _OpenAiMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_ContentPart] | None = None
    tool_calls: list[_OpenAiCall] | None = None
    tool_call_id: str | None = None


class _StreamOptions(BaseModel):
    include_usage: bool = False


class _ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, Any] | None = None


class CompletionBody(BaseModel):
    """The body of POST /v1/chat/completions; unknown fields are ignored."""

    model: str | None = None
    messages: list[_OpenAiMessage] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: _ResponseFormat | None = None
    reasoning_effort: str | None = None
    user: str | None = Field(None, max_length=512)


def read_completion(content: bytes) -> tuple[ChatRequest, bool, bool]:
    """Parse a body: the request, whether to stream, whether to end the stream with usage. Raises ModelError."""
    body = read(CompletionBody, content)
    if not body.messages:
        raise ModelError(ModelFailure.BAD_REQUEST, "messages: at least one message is needed")
    request = ChatRequest(
        messages=tuple(_message(message) for message in body.messages),
        model=(body.model or "").strip(),
        options=_options(body),
        format=_format(body.response_format),
        tools=tuple(body.tools or ()),
        tool_choice=body.tool_choice,
        think=False if body.reasoning_effort == "none" else body.reasoning_effort,
        user=body.user or "",
    )
    return request, bool(body.stream), bool(body.stream_options and body.stream_options.include_usage)


def _options(body: CompletionBody) -> dict[str, Any]:
    options = {ours: getattr(body, theirs) for ours, theirs in COMMON_OPTIONS.items()}
    options["num_predict"] = body.max_completion_tokens or body.max_tokens
    if isinstance(body.stop, str):
        options["stop"] = [body.stop]
    return {key: value for key, value in options.items() if value is not None}


def _format(wanted: _ResponseFormat | None) -> str | dict[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_schema" and wanted.json_schema:
        schema = wanted.json_schema.get("schema")
        return schema if isinstance(schema, dict) else "json"
    return "json"


def _message(message: _OpenAiMessage) -> ChatMessage:
    text, images = _content(message.content)
    calls = tuple(ToolCall(call.function.name, _arguments(call), call.id) for call in message.tool_calls or ())
    role = "system" if message.role == "developer" else message.role
    return ChatMessage(role, text, images, calls, tool_call_id=message.tool_call_id or "")


def _content(content: str | list[_ContentPart] | None) -> tuple[str, tuple[Image, ...]]:
    if content is None or isinstance(content, str):
        return content or "", ()
    text = "\n".join(part.text for part in content if part.type == "text")
    return text, tuple(image_from_url(part.image_url.url) for part in content if part.image_url is not None)


def _arguments(call: _OpenAiCall) -> dict[str, Any]:
    arguments = as_arguments(call.function.arguments)
    if arguments is None:
        raise ModelError(ModelFailure.BAD_REQUEST, "messages.tool_calls: arguments must be a JSON object as text")
    return arguments


class OpenAiAnswer:
    """Encodes one answer; `model` is the name in the request."""

    media_type = "text/event-stream"

    def __init__(self, model: str, *, with_usage: bool) -> None:
        self._model = model
        self._with_usage = with_usage
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._role: dict[str, str] = {"role": "assistant"}
        self._calls = 0

    def chunk(self, chunk: Chunk) -> bytes:
        delta, self._role = {**self._role, **_message_of(chunk, streamed=True, first_call=self._calls)}, {}
        self._calls += len(chunk.tool_calls)
        return self._event([{"index": 0, "delta": delta, "finish_reason": None}])

    def keepalive(self, timing: RequestTiming) -> bytes:
        return b": waiting\n\n" if timing.place is None else b": waiting, place %d in the queue\n\n" % timing.place()

    def end(self, summary: AnswerSummary) -> bytes:
        last = self._event([{"index": 0, "delta": self._role, "finish_reason": summary.completion.reason}])
        usage = self._event([], usage=_usage(summary)) if self._with_usage else b""
        return last + usage + b"data: [DONE]\n\n"

    def error_chunk(self, error: ModelError) -> bytes:
        return b"data: %b\n\n" % orjson.dumps(self.refusal(error))

    def full_response(self, chunk: Chunk, summary: AnswerSummary) -> dict[str, Any]:
        message = {"role": "assistant", "content": None, **_message_of(chunk, streamed=False)}
        choice = {"index": 0, "message": message, "finish_reason": summary.completion.reason, "logprobs": None}
        return {**self._envelope("chat.completion"), "choices": [choice], "usage": _usage(summary)}

    def refusal(self, error: ModelError) -> dict[str, Any]:
        ours = error.kind in {ModelFailure.BAD_REQUEST, ModelFailure.CONTEXT_TOO_LONG, ModelFailure.IMAGES_UNSUPPORTED}
        kind = "invalid_request_error" if ours else "api_error"
        return _error_body(error.message, kind, code=error.kind.value, hint=hint_of(error))

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {**self._envelope("chat.completion.chunk"), "choices": choices, **more}
        return b"data: %b\n\n" % orjson.dumps(chunk)


def error_form(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Errors of the web framework, in OpenAI's form on the routes of its protocol."""
    if not path.startswith("/v1/"):
        return body
    more = {key: value for key, value in body.items() if key != "error"}
    return _error_body(body["error"], "invalid_request_error", **more)


def _error_body(message: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": None, **more}}


def _message_of(chunk: Chunk, *, streamed: bool, first_call: int = 0) -> dict[str, Any]:
    message: dict[str, Any] = {}
    if chunk.text:
        message["content"] = chunk.text
    if chunk.thinking:
        message["reasoning"] = chunk.thinking
    if chunk.tool_calls:
        calls = encoded_calls(chunk.tool_calls, first_call)
        message["tool_calls"] = (
            [{"index": n, **call} for n, call in enumerate(calls, first_call)] if streamed else calls
        )
    return message


def _usage(summary: AnswerSummary) -> dict[str, Any]:
    prompt, answer = summary.completion.prompt_tokens, summary.completion.answer_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        **({} if summary.cost_usd is None else {"cost": summary.cost_usd}),
    }
