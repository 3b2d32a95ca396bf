"""OpenAI's protocol as a server speaks it: the answers of POST /v1/chat/completions, SSE, errors as objects.

Rules from the API reference and the official Python client: the usage comes in a chunk of its own without choices when
stream_options.include_usage is set, comments (": ...") are skipped by clients.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import orjson

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import Chunk, RequestTiming
from relay.llm.gateway.api_format import AnswerSummary, hint_of
from relay.llm.providers.openai_wire import encoded_calls


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
        calls = encoded_calls(chunk.tool_calls)
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
