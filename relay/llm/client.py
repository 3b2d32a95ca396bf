"""Client of the LLM server for the channels: `ask` and `health`.

Every failure of the server or the connection becomes a ModelError of the matching kind.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx

from relay.config.logs import REQUEST_ID, Redactor
from relay.config.settings import Settings
from relay.core.errors import ModelError, ModelFailure, UnusableAnswers
from relay.core.http_client import open_http_client, retry_after_seconds
from relay.core.messages import Answer, Platform
from relay.core.model_choice import DEFAULT_MODEL
from relay.core.progress import Progress
from relay.core.prompt import Embed
from relay.core.text import is_blank
from relay.llm.answer_tags import may_be_wrapped, unwrapped
from relay.llm.chat import ProviderError, RequestTiming
from relay.llm.html_answers import as_markdown
from relay.llm.providers.json_values import as_amount, as_dict, as_int, as_text, as_vectors
from relay.llm.providers.markup import AnswerFilter, cleaned
from relay.llm.providers.repetition import without_loop
from relay.llm.providers.upstream import Stream, Upstream

# The LLM server enforces llm_total_seconds itself; this is the margin before the client gives up on a hung server.
_GRACE_SECONDS = 5.0
_MAX_ANSWER_CHARS = 200_000
_KINDS = {kind.value: kind for kind in ModelFailure}


class _LlmServer(Upstream):
    """Our LLM server as an upstream: unlike other model servers it names the kind of an error in the body.

    The id of a request goes in the body too: without a token, a header that proxies add as well is refused there.
    """

    names_requests = False

    def failure(self, status: int, body: Any, headers: Mapping[str, str], *, with_images: bool) -> ProviderError:
        error, own = super().failure(status, body, headers, with_images=with_images), as_dict(body)
        error.kind = _KINDS.get(str(own.get("kind")), error.kind)
        error.retry_after = retry_after_seconds(own.get("retry_after", error.retry_after))
        error.unusable = _unusable(own)
        return error


class LlmClient:
    """Client of the LLM server (ours or a real Ollama) at `settings.model_url`, over a shared HTTP client."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings, *, max_tokens: int | None = None) -> None:
        options = {"num_predict": max_tokens, "temperature": settings.temperature}
        self._options = {key: value for key, value in options.items() if value is not None}
        self._seconds = settings.llm_total_seconds + _GRACE_SECONDS
        self._server = _LlmServer(
            partial(http.send, stream=True),
            "the LLM server",
            settings.model_url,
            connect_seconds=settings.llm_connect_seconds,
            redact=Redactor(settings.secrets()).redact,
            secret=settings.internal_token,
        )

    async def ask(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        platform: Platform,
        user: str,
        name: str | None,
        language: str = "",
        unusable: int = 0,
        progress: Progress | None = None,
        model: str = DEFAULT_MODEL,
    ) -> Answer:
        """The whole answer to a conversation (`role` and `content` of each message, oldest first; `images` as base64).

        `user` is any stable id, different for each user. language: of the demo's own sentences. unusable:
        answers to this question that were paid for before and could not be used. progress: gets the answer while it
        comes, and may end it, with what it cost until then.
        Raises ModelError; cancelling it stops the model's work.
        """
        progress = progress or Progress()
        name_of_answer = uuid.uuid4().hex
        progress.finish = partial(self._finish, name_of_answer)
        body = {
            "model": model,
            "messages": [dict(message) for message in messages],
            "stream": True,
            **({"options": self._options} if self._options else {}),
            "x_relay": {
                "channel": platform,
                "name": name,
                "person": user,
                "id": name_of_answer,
                **({"language": language} if language else {}),
                **({"unusable": unusable} if unusable else {}),
                **_named(),
            },
        }
        timing = RequestTiming(time.monotonic())
        with_images = any(message.get("images") for message in messages)
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._server.stream("/api/chat", body, timing, with_images=with_images) as stream,
            ):
                return await _read(stream, timing, progress)
        except TimeoutError:
            raise ModelError(ModelFailure.TIMEOUT, "the LLM server did not answer in time") from None
        except ProviderError as error:
            if error.billed:
                error.unusable = error.unusable.and_one()
            raise

    async def embed(self, model: str, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """The vectors of texts, in their order. Raises ModelError."""
        body = {"model": model, "input": list(texts), "x_relay": _named()}
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._server.stream("/api/embed", body, RequestTiming(0.0)) as stream,
            ):
                vectors = as_vectors(as_dict(await stream.document()).get("embeddings"), len(texts))
        except TimeoutError:
            raise ModelError(ModelFailure.TIMEOUT, "the LLM server sent no embeddings in time") from None
        if vectors is None:
            raise self._server.broken("sent something that is no embedding")
        return vectors

    async def _finish(self, name_of_answer: str) -> bool:
        """Have the server end an answer; False when it cannot, as a real Ollama."""
        try:
            return as_dict(await self._server.fetch("/api/stop", {"id": name_of_answer})).get("stopped") is True
        except ModelError:
            return False

    async def models(self) -> list[str]:
        """The names of the models that the server offers. Raises ModelError."""
        rows = as_dict(await self._server.fetch("/api/tags")).get("models")
        return [name for row in rows or () if (name := as_text(as_dict(row).get("name")))]

    async def is_usable(self) -> bool:
        """Whether our LLM server would pass a question to a model now. Never raises, takes at most 1 s."""
        return (await self.health(1.0)).get("status") in {"ok", "degraded"}

    async def health(self, seconds: float = 5.0) -> dict[str, Any]:
        """The body of GET /, or {"status": "unreachable", "problem": ...}. Never raises, takes at most `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                status = await self._server.fetch("/")
        except TimeoutError:
            return {"status": "unreachable", "problem": f"no answer within {seconds:g} seconds"}
        except ModelError as error:
            return {"status": "unreachable", "problem": error.message}
        return status if isinstance(status, dict) else {"status": "unreachable", "problem": "not our LLM server"}


def _named() -> dict[str, str]:
    """The id of the request under way, as a field of x_relay."""
    return {"request_id": request_id} if (request_id := REQUEST_ID.get()) else {}


@asynccontextmanager
async def open_embed(settings: Settings) -> AsyncIterator[Embed]:
    """`LlmClient.embed` over connections of its own, for a command."""
    async with open_http_client() as http:
        yield LlmClient(http, settings).embed


async def _read(stream: Stream, timing: RequestTiming, progress: Progress) -> Answer:
    """The streamed answer without reasoning. Raises ModelError when it is empty or broken off."""
    texts: list[str] = []
    length = 0
    grows = _Growing(progress)
    async for lines in stream.lines():
        for line in lines:
            for last in stream.parsed(line):
                if last.get("error"):
                    raise stream.error(last)
                if text := as_text(as_dict(last.get("message")).get("content")):
                    if timing.first_token_seconds is None:
                        timing.first_token_seconds = time.monotonic() - timing.started
                    texts.append(text)
                    length += len(text)
                    grows.add(text)
                if last.get("done") or length >= _MAX_ANSWER_CHARS:
                    return _answer("".join(texts)[:_MAX_ANSWER_CHARS], last, timing)
    raise stream.broke_off()


class _Growing:
    """Gives the text of a stream to a Progress, without markup of the model."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._filter = AnswerFilter()
        self._text = ""

    def add(self, text: str) -> None:
        known = self._filter.found_unopened
        shown, _ = self._filter.feed(text)
        if self._filter.found_unopened and not known:
            self._progress.restart()
            self._text, shown = "", shown.partition("\n")[2]  # the line before it is the tag that ended the reasoning
        self._text += shown
        if may_be_wrapped(self._text):
            self._progress.restart()
            shown = unwrapped(self._text, whole=False)
        self._progress.add(shown)


def _answer(text: str, last: Mapping[str, Any], timing: RequestTiming) -> Answer:
    ours = as_dict(last.get("x_relay"))
    cost, unusable = as_amount(ours.get("cost_usd")), _unusable(ours)
    text = as_markdown(unwrapped(without_loop(cleaned(text)))).strip()
    stopped = ours.get("stopped") is True
    if is_blank(text) and not stopped:
        error = ModelError(ModelFailure.EMPTY, "the model gave an empty answer")
        error.unusable = unusable.and_one(cost or 0.0)
        raise error
    first = as_amount(ours.get("first_token_seconds"))
    return Answer(
        text=text,
        model=str(ours.get("model") or last.get("model") or ""),
        source=str(ours.get("source") or "ollama"),
        prompt_tokens=as_int(last.get("prompt_eval_count")),
        answer_tokens=as_int(last.get("eval_count")),
        cost_usd=cost,
        first_token_seconds=timing.first_token_seconds if first is None else first,
        total_seconds=time.monotonic() - timing.started,
        degraded=ours.get("degraded") is True,
        unusable=unusable,
        request_id=REQUEST_ID.get() or None,
        generation_id=as_text(ours.get("generation_id")) or None,
        stopped=stopped,
        estimated=ours.get("estimated") is True,
    )


def _unusable(ours: Mapping[str, Any]) -> UnusableAnswers:
    return UnusableAnswers(as_int(ours.get("unusable")), as_amount(ours.get("unusable_cost_usd")) or 0.0)
