"""The OpenAI-compatible protocol as OpenRouter, vLLM, llama.cpp, LM Studio and LiteLLM share it: bodies and SSE.

What differs between those servers (headers, extra fields, model lists) is in the module of the provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import orjson

from relay.llm.chat import (
    ChatMessage,
    ChatRequest,
    Chunk,
    Completion,
    FinishReason,
    ProviderError,
    StreamEvent,
    ToolCall,
)
from relay.llm.providers.call_fragments import CallFragments
from relay.llm.providers.json_values import as_amount, as_dict, as_dicts, as_int, as_number, as_text
from relay.llm.providers.tool_calls import linked
from relay.llm.providers.upstream import NotJsonError, Stream

OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "num_predict": "max_tokens",
    "seed": "seed",
    "stop": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logit_bias": "logit_bias",
    "parallel_tool_calls": "parallel_tool_calls",
    "top_k": "top_k",
    "min_p": "min_p",
    "repeat_penalty": "repetition_penalty",
}
"""Ollama's options, and two that Ollama lacks, with their fields. OpenAI has no field for the last three; a server that
refuses one is asked without it."""


def request_body(request: ChatRequest, model: str) -> dict[str, Any]:
    """The body of POST /chat/completions, streamed and with usage."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message) for message in linked(request.messages)],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    for ours, theirs in OPTIONS.items():
        value = request.options.get(ours)
        if value is not None and not (ours == "num_predict" and as_int(value) < 1):  # -1 and -2: as long as it likes
            body[theirs] = value
    if isinstance(request.think, str):
        body["reasoning_effort"] = request.think
    elif request.think is False:
        body["chat_template_kwargs"] = {"enable_thinking": False}
    if request.tools:
        body["tools"] = list(request.tools)
        if request.tool_choice is not None:
            body["tool_choice"] = request.tool_choice
    if request.format == "json":
        body["response_format"] = {"type": "json_object"}
    elif isinstance(request.format, Mapping):
        body["response_format"] = {"type": "json_schema", "json_schema": request.format}
    return body


def _message(message: ChatMessage) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        pictures = [{"type": "image_url", "image_url": {"url": image.as_url()}} for image in message.images]
        fields["content"] = [{"type": "text", "text": message.content}, *pictures]
    if message.tool_calls:
        fields["tool_calls"] = encoded_calls(message.tool_calls)
    if message.role == "tool":
        fields["tool_call_id"] = message.tool_call_id or "call_0"
    return fields


def encoded_calls(calls: Iterable[ToolCall]) -> list[dict[str, Any]]:
    """Tool calls as the protocol has them."""
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": orjson.dumps(call.arguments).decode()},
        }
        for call in calls
    ]


_REASONS: dict[str, FinishReason | Literal["content_filter", "error"]] = {
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), "length"),
    **dict.fromkeys(("tool_calls", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(("content_filter", "safety", "prohibited_content", "blocklist", "recitation"), "content_filter"),
    "error": "error",
}
"""Finish reasons in lower case, of OpenAI and of servers that pass on those of others; all others mean "stop"."""
_NO_REASON = {"", "null", "none"}
_MIN_REPEATED_CHARS = 3
MAX_ID_CHARS = 100
"""Of the provider's id of an answer; those of today have up to 40."""


class AnswerReader:
    """Reads one answer, an SSE stream or a document. Raises ProviderError when it is cut off or holds an error.

    `finished`: the server has given a finish reason, so only usage and the end of the stream may follow.
    """

    def __init__(self, stream: Stream, model: str) -> None:
        self._stream = stream
        self._model = model
        self._reason: FinishReason | None = None
        self._usage: Mapping[str, Any] = {}
        self._calls = CallFragments()
        self._choice: int | None = None
        self._text = ""
        self._cumulative = False
        self._half = b""
        self._stray: Any = None
        self._id = ""
        self.done = False

    @property
    def finished(self) -> bool:
        return self._reason is not None

    def read(self, lines: list[bytes]) -> Chunk | None:
        """Merge the lines of one read into one chunk; an error behind the beginning of an answer is billed.

        Some servers count in each event what was used, so that it is known also of an answer that is stopped.
        """
        said, thinking, is_counted = "", "", False
        try:
            for event in self._of_lines(lines):
                if (chunk := self.take(event)) is not None:
                    said, thinking = said + chunk.text, thinking + chunk.thinking
                    is_counted = isinstance(event.get("usage"), dict)
        except ProviderError as error:
            error.billed = error.billed or bool(said or thinking)
            raise
        return Chunk(said, thinking, used=self._used() if is_counted else None) if said or thinking else None

    def _of_lines(self, lines: list[bytes]) -> Iterator[dict[str, Any]]:
        for line in lines:
            if line.startswith(b"data:"):
                data = line[5:].strip()
                if data == b"[DONE]":
                    self.done = True
                    return
                yield from self._events(data)
            elif line.startswith((b"{", b"<")):
                raise self._stream.error(self._stream.parsed(line)[0])

    def _events(self, data: bytes) -> list[dict[str, Any]]:
        """The events that a data line completes: the JSON of one may be spread over several lines."""
        whole = self._half + b"\n" + data if self._half else data
        try:
            events = self._stream.parsed(whole)
        except NotJsonError:
            if not whole.startswith((b"{", b"[")) or (data.startswith(b'{"') and self._half):
                raise
            self._half = whole
            return []
        self._half = b""
        return events

    def take(self, data: Any) -> Chunk | None:
        """Take one event or a whole completion: both have choices, usage, model, or an error."""
        if not isinstance(data, dict) or data.get("error") or data.get("object") == "error":
            raise self._stream.error(data)
        self._model = as_text(data.get("model")) or self._model
        self._id = self._id or as_text(data.get("id"))
        if isinstance(usage := data.get("usage"), dict):
            self._usage = usage
        if not data.get("choices"):
            self._stray = data
        choice = self._first_choice(data.get("choices"))
        self.done = self.done or "message" in choice
        if choice.get("error"):
            raise self._stream.error(choice)
        reason = as_text(choice.get("finish_reason")).lower()
        reason = "" if reason in _NO_REASON else reason
        delta = as_dict(choice.get("delta") or choice.get("message")) or choice
        self._collect(delta)
        chunk = None
        if self._reason is None or reason:  # text after the finish is a repetition, unless each event has a reason
            chunk = self._chunk(delta, is_last=bool(reason) or "message" in choice)
        if reason:
            self._finish(reason)
        return chunk

    def _first_choice(self, choices: Any) -> dict[str, Any]:
        """The choice with the index of the first one that came; a provider may send several."""
        for choice in as_dicts(choices):
            index = int(as_number(choice.get("index")) or 0)
            if self._choice is None:
                self._choice = index
            if index == self._choice:
                return choice
        return {}

    def _collect(self, delta: Mapping[str, Any]) -> None:
        self._calls.add(delta.get("tool_calls"))
        if function := as_dict(delta.get("function_call")):
            self._calls.add([{"function": function}])

    def _chunk(self, delta: Mapping[str, Any], *, is_last: bool) -> Chunk | None:
        content = delta.get("content") or delta.get("refusal") or delta.get("text")
        said = content if isinstance(content, str) else "".join(as_text(part.get("text")) for part in as_dicts(content))
        said = self._added(said, is_last=is_last) if said else ""
        thinking = as_text(delta.get("reasoning")) or as_text(delta.get("reasoning_content"))
        return Chunk(said, thinking) if said or thinking else None

    def _added(self, said: str, *, is_last: bool) -> str:
        """What an event adds: some servers repeat the whole text in each event, some in the last one."""
        so_far = self._text
        if len(so_far.strip()) >= _MIN_REPEATED_CHARS and said.startswith(so_far):
            longer = len(said) > len(so_far)
            if self._cumulative or is_last or longer:
                self._cumulative = self._cumulative or longer
                self._text = said
                return said[len(so_far) :]
        self._text += said
        return said

    def _finish(self, reason: str) -> None:
        known = _REASONS.get(reason, "stop")
        if known == "error":
            raise self._stream.broke_off()
        if known == "content_filter":
            raise self._stream.error(
                {"code": "content_filter", "message": "the answer was stopped by a content filter"}
            )
        self._reason = self._reason or known

    def end(self) -> list[StreamEvent]:
        """The tool calls, if any, and the Completion. Raises ProviderError when the answer was cut off."""
        if self._half:
            raise self._stream.half_a_line()
        if self._reason is None and not self.done:
            is_all = self._stray is not None and self._choice is None
            raise self._stream.error(self._stray) if is_all else self._stream.broke_off()
        calls = self._calls.calls()
        if calls is None:
            raise self._stream.error("the model called a function with arguments that are no JSON object")
        completion = self._used()
        return [Chunk(tool_calls=calls), completion] if calls else [completion]

    def _used(self) -> Completion:
        usage = self._usage
        return Completion(
            self._reason or "stop",
            self._model,
            as_int(usage.get("prompt_tokens")),
            as_int(usage.get("completion_tokens")),
            as_amount(usage.get("cost")),
            generation_id=self._id[:MAX_ID_CHARS],
        )
