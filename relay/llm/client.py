"""The channels' way to the LLM server: one verb that asks, one that looks; only this module knows the wire.

Every way in which the server can be slow, wrong or gone becomes a ModelError whose kind says what it means.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import aiohttp
import httpx
import orjson

from relay.config.settings import Settings
from relay.core.errors import ModelError, ModelFailure
from relay.core.http_client import words_of
from relay.core.messages import Answer, Platform
from relay.llm.providers.json_values import as_amount, as_int, as_number
from relay.llm.providers.reasoning import without_thoughts

# The LLM server keeps its own limit on the whole; only when it hangs itself does this one end the wait.
_GRACE_SECONDS = 5.0
_MAX_ANSWER_CHARS = 200_000
_MAX_LINE_BYTES = 4_000_000
_FAILURES = (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError)
_KINDS = {kind.value: kind for kind in ModelFailure}
_KIND_OF_STATUS = {
    400: ModelFailure.BAD_REQUEST,
    401: ModelFailure.AUTH,
    402: ModelFailure.CREDITS,
    403: ModelFailure.AUTH,
    404: ModelFailure.NOT_FOUND,
    413: ModelFailure.CONTEXT_TOO_LONG,
    429: ModelFailure.RATE_LIMIT,
    504: ModelFailure.TIMEOUT,
}


class LlmClient:
    """Asks the LLM server at `settings.model_url`, be it ours or a real Ollama, through a shared HTTP client."""

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
        self, messages: Sequence[Mapping[str, str]], *, platform: Platform, person: str, name: str | None
    ) -> Answer:
        """The whole answer to a conversation (`role` and `content` of each message, oldest first).

        `person` is any stable id that tells people apart. Raises ModelError; cancelling it stops the model's work.
        """
        body = {
            "model": "default",
            "messages": [dict(message) for message in messages],
            "stream": True,
            "x_relay": {"channel": platform, "name": name, "person": person},
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
        """What GET / of the LLM server says; {"status": "unreachable", "problem": ...} when it says nothing."""
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
            async for line in _lines(response):
                if reading.take(line):
                    return reading
            raise _unavailable("the LLM server broke off in the middle of the answer")
        finally:
            await response.aclose()


class _Reading:
    """What was read of one answer so far."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._text: list[str] = []
        self._length = 0
        self._first: float | None = None
        self._last: dict[str, Any] = {}

    def take(self, line: bytes) -> bool:
        """One line of the stream; true when it was the last one. Raises ModelError."""
        try:
            chunk = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise _unavailable("the LLM server sent something that is not its protocol") from None
        if not isinstance(chunk, dict):
            raise _unavailable("the LLM server sent something that is not its protocol")
        if chunk.get("error"):
            raise _error(chunk, ModelFailure.UNAVAILABLE, None)
        message = chunk.get("message")
        text = message.get("content") if isinstance(message, dict) else None
        if isinstance(text, str) and text:
            self._add(text)
        self._last = chunk
        return bool(chunk.get("done")) or self._length >= _MAX_ANSWER_CHARS

    def _add(self, text: str) -> None:
        if self._first is None:
            self._first = time.monotonic() - self._started
        self._text.append(text[: _MAX_ANSWER_CHARS - self._length])
        self._length += len(text)

    def answer(self, seconds: float) -> Answer:
        """The answer, without thoughts; raises ModelError when nothing is left."""
        text = without_thoughts("".join(self._text)).strip()
        if not text:
            raise _unavailable("the model gave an empty answer")
        more = self._last.get("x_relay")
        ours: dict[str, Any] = more if isinstance(more, dict) else {}
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


async def _lines(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    rest = b""
    async for block in response.aiter_bytes():
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > _MAX_LINE_BYTES:
            raise _unavailable("the LLM server sent a line without end")
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        yield rest


async def _beginning(response: httpx.Response) -> bytes:
    content = bytearray()
    async for block in response.aiter_bytes():
        content += block
        if len(content) > 100_000:
            break
    return bytes(content)


def _refusal(status: int, content: bytes, retry_after: str | None) -> ModelError:
    kind = _KIND_OF_STATUS.get(status, ModelFailure.UNAVAILABLE)
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        return _unavailable(f"whatever answers as LLM server says {status} and no more")
    return _error(body, kind, retry_after)


def _error(body: Mapping[str, Any], kind: ModelFailure, retry_after: str | None) -> ModelError:
    """The error of a body; the kind that it names goes before the one that its status suggests."""
    kind = _KINDS.get(str(body.get("kind")), kind)
    seconds = as_number(body.get("retry_after", retry_after))
    wait = None if seconds is None else max(0.0, seconds)
    return ModelError(kind, str(body.get("error") or "the LLM server gave no reason"), retry_after=wait)


def _unavailable(message: str) -> ModelError:
    return ModelError(ModelFailure.UNAVAILABLE, message)
