"""The demo provider: answers offline from the FAQ file, streamed by words, and states that it is not an AI.

Its own sentences are in the language of the person; those of the file and of documents in that of their author.

Deterministic: the same conversation always gets the same answer. It costs nothing and needs nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

from relay.core.attachments import without_unseen
from relay.core.errors import ModelFailure
from relay.core.text import one_line
from relay.llm.chat import (
    ChatRequest,
    Chunk,
    Completion,
    ModelFacts,
    Provider,
    ProviderError,
    ProviderStatus,
    RequestTiming,
    StreamEvents,
)
from relay.llm.providers.faq import Faq, closest
from relay.texts.sentences import localize

MODEL = "demo"
_STREAM_SECONDS = 0.4
_WORD_SECONDS = 0.008
"""The least time of a word: a long answer is to be watched while it is written."""
_SENTENCES = {
    "introduction": "demo-introduction",
    "abilities": "demo-abilities",
    "how_to_connect": "demo-how-to-connect",
    "nothing_earlier": "demo-nothing-earlier",
    "no_answer": "demo-no-answer",
    "thanks": "demo-thanks",
    "goodbye": "demo-goodbye",
}
"""Placeholders of the FAQ that are sentences of ours, in the language of the person."""
_PASSAGE = re.compile(r'<passage source="([^\n]*?)" title="([^\n]*?)">\n(.*?)\n</passage>', re.DOTALL)
_TOKEN = re.compile(r"\s*\S+\s*")


class DemoProvider(Provider):
    """Answers from `faq`; `sleep` paces the words."""

    name = "demo"
    default_model = MODEL
    is_ai = False

    def __init__(self, faq: Faq, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._faq = faq
        self._sleep = sleep

    async def answer(self, request: ChatRequest, model: str, timing: RequestTiming) -> StreamEvents:
        if model != MODEL:
            raise ProviderError(
                ModelFailure.NOT_FOUND, f"there is no model {model!r}; only {MODEL!r}, which is not an AI"
            )
        if request.messages[-1].images:
            raise ProviderError(
                ModelFailure.IMAGES_UNSUPPORTED, "the demo source cannot see pictures; no AI is connected"
            )
        words = _TOKEN.findall(reply(self._faq, request))
        pause = min(0.02, max(_STREAM_SECONDS / len(words), _WORD_SECONDS))
        for number, word in enumerate(words):
            if number:
                await self._sleep(pause)
                timing.upstream_seconds += pause
            yield Chunk(word)
        asked = sum(len(message.content.split()) for message in request.messages)
        yield Completion("stop", MODEL, asked, len(words), 0.0)

    async def fetch_status(self) -> ProviderStatus:
        return ProviderStatus(
            MODEL, (ModelFacts(MODEL, supports_vision=False, details={"capabilities": ["completion"]}),)
        )


def reply(faq: Faq, request: ChatRequest) -> str:
    """The whole answer to the last message."""
    asked, unseen = without_unseen(request.messages[-1].content)
    if unseen:
        seen = (*request.messages[:-1], replace(request.messages[-1], content=asked))
        return f"{localize('demo-unseen', request.language)}\n\n{reply(faq, replace(request, messages=seen))}"
    earlier = [message.content for message in request.messages[:-1] if message.role == "user"]
    found = faq.find(asked)
    if (found is None or found.yields) and (quoted := _quoted(request)):
        return quoted
    answer = found.answer if found else faq.default or "{greeting}{how_to_connect}"
    if faq.problem:
        answer = f"{{greeting}}{{how_to_connect}}\n\nMy answers are missing, too: {faq.problem}"
    elif "{earlier}" in answer and not earlier:
        answer = "{greeting}{nothing_earlier}"
    return _filled(answer, request, earlier)


def _quoted(request: ChatRequest) -> str | None:
    """The passage of the operator's documents that is most like the question; None when none is like it."""
    asked = request.messages[-1].content
    prompts = (message.content for message in request.messages if message.role == "system")
    passages = [found for prompt in prompts for found in _PASSAGE.findall(prompt)]
    best = closest(asked, [f"{title.rpartition(' > ')[2]} {text}" for _, title, text in passages])
    if best is None:
        return None
    source, title, text = passages[best]
    return f"{localize('demo-quoted', request.language, title=title or source)}\n\n{text}"


def _filled(text: str, request: ChatRequest, earlier: list[str]) -> str:
    """Fill the placeholders of an answer; user text is inserted, never interpreted."""
    numbers = {0: "no earlier message", 1: "1 earlier message"}
    lines = (f"{number}. {one_line(line, 200)}" for number, line in enumerate(earlier, 1))
    values = {
        "greeting": _greeting(request),
        "name": request.name or "nameless friend",
        "count": numbers.get(len(earlier), f"{len(earlier)} earlier messages"),
        "earlier": "\n".join(lines),
    }

    def value(placeholder: re.Match[str]) -> str:
        key = _SENTENCES.get(placeholder[1])
        return localize(key, request.language) if key else values.get(placeholder[1], placeholder[0])

    return re.sub(r"\{(\w+)\}", value, text)


def _greeting(request: ChatRequest) -> str:
    if not request.name:
        return f"{localize('demo-hello', request.language)} "
    return f"{localize('demo-hello-name', request.language, name=request.name)} "
