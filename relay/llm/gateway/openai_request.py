"""Reads a request of OpenAI's protocol, POST /v1/chat/completions.

What a source may know is passed on; what would change the answer and cannot be kept is refused with a sentence; other
fields are ignored. Rules from the API reference: `stream` is false unless asked for, the content of a message is a text
or a list of parts, `functions` and the role `function` came before tools.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, Field

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import ChatMessage, ChatRequest, Image, ToolCall
from relay.llm.gateway.body import Arguments, image_from_url, read
from relay.llm.providers.openai_wire import OPTIONS

_TEXT_PARTS = {"text", "input_text", "output_text", "refusal"}
_IMAGE_PARTS = {"image_url", "input_image"}
_REASONING_PARTS = {"thinking", "redacted_thinking", "reasoning"}
"""What a model thought before an earlier answer, which clients send back with the history; no model needs it."""


def _known(kind: str) -> str:
    if kind in _TEXT_PARTS | _IMAGE_PARTS | _REASONING_PARTS:
        return kind
    raise ValueError(f"{kind[:40]!r} cannot be passed on; send text and pictures")


def _as_object(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class _ImageUrl(BaseModel):
    url: str


class _ContentPart(BaseModel):
    type: Annotated[str, AfterValidator(_known)]
    text: str | None = None
    refusal: str | None = None
    image_url: Annotated[_ImageUrl | None, BeforeValidator(_as_object)] = None


class _OpenAiFunction(BaseModel):
    name: str
    arguments: Arguments = {}


class _OpenAiCall(BaseModel):
    id: str = ""
    function: _OpenAiFunction


class _OpenAiMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_ContentPart] | None = None
    name: str | None = None
    tool_calls: list[_OpenAiCall] | None = None
    tool_call_id: str | None = None
    function_call: _OpenAiFunction | None = None


class _StreamOptions(BaseModel):
    include_usage: bool = False


class _ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, Any] | None = None


class CompletionBody(BaseModel):
    """The body of POST /v1/chat/completions, with the fields of vLLM and llama.cpp for sampling."""

    model: str | None = None
    messages: list[_OpenAiMessage] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = Field(
        None, validation_alias=AliasChoices("repetition_penalty", "repeat_penalty")
    )
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: _ResponseFormat | None = None
    reasoning_effort: str | None = None
    user: str | None = Field(None, max_length=512)
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    functions: list[Any] | None = None
    audio: dict[str, Any] | None = None


_REFUSED: dict[str, tuple[Callable[[CompletionBody], bool], str]] = {
    "n": (lambda body: body.n not in (None, 1), "each request gets one answer; ask again for another"),
    "logprobs": (lambda body: bool(body.logprobs or body.top_logprobs), "probabilities of tokens are not passed on"),
    "functions": (lambda body: bool(body.functions), "send them as tools"),
    "audio": (lambda body: bool(body.audio), "answers are text"),
    "max_tokens": (lambda body: 0 in (body.max_tokens, body.max_completion_tokens), "at least 1, or -1 for no limit"),
}
"""Fields that would change the answer and cannot be kept: when they do, and what to do instead."""


def read_completion(content: bytes) -> tuple[ChatRequest, bool, bool]:
    """Parse a body: the request, whether to stream, whether to end the stream with usage. Raises ModelError."""
    body = read(CompletionBody, content)
    if not body.messages:
        raise ModelError(ModelFailure.BAD_REQUEST, "messages: at least one message is needed")
    for field, (is_asked, why) in _REFUSED.items():
        if is_asked(body):
            raise ModelError(ModelFailure.BAD_REQUEST, f"{field}: {why}")
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
    options = {ours: getattr(body, theirs) for ours, theirs in OPTIONS.items()}
    options["num_predict"] = body.max_completion_tokens or body.max_tokens
    if isinstance(body.stop, str):
        options["stop"] = [body.stop]
    return {key: value for key, value in options.items() if value is not None}


def _format(wanted: _ResponseFormat | None) -> str | dict[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    given = wanted.json_schema or {}
    is_schema = wanted.type == "json_schema" and isinstance(given.get("schema"), dict)
    return {"name": "answer", **given} if is_schema else "json"


def _message(message: _OpenAiMessage) -> ChatMessage:
    text, images = _content(message.content)
    calls = [ToolCall(call.function.name, call.function.arguments, call.id) for call in message.tool_calls or ()]
    if (function := message.function_call) is not None:
        calls.append(ToolCall(function.name, function.arguments))
    tool_name = message.name or "" if message.role in {"tool", "function"} else ""
    tool_call_id = message.tool_call_id or ""
    match message.role:
        case "developer":
            return ChatMessage("system", text, images)
        case "function":
            return ChatMessage("tool", text, images, tool_name=tool_name)
        case role:
            return ChatMessage(role, text, images, tuple(calls), tool_name, tool_call_id)


def _content(content: str | list[_ContentPart] | None) -> tuple[str, tuple[Image, ...]]:
    if content is None or isinstance(content, str):
        return content or "", ()
    texts = [part.text or part.refusal or "" for part in content if part.type in _TEXT_PARTS]
    pictures = [part.image_url for part in content if part.type in _IMAGE_PARTS]
    if None in pictures:
        raise ModelError(ModelFailure.BAD_REQUEST, "messages.content: a picture needs its image_url")
    return "\n".join(texts), tuple(image_from_url(picture.url) for picture in pictures if picture is not None)
