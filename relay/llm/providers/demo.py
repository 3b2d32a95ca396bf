"""The demo provider: answers offline from the FAQ file, streamed by words, and states that it is not an AI.

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

MODEL = "demo"
_STREAM_SECONDS = 0.4
_WORD_SECONDS = 0.008
"""The least time of a word: a long answer is to be watched while it is written."""
_HOW_TO_CONNECT = (
    "I am **not an AI**, only a demo that answers from a short FAQ. To connect a real one, set `OPENROUTER_API_KEY` in "
    "the file `.env`, or start Ollama on this machine."
)
_NOTHING_EARLIER = 'This is the first message from you that I can see. Ask me "What did I say before?" again later.'
_UNSEEN = "I cannot see or hear what you sent with it: I am **not an AI**, only a demo."
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
        last = replace(request.messages[-1], content=asked)
        return f"{_UNSEEN}\n\n{reply(faq, replace(request, messages=(*request.messages[:-1], last)))}"
    earlier = [message.content for message in request.messages[:-1] if message.role == "user"]
    found = faq.find(asked)
    if (found is None or found.yields) and (quoted := _quoted(request)):
        return quoted
    if faq.problem:
        return f"{_greeting(request.name)}{_HOW_TO_CONNECT}\n\nMy answers are missing, too: {faq.problem}"
    answer = found.answer if found else faq.default or f"{{greeting}}{_HOW_TO_CONNECT}"
    if "{earlier}" in answer and not earlier:
        return f"{_greeting(request.name)}{_NOTHING_EARLIER}"
    return _filled(answer, request.name, earlier)


def _quoted(request: ChatRequest) -> str | None:
    """The passage of the operator's documents that is most like the question; None when none is like it."""
    asked = request.messages[-1].content
    prompts = (message.content for message in request.messages if message.role == "system")
    passages = [found for prompt in prompts for found in _PASSAGE.findall(prompt)]
    best = closest(asked, [f"{title.rpartition(' > ')[2]} {text}" for _, title, text in passages])
    if best is None:
        return None
    source, title, text = passages[best]
    return f"From *{title or source}*:\n\n{text}"


def _filled(text: str, name: str, earlier: list[str]) -> str:
    """Fill the placeholders of an answer; user text is inserted, never interpreted."""
    numbers = {0: "no earlier message", 1: "1 earlier message"}
    lines = (f"{number}. {one_line(line, 200)}" for number, line in enumerate(earlier, 1))
    values = {
        "greeting": _greeting(name),
        "name": name or "nameless friend",
        "count": numbers.get(len(earlier), f"{len(earlier)} earlier messages"),
        "earlier": "\n".join(lines) or _NOTHING_EARLIER,
        "how_to_connect": _HOW_TO_CONNECT,
    }
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), text)


def _greeting(name: str) -> str:
    return f"Hello {name}! " if name else "Hello! "
