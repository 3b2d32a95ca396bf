"""Answers inline queries: what people write behind the bot's name in any chat, and send from there if they like it.

Every pause in the writing is a query, and Telegram forgets one after seconds: https://core.telegram.org/bots/api#inlinequery
So the model is asked when the writing has rested, and an answer that comes too late is given to the next query with
the same text. Each question has a history of its own, as others read the answers.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from relay.channels.telegram import texts
from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.entities import MAX_UNITS, entities_of
from relay.channels.telegram.json_fields import object_at, required, text_at
from relay.channels.telegram.quoted import display_name
from relay.channels.telegram.spec import TELEGRAM
from relay.core.cutting import utf16_length
from relay.core.decisions import Decision
from relay.core.errors import SendError
from relay.core.messages import InboundMessage, Kind, UserId
from relay.core.parts import Origin, Part, PlannedPart
from relay.core.records import Records
from relay.core.text import caseless

log = logging.getLogger("relay.telegram")

INLINE: Final = "inline_query"
"""The kind of update, and the key of its id among the options of a message."""

PAUSE_SECONDS: Final = 1.0
"""How long the writing rests before the model is asked."""
MAX_QUERY_SECONDS: Final = 15.0
"""A query that waited longer behind other messages is not put to the model: Telegram has forgotten it."""
CACHE_SECONDS: Final = 300
MAX_CACHED: Final = 1000
TITLE_CHARS: Final = 60
SUMMARY_CHARS: Final = 120
CALL_SECONDS: Final = 5.0
OVER: Final = ("query is too old", "query_id_invalid", "query id is invalid")
_TARGET: Final = "query:"


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who asked what, without regard to case and blanks."""

    person: UserId
    text: str


def is_query(message_id: str) -> bool:
    """Whether this names an inline query instead of a message."""
    return message_id.startswith(_TARGET)


def read_query(query: Mapping[str, Any], external_id: str, received_at: float) -> InboundMessage:
    """An inline query as a message. Raises PayloadError."""
    who = required(query, "from", dict)
    text = required(query, "query", str).strip()
    return InboundMessage(
        TELEGRAM,
        external_id,
        UserId(str(required(who, "id", int))),
        text,
        received_at,
        Kind.TEXT if text and who.get("is_bot") is not True else Kind.SERVICE,
        name=display_name(who) or None,
        username=text_at(who, "username") or None,
        language=text_at(who, "language_code") or None,
        options={"chat_type": "inline", INLINE: required(query, "id", str)},
        topic=f"inline {external_id}",
    )


class InlineQueries:
    """Decides about inline queries, and answers them at Telegram."""

    def __init__(
        self, calls: BotCalls, monotonic: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._calls = calls
        self._monotonic = monotonic
        self._sleep = sleep
        self._latest: dict[UserId, str] = {}
        self._asked: dict[str, _Asked] = {}
        self._answers: dict[_Asked, tuple[dict[str, Any], float]] = {}

    def notice(self, updates: Sequence[Any]) -> None:
        """Remember the latest query of each person, before it is stored: an earlier one is not asked any more."""
        for update in updates:
            query = object_at(update, INLINE) if isinstance(update, dict) else {}
            person = object_at(query, "from").get("id")
            if query:
                _remember(self._latest, UserId(str(person)), text_at(query, "id"))

    def decide(self, message: InboundMessage, decision: Decision) -> Decision:
        """The decision about a query, which is never a command; `decision` has what changes the user."""
        return replace(decision, prompt=message.text, resolve=partial(self._resolved, message, decision))

    async def _resolved(self, message: InboundMessage, decision: Decision, _: Records) -> Decision:
        query, asked = message.options[INLINE], _Asked(message.user_id, caseless(message.text))
        known, until = self._answers.get(asked, ({}, 0.0))
        if until > self._monotonic():
            await self._answer(query, [known], seconds=CACHE_SECONDS)
            return replace(decision, reason="answered as before")
        await self._sleep(PAUSE_SECONDS)
        if self._latest.get(message.user_id, query) != query:
            return replace(decision, reason="its person wrote on")
        _remember(self._asked, query, asked)
        return replace(decision, prompt=texts.inline_prompt(message), shown_as=f"{_TARGET}{query}", join=_first_alone)

    async def deliver(self, part: Part, message_id: str) -> None:
        """Answer a query with a part, or with nothing by one without text; one that is over is answered next time.

        Raises SendError.
        """
        query = message_id.removeprefix(_TARGET)
        is_answer = part.origin is Origin.ANSWER
        result = _article(part)
        if (asked := self._asked.pop(query, None)) and is_answer and part.text:
            _remember(self._answers, asked, (result, self._monotonic() + CACHE_SECONDS))
        await self._answer(query, [result] if part.text else [], seconds=CACHE_SECONDS if is_answer else 0)

    async def _answer(self, query: str, results: Sequence[dict[str, Any]], *, seconds: int) -> None:
        """Answer a query for its person alone, who gets the same within `seconds` without a further query."""
        parameters = {"inline_query_id": query, "results": results, "cache_time": seconds, "is_personal": True}
        try:
            await self._calls.call("answerInlineQuery", parameters, seconds=CALL_SECONDS)
        except SendError as error:
            is_over = error.code == "400" and any(sign in error.message.lower() for sign in OVER)
            if not (is_over or error.retry_after):
                raise
            log.info("an inline query was over before its answer, or Telegram wants a pause: %s", error)


def _article(part: Part) -> dict[str, Any]:
    """What the person sees in the list of results: the beginning; and what is sent: the whole."""
    first, _, rest = part.text.partition("\n")
    return {
        "type": "article",
        "id": hashlib.sha256(part.text.encode("utf-8", "replace")).hexdigest()[:32],
        "title": _cut(first, TITLE_CHARS) or "\u2026",
        "description": _cut(first[TITLE_CHARS - 1 :] + rest if len(first) > TITLE_CHARS else rest, SUMMARY_CHARS),
        "input_message_content": {
            "message_text": part.text,
            "link_preview_options": {"is_disabled": True},
            **entities_of(part.style),
        },
    }


def _cut(text: str, most: int) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= most else f"{plain[: most - 1]}\u2026"


def _first_alone(parts: Sequence[PlannedPart]) -> list[PlannedPart]:
    """The first part, without its number: a query has one answer."""
    first, *others = parts
    if not others:
        return [first]
    text = first.text.removesuffix(f"\n\n(1/{len(parts)})")
    more = "\u2026" if utf16_length(text) < MAX_UNITS else ""
    return [replace(first, text=text + more, history_text=first.history_text.rstrip() + more)]


def _remember(known: dict[Any, Any], key: Any, value: Any) -> None:
    """Add an entry as the newest; the oldest of too many is forgotten."""
    known.pop(key, None)
    known[key] = value
    if len(known) > MAX_CACHED:
        del known[next(iter(known))]
