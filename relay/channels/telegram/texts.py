"""The texts of the Telegram channel that are put together, in Markdown, and its system prompt.

The sentences are in relay/texts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from relay.channels.telegram.rich_text import as_quote
from relay.core.markdown_source import escape_markdown as escape
from relay.core.messages import InboundMessage, User
from relay.core.records import UsageToday
from relay.texts.languages import AUTOMATIC
from relay.texts.sentences import localize, offered_languages

BUTTONS = {
    "stop": "telegram-press-stop",
    "continue": "telegram-press-continue",
    "again": "telegram-press-again",
    "shorter": "telegram-press-shorter",
    "longer": "telegram-press-longer",
    "forget": "telegram-press-forget",
    "keep": "telegram-press-keep",
}
"""Keys of what stands on each button."""

FORGET_BUTTONS = ("forget", "keep")
CONTINUE = "continue"
ASK_TO_GO_ON = (
    "Your last answer was stopped before its end. Write what follows its last word, and only that: repeat nothing."
)
ASK_AGAIN = "Answer my last message once more, in another way and in the same language. Write only the answer."
ASK_SHORTER = "Give your last answer again, much shorter, in the same language. Write only the answer."
ASK_LONGER = "Give your last answer again, in more detail, in the same language. Write only the answer."


MAX_LISTED_MODELS = 30


def models(now: str, offered: Sequence[str], language: str) -> str:
    mark = f" ({localize('telegram-model-now', language)})"
    lines = [f"- `{name}`{mark if name == now else ''}" for name in offered[:MAX_LISTED_MODELS]]
    more = len(offered) - MAX_LISTED_MODELS
    rest = [localize("telegram-models-more", language, count=more)] if more > 0 else []
    listed = "\n".join((localize("telegram-models", language), "", *lines))
    return "\n\n".join((listed, *rest, localize("telegram-choose-model", language)))


def no_such_model(name: str, offered: Sequence[str], language: str) -> str:
    unknown = localize("telegram-no-such-model", language, name=escape(name[:100]))
    return f"{unknown}\n\n{models('', offered, language)}"


def usage(used: UsageToday, per_day: int, language: str) -> str:
    today = localize("telegram-usage", language, count=used.messages, usd=f"{used.cost_usd:.4f}")
    return f"{today}\n\n{localize('telegram-usage-limit', language, limit=per_day)}"


def numbers(figures: Mapping[str, Any]) -> str:
    """The figures of the channel for an operator, by name."""
    return "\n".join(("**Numbers**", "", *(f"- {escape(name)}: {value}" for name, value in figures.items())))


def welcome(name: str, language: str, *, again: bool) -> str:
    """The greeting; in a group, which has no name of its own, `name` is empty."""
    if not name:
        return localize("telegram-welcome-group", language)
    hello = localize("telegram-hello-again" if again else "telegram-hello", language, name=escape(name))
    return localize("telegram-welcome", language, hello=hello)


def help_text(commands: Mapping[str, str], language: str) -> str:
    menu = "\n".join(f"- /{name}: {text}" for name, text in commands.items())
    return f"{localize('telegram-help', language)}\n\n{menu}"


def languages(language: str) -> str:
    """How to choose another language, and the list of them."""
    names = {code: localize("language-name", code) for code in offered_languages()}
    names[AUTOMATIC] = localize("telegram-language-automatic", language)
    return "\n".join(
        (localize("telegram-languages", language), "", *(f"- {code}: {name}" for code, name in names.items()))
    )


def stored_facts(
    name: str, message: InboundMessage, user: User | None, language: str, *, since: float, exchanges: int
) -> str:
    """The stored facts about a user; `since` is when they were first seen."""
    return localize(
        "telegram-facts",
        language,
        name=escape(name),
        username=escape(f"@{message.username}") if message.username else localize("telegram-no-username", language),
        chat=escape(message.user_id),
        since=time.strftime("%Y-%m-%d", time.gmtime(since)),
        count=user.message_count if user else 0,
        exchanges=exchanges,
    )


def prompt(message: InboundMessage, *, dated: bool = False) -> str:
    """The text with what it replies to.

    dated: begins with the time at which it was sent.
    """
    text = message.text
    if dated:
        text = time.strftime("[Sent on %Y-%m-%d at %H:%M UTC]\n", time.gmtime(message.options["sent_at"])) + text
    if quoted := message.options.get("quoted"):
        whose = f"what {quoted['author']} wrote" if quoted["author"] else "this"
        text = f"[In reply to {whose}:]\n{as_quote(quoted['text'])}\n\n{text}"
    return text


def inline_prompt(message: InboundMessage) -> str:
    return f"{message.text}\n\n[Answer in at most 500 characters: others read it as one message.]"


def system_prompt(name: str | None, chosen: str | None = None, *, group: bool) -> str:
    """A user's name is data, so it is a JSON string; in a group the messages carry the names.

    chosen: code of the language that was chosen.
    """
    lines = [
        "You answer people on Telegram. Be helpful, accurate and to the point.",
        "You may use Markdown: bold, italics, lists, links, tables, and code blocks with their language.",
        "Keep an answer under 3500 characters unless more is asked for.",
    ]
    if group:
        lines.append("This is a group: each message begins with the name of the person who speaks.")
    elif name:
        lines.append(f"The person's name is {json.dumps(name, ensure_ascii=False)}.")
    if chosen:
        lines.append(f"Answer in {localize('language-in-English', chosen)}.")
    return "\n".join(lines)
