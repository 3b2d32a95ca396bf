"""The OpenAI-compatible protocol as OpenRouter, vLLM, llama.cpp, LM Studio and LiteLLM share it: bodies and SSE.

What differs between those servers (headers, extra fields, model lists) is in the module of the provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from relay.llm.chat import ChatMessage, ChatRequest, Chunk, Completion, FinishReason, StreamEvent, ToolCall
from relay.llm.providers.json_values import as_amount, as_arguments, as_dict, as_dicts, as_int, as_text
from relay.llm.providers.tool_calls import linked
from relay.llm.providers.upstream import Stream

# Ollama's option -> OpenAI's field. Strict servers refuse unknown fields, so the rest is OpenRouter's alone.
COMMON_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "num_predict": "max_tokens",
    "seed": "seed",
    "stop": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}


def request_body(request: ChatRequest, model: str, options: Mapping[str, str] = COMMON_OPTIONS) -> dict[str, Any]:
    """The body of POST /chat/completions, streamed and with usage."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message) for message in linked(request.messages)],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    for ours, theirs in options.items():
        value = request.options.get(ours)
        if value is not None and not (ours == "num_predict" and as_int(value) < 1):  # -1 and -2: as long as it likes
            body[theirs] = value
    if request.tools:
        body["tools"] = list(request.tools)
        if request.tool_choice is not None:
            body["tool_choice"] = request.tool_choice
    if request.format == "json":
        body["response_format"] = {"type": "json_object"}
    elif isinstance(request.format, Mapping):
        schema = {"name": "answer", "strict": True, "schema": request.format}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
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


def encoded_calls(calls: Iterable[ToolCall], first: int = 0) -> list[dict[str, Any]]:
    """Tool calls as the protocol has them; calls without an id are numbered from `first`."""
    return [
        {
            "id": call.id or f"call_{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": orjson.dumps(call.arguments).decode()},
        }
        for number, call in enumerate(calls, first)
    ]


class AnswerReader:
    """Reads one answer, an SSE stream or a document. Raises ProviderError when it is cut off or holds an error."""

    def __init__(self, stream: Stream, model: str) -> None:
        self._stream = stream
        self._model = model
        self._reason: FinishReason | None = None
        self._usage: Mapping[str, Any] = {}
        self._calls: dict[int, dict[str, str]] = {}
        self.done = False

    def read(self, lines: list[bytes]) -> Chunk | None:
        """Merge the lines of one read into one chunk."""
        said, thinking = "", ""
        for line in lines:
            if line.startswith(b"data:"):
                data = line[5:].strip()
                if data == b"[DONE]":
                    self.done = True
                    break
                chunk = self.take(self._stream.parsed(data))
                if chunk is not None:
                    said, thinking = said + chunk.text, thinking + chunk.thinking
            elif line.startswith((b"{", b"<")):
                raise self._stream.error(self._stream.parsed(line))
        return Chunk(said, thinking) if said or thinking else None

    def take(self, data: Any) -> Chunk | None:
        """Take one event or a whole completion: both have choices, usage, model, or an error."""
        if not isinstance(data, dict) or data.get("error") or data.get("object") == "error":
            raise self._stream.error(data)
        self._model = as_text(data.get("model")) or self._model
        if isinstance(usage := data.get("usage"), dict):
            self._usage = usage
        choices = data.get("choices")
        if not choices or not isinstance(choices, list) or not isinstance(choices[0], dict):
            return None
        choice = choices[0]
        if choice.get("error"):
            raise self._stream.error(choice)
        chunk = None
        if self._reason is None:  # deltas after the first finish_reason are repetitions
            chunk = self._chunk(choice.get("delta") or choice.get("message") or {})
        if reason := as_text(choice.get("finish_reason")):
            self._finish(reason)
        return chunk

    def _chunk(self, delta: Any) -> Chunk | None:
        if not isinstance(delta, dict):
            return None
        if calls := delta.get("tool_calls"):
            self._collect(calls)
        content = delta.get("content")
        said = content if isinstance(content, str) else "".join(as_text(part.get("text")) for part in as_dicts(content))
        thinking = as_text(delta.get("reasoning")) or as_text(delta.get("reasoning_content"))
        return Chunk(said, thinking) if said or thinking else None

    def _collect(self, calls: Any) -> None:
        """Collect the fragments of tool calls: arguments come as parts of JSON text, or whole as an object."""
        for call in as_dicts(calls):
            function = as_dict(call.get("function"))
            index = call.get("index")
            known = self._calls.setdefault(
                index if isinstance(index, int) else len(self._calls), {"id": "", "name": "", "arguments": ""}
            )
            known["id"] = as_text(call.get("id")) or known["id"]
            known["name"] = as_text(function.get("name")) or known["name"]
            given = function.get("arguments")
            known["arguments"] += orjson.dumps(given).decode() if isinstance(given, dict) else as_text(given)

    def _finish(self, reason: str) -> None:
        if reason == "error":
            raise self._stream.broke_off()
        if reason == "content_filter":
            raise self._stream.error(
                {"code": "content_filter", "message": "the answer was stopped by a content filter"}
            )
        if self._reason is None:
            known: dict[str, FinishReason] = {"length": "length", "tool_calls": "tool_calls"}
            self._reason = known.get(reason, "stop")

    def end(self) -> list[StreamEvent]:
        """The tool calls, if any, and the Completion. Raises ProviderError when the answer was cut off."""
        if self._reason is None and not self.done:
            raise self._stream.broke_off()
        end: list[StreamEvent] = []
        if calls := tuple(self._call(call) for call in self._calls.values() if call["name"]):
            end.append(Chunk(tool_calls=calls))
        usage = self._usage
        end.append(
            Completion(
                self._reason or "stop",
                self._model,
                as_int(usage.get("prompt_tokens")),
                as_int(usage.get("completion_tokens")),
                as_amount(usage.get("cost")),
            )
        )
        return end

    def _call(self, call: Mapping[str, str]) -> ToolCall:
        given = as_arguments(call["arguments"])
        if given is None:
            raise self._stream.error("the model called a function with arguments that are no JSON object")
        return ToolCall(call["name"], given, call["id"])
