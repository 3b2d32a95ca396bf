"""Client of the LLM server for the channels: `ask` and `health`.

Every failure of the server or the connection becomes a ModelError of the matching kind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import httpx
import orjson

from relay.config.settings import Settings
from relay.core.errors import ModelError, ModelFailure
from relay.core.http_client import retry_after_seconds, words_of
from relay.core.messages import Answer, Platform
from relay.llm.providers.error_mapping import KIND_BY_STATUS
from relay.llm.providers.json_values import as_amount, as_dict, as_int, as_text
from relay.llm.providers.reasoning import without_thoughts
from relay.llm.providers.upstream import split_lines

# The LLM server enforces llm_total_seconds itself; this is the margin before the client gives up on a hung server.
_GRACE_SECONDS = 5.0
_MAX_ANSWER_CHARS = 200_000
_FAILURES = (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError)
_KINDS = {kind.value: kind for kind in ModelFailure}


class LlmClient:
    """Client of the LLM server (ours or a real Ollama) at `settings.model_url`, over a shared HTTP client."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        self._http = http
        self._base = settings.model_url
        self._seconds = settings.llm_total_seconds + _GRACE_SECONDS
        self._timeout = httpx.Timeout(None, connect=settings.llm_connect_seconds)
        token = settings.internal_token
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token.get_secret_value()}"

    async def ask(
        self, messages: Sequence[Mapping[str, str]], *, platform: Platform, user: str, name: str | None
    ) -> Answer:
        """The whole answer to a conversation (`role` and `content` of each message, oldest first).

        `user` is any stable id, different for each user. Raises ModelError; cancelling it stops the model's work.
        """
        body = {
            "model": "default",
            "messages": [dict(message) for message in messages],
            "stream": True,
            "x_relay": {"channel": platform, "name": name, "person": user},
        }
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                reading = await self._chat(body)
        except TimeoutError:
            raise ModelError(ModelFailure.TIMEOUT, "the LLM server did not answer in time") from None
        except _FAILURES as error:
            raise _unavailable(f"the LLM server at {self._base} cannot be reached: {words_of(error)}") from None
        return reading.answer(time.monotonic() - started)

    async def health(self) -> dict[str, Any]:
        """The body of GET /, or {"status": "unreachable", "problem": ...}. Never raises, takes at most 5 s."""
        try:
            async with asyncio.timeout(5.0):
                response = await self._http.get(self._base + "/", headers=self._headers, timeout=self._timeout)
                status = orjson.loads(response.content)
        except TimeoutError:
            return {"status": "unreachable", "problem": "no answer within 5 seconds"}
        except (*_FAILURES, orjson.JSONDecodeError) as error:
            return {"status": "unreachable", "problem": words_of(error)}
        return status if isinstance(status, dict) else {"status": "unreachable", "problem": "not our LLM server"}

    async def _chat(self, body: Mapping[str, Any]) -> _Reading:
        request = self._http.build_request(
            "POST", f"{self._base}/api/chat", content=orjson.dumps(body), headers=self._headers, timeout=self._timeout
        )
        response = await self._http.send(request, stream=True)
        try:
            if response.status_code != 200:
                raise _refusal(response.status_code, await _beginning(response), response.headers.get("retry-after"))
            reading = _Reading()
            async for lines in split_lines(
                response.aiter_bytes(), _unavailable("the LLM server sent a line without end")
            ):
                if any(reading.take(line) for line in lines):
                    return reading
            raise _unavailable("the LLM server broke off in the middle of the answer")
        finally:
            await response.aclose()


class _Reading:
    """Accumulates one streamed answer."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._text: list[str] = []
        self._length = 0
        self._first: float | None = None
        self._last: dict[str, Any] = {}

    def take(self, line: bytes) -> bool:
        """Take one line of the stream; true when it is the last one. Raises ModelError."""
        chunk = _parsed(line)
        if not isinstance(chunk, dict):
            raise _unavailable("the LLM server sent something that is not its protocol")
        if chunk.get("error"):
            raise _error(chunk, ModelFailure.UNAVAILABLE, None)
        if text := as_text(as_dict(chunk.get("message")).get("content")):
            self._add(text)
        self._last = chunk
        return bool(chunk.get("done")) or self._length >= _MAX_ANSWER_CHARS

    def _add(self, text: str) -> None:
        if self._first is None:
            self._first = time.monotonic() - self._started
        self._text.append(text[: _MAX_ANSWER_CHARS - self._length])
        self._length += len(text)

    def answer(self, seconds: float) -> Answer:
        """The answer without reasoning. Raises ModelError when it is empty."""
        text = without_thoughts("".join(self._text)).strip()
        if not text:
            raise _unavailable("the model gave an empty answer")
        ours = as_dict(self._last.get("x_relay"))
        first = as_amount(ours.get("first_token_seconds"))
        return Answer(
            text=text,
            model=str(ours.get("model") or self._last.get("model") or ""),
            source=str(ours.get("source") or "ollama"),
            prompt_tokens=as_int(self._last.get("prompt_eval_count")),
            answer_tokens=as_int(self._last.get("eval_count")),
            cost_usd=as_amount(ours.get("cost_usd")),
            first_token_seconds=self._first if first is None else first,
            total_seconds=seconds,
            degraded=ours.get("degraded") is True,
        )


async def _beginning(response: httpx.Response) -> bytes:
    content = bytearray()
    async for block in response.aiter_bytes():
        content += block
        if len(content) > 100_000:
            break
    return bytes(content)


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _refusal(status: int, content: bytes, retry_after: str | None) -> ModelError:
    kind = KIND_BY_STATUS.get(status, ModelFailure.UNAVAILABLE)
    body = _parsed(content)
    if not isinstance(body, dict):
        return _unavailable(f"whatever answers as LLM server says {status} and no more")
    return _error(body, kind, retry_after)


def _error(body: Mapping[str, Any], kind: ModelFailure, retry_after: str | None) -> ModelError:
    """The error in a body; its own kind takes precedence over the one of the status."""
    kind = _KINDS.get(str(body.get("kind")), kind)
    wait = retry_after_seconds(body.get("retry_after", retry_after))
    return ModelError(kind, str(body.get("error") or "the LLM server gave no reason"), retry_after=wait)


def _unavailable(message: str) -> ModelError:
    return ModelError(ModelFailure.UNAVAILABLE, message)
