"""HTTP client of one model server: opens streams, reads JSON documents, maps every failure to a ProviderError.

The providers interpret the lines; the gateway enforces timeouts by cancellation.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import orjson
from pydantic import SecretStr

from relay.config.logs import REQUEST_ID
from relay.core.errors import ModelFailure
from relay.core.http_client import error_text, redact_error
from relay.llm.chat import ProviderError, RequestTiming
from relay.llm.providers.error_mapping import failure_of
from relay.llm.providers.json_values import as_dicts

MAX_LINE_BYTES = 4_000_000
MAX_BODY_BYTES = 16_000_000
_DRAIN_SECONDS = 0.05
_USAGE_SECONDS = 1.0
"""How long a server that has finished its answer may take for the usage and the end of the stream."""
_UPLOAD_BLOCK_BYTES = 1_000_000
"""Large bodies (images) are written in blocks, so that other requests are served in between."""
_JSON = json.JSONDecoder()
_BLANK = b" \t\r\n\xef\xbb\xbf"
"""White space and the byte order mark, which some servers send before an answer."""
_FAILURES = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, aiohttp.ClientError, OSError, TimeoutError)


class Upstream:
    """One model server. `secret` is sent as a bearer token.

    send returns a response whose body is not read yet. redact is applied to every error message of the server.
    names_requests: whether the id of the request under way goes with each request, in X-Request-Id.
    """

    names_requests = True

    def __init__(
        self,
        send: Callable[[httpx.Request], Awaitable[httpx.Response]],
        provider: str,
        base_url: str,
        *,
        connect_seconds: float,
        redact: Callable[[str], str],
        secret: SecretStr | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._send = send
        self.provider = provider
        parts = urlsplit(base_url)
        self.address = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        self.base_url = self.address + parts.path
        self.is_on_this_machine = parts.hostname in {"127.0.0.1", "localhost", "::1"}
        self._redact = redact
        # Proxies buffer compressed streams; chunks must arrive as they are written.
        self._headers = httpx.Headers(
            {"Accept-Encoding": "identity", "Content-Type": "application/json", **(headers or {})}
        )
        if secret:
            self._headers["Authorization"] = f"Bearer {secret.get_secret_value()}"
        self._extensions = {"timeout": httpx.Timeout(None, connect=connect_seconds).as_dict()}
        self._url = cache(lambda path: httpx.URL(f"{base_url.rstrip('/')}{path}"))

    async def fetch(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Fetch a JSON document within 10 s, by POST if there is a body. Raises ProviderError for anything else."""
        async with self.stream(path, body, RequestTiming(0.0), limits=httpx.Timeout(10.0)) as stream:
            return await stream.document()

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        body: Mapping[str, Any] | None,
        timing: RequestTiming,
        *,
        limits: httpx.Timeout | None = None,
        with_images: bool = False,
    ) -> AsyncIterator[Stream]:
        """Send a request and read the response incrementally; leaving the block early closes the connection.

        Raises ProviderError, also for a status other than success.
        """
        try:
            request = self._request(path, body, limits)
            before = time.perf_counter()
            response = await self._send(request)
            timing.upstream_seconds += time.perf_counter() - before
            stream = Stream(self, response, timing, with_images=with_images)
            try:
                if not response.is_success:
                    raise await stream.refusal()
                yield stream
            finally:
                await stream.close()
        except _FAILURES as error:
            raise self._unreachable(error) from None

    def _request(self, path: str, body: Mapping[str, Any] | None, limits: httpx.Timeout | None) -> httpx.Request:
        try:
            content = None if body is None else orjson.dumps(body)
        except TypeError as error:  # a number of 500 digits, or depth that no parser takes
            raise ProviderError(ModelFailure.BAD_REQUEST, f"{self.provider}: this cannot be sent: {error}") from None
        large = content is not None and len(content) > _UPLOAD_BLOCK_BYTES
        request = httpx.Request(
            "GET" if content is None else "POST",
            self._url(path),
            headers={**self._headers, "Content-Length": str(len(content))} if content and large else self._headers,
            content=_in_blocks(content) if content and large else content,
            extensions=self._extensions if limits is None else {"timeout": limits.as_dict()},
        )
        if self.names_requests and (request_id := REQUEST_ID.get()):
            request.headers["X-Request-Id"] = request_id
        return request

    def _unreachable(self, error: BaseException) -> ProviderError:
        return ProviderError(
            ModelFailure.UNAVAILABLE,
            f"{self.provider} at {self.address} cannot be reached: {self._redact(error_text(error))}",
        )

    def broken(self, what: str, *, billed: bool = False) -> ProviderError:
        return ProviderError(ModelFailure.UNAVAILABLE, f"{self.provider} at {self.address} {what}", billed=billed)

    def failure(self, status: int, body: Any, headers: Mapping[str, str], *, with_images: bool) -> ProviderError:
        error = failure_of(self.provider, status, body, headers, with_images=with_images)
        redact_error(error, self._redact)
        return error


class NotJsonError(ProviderError):
    """A line of a stream is no JSON, or only the beginning of it."""


async def _in_blocks(content: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(content), _UPLOAD_BLOCK_BYTES):
        yield content[start : start + _UPLOAD_BLOCK_BYTES]


def _split_lines(data: bytes) -> list[bytes]:
    """The lines of data without their ends, then the rest after the last end."""
    lines = data.splitlines()
    return lines if lines and not data.endswith((b"\n", b"\r")) else [*lines, b""]


def _json_values(text: str) -> Iterator[Any]:
    """The JSON values that a text is made of. Raises ValueError for anything else."""
    text = text.strip()
    position = 0
    while position < len(text):
        value, position = _JSON.raw_decode(text, position)
        yield value
        position += len(text[position:]) - len(text[position:].lstrip())


class _WholeCharacters:
    r"""Joins the halves of a UTF-16 surrogate pair that come in two values of a stream.

    Servers that escape JSON as \ud83d\ude00 may cut between the two. A first half waits for the next text at the same
    place of a value, such as choices[0].delta.content; it becomes U+FFFD when that is not its second half.
    """

    def __init__(self) -> None:
        self.halves: dict[tuple[str | int, ...], str] = {}

    def of(self, value: Any, *place: str | int) -> Any:
        """The value with whole characters in all of its texts. Raises RecursionError for one that is nested deeply."""
        if isinstance(value, dict):
            return {_joined(key): self.of(item, *place, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.of(item, *place, number) for number, item in enumerate(value)]
        return self._text(value, place) if isinstance(value, str) else value

    def _text(self, text: str, place: tuple[str | int, ...]) -> str:
        if text:
            text = self.halves.pop(place, "") + text
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self.halves[place] = text[:-1], text[-1]
        return _joined(text)


def _joined(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Stream:
    """The response body of one request while it is read."""

    def __init__(
        self, upstream: Upstream, response: httpx.Response, timing: RequestTiming, *, with_images: bool
    ) -> None:
        self._upstream = upstream
        self._response = response
        self._timing = timing
        self._with_images = with_images
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 (an asynchronous transport's always is)
        self._body = response.stream
        compressed = "content-encoding" in response.headers  # although we asked for it not to be
        self._rest = response.aiter_bytes() if compressed else aiter(self._body)
        self._ahead = b""
        self._deadline: float | None = None
        self._characters = _WholeCharacters()

    async def close(self) -> None:
        """Return the connection to the pool, or close it when the body was not read to its end."""
        await self._body.aclose()

    async def is_document(self) -> bool:
        """Whether the server answers with JSON instead of events. Its first byte decides: labels are often wrong."""
        async for block in self._blocks():
            self._ahead += block
            if begin := self._ahead.lstrip(_BLANK):
                self._ahead = begin
                return begin.startswith((b"{", b"["))
        return False

    def finish_soon(self) -> None:
        """The answer is complete: what follows is read for one second at most, then the stream counts as ended."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + _USAGE_SECONDS

    async def lines(self) -> AsyncGenerator[list[bytes], None]:
        """The complete lines of each read, stripped, without empty ones; the last may lack its line end.

        A line ends with LF, CR or both. Raises ProviderError for a line of more than MAX_LINE_BYTES.
        """
        rest = bytearray()
        async for block in self._blocks():
            rest += block
            lines: list[bytes] = []
            if b"\n" in block or b"\r" in block:
                *lines, last = _split_lines(bytes(rest))
                rest = bytearray(last)
            if len(rest) > MAX_LINE_BYTES:
                raise self._upstream.broken("sent a line without end", billed=True)
            if found := [line for raw in lines if (line := raw.strip())]:
                yield found
        if last := bytes(rest).strip():
            yield [last]

    async def _blocks(self) -> AsyncGenerator[bytes, None]:
        """What was read ahead, then the rest of the body, each block as it comes."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            yield ahead
        before = time.perf_counter()
        while (block := await self._next_block()) is not None:
            self._timing.upstream_seconds += time.perf_counter() - before
            yield block
            before = time.perf_counter()

    async def _next_block(self) -> bytes | None:
        """The next block; None at the end of the body, and one second after `finish_soon`."""
        if self._deadline is None:
            return await anext(self._rest, None)
        try:
            async with asyncio.timeout_at(self._deadline):
                return await anext(self._rest, None)
        except (TimeoutError, *_FAILURES):
            return None

    async def drain(self) -> None:
        """Read the rest of a finished answer for up to 50 ms, so that the connection can be reused."""
        with suppress(TimeoutError, *_FAILURES):
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for _ in self._rest:
                    pass

    async def objects(self) -> list[dict[str, Any]]:
        """The whole body as JSON objects: one document, or several one after the other."""
        return self.parsed(await self._content())

    async def document(self) -> Any:
        """The whole body as JSON. Raises ProviderError when it is not JSON."""
        body = await self._whole()
        if isinstance(body, str):
            raise self.error(body) if body.startswith("<") else self._upstream.broken("sent something that is not JSON")
        return body

    async def refusal(self) -> ProviderError:
        """The error for a status other than success."""
        body = await self._whole()
        if self._response.is_redirect:
            return self._upstream.broken("redirects elsewhere; set its address to where it really is")
        return self.error(body)

    async def _content(self) -> bytes:
        content = bytearray()
        async for block in self._blocks():
            content += block
            if len(content) > MAX_BODY_BYTES:
                raise self._upstream.broken("sent a body without end", billed=True)
        return bytes(content)

    async def _whole(self) -> Any:
        """The whole body as JSON, or the beginning of it as text when it is not JSON."""
        content = await self._content()
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            return content[:2000].decode("utf-8", "replace").strip()

    def parsed(self, line: bytes) -> list[dict[str, Any]]:
        """Parse a line of the stream: one JSON object, or several. Raises ProviderError for a list of errors too."""
        try:
            values = self._parsed_leniently(line) if self._characters.halves else [orjson.loads(line)]
        except orjson.JSONDecodeError:
            values = self._parsed_leniently(line)
        for value in values:
            if as_dicts(value):
                raise self.error(value)
            if not isinstance(value, dict):
                raise self._upstream.broken("sent something that is no answer")
        return values

    def _parsed_leniently(self, line: bytes) -> list[Any]:
        """Parse with Python's json, which accepts NaN; what is no character becomes U+FFFD."""
        try:
            return [self._characters.of(value) for value in _json_values(line.decode("utf-8", "replace"))]
        except (ValueError, RecursionError):
            if line.startswith(b"<"):
                raise self.error("<") from None
            raise self.half_a_line() from None

    def half_a_line(self) -> NotJsonError:
        error = self._upstream.broken("sent half a line, or something that is not JSON")
        return NotJsonError(error.kind, error.message)

    def error(self, body: Any) -> ProviderError:
        """The error for an error object inside the body."""
        return self._upstream.failure(
            self._response.status_code, body, self._response.headers, with_images=self._with_images
        )

    def broke_off(self) -> ProviderError:
        return self._upstream.broken("broke off in the middle of the answer")
