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

NOTHING_TO_STOP = "I am not writing anything now."
REMOVED = "(This is part of the answer above now.)"
BUTTON_GONE = "That button does nothing any more."
BUTTON_OLD = "That answer is too old to change. Ask me again, and I answer anew."
BUTTON_OF_OTHERS = "Only the person who asked can use these buttons."
BUTTONS = {
    "stop": "Stop",
    "continue": "Continue",
    "again": "Again",
    "shorter": "Shorter",
    "longer": "Longer",
    "forget": "Delete everything",
    "keep": "Cancel",
}
FORGET_BUTTONS = ("forget", "keep")
FORGET_QUESTION = (
    "This deletes all that I keep about you here: our messages, your name, your settings. It cannot be undone. "
    "Delete everything?"
)
FORGOTTEN = "Done: I have deleted all that I kept about you here."
KEPT = "Nothing was deleted."
CONTINUE = "continue"
ASK_AGAIN = "Answer my last message once more, in another way. Write only the answer."
ASK_SHORTER = "Give your last answer again, much shorter. Write only the answer."
ASK_LONGER = "Give your last answer again, in more detail. Write only the answer."


PLEASE_REPEAT = "Please send that once more as a new message."
ONE_MODEL = "One model answers here, and it cannot be chosen."
MODELS_UNKNOWN = "I could not find out which models there are. Please try again."
EXPORT_FORMATS = "I can write it as md or json: /export json"
NOTHING_TO_EXPORT = "There is nothing to export yet."
YOU = "You"
ASSISTANT = "Assistant"
MAX_LISTED_MODELS = 30


def models(now: str, offered: Sequence[str]) -> str:
    lines = [f"- `{name}`{' (now)' if name == now else ''}" for name in offered[:MAX_LISTED_MODELS]]
    more = len(offered) - MAX_LISTED_MODELS
    rest = f"\n\nand {more} more" if more > 0 else ""
    return "\n".join(("**Models that you can choose**", "", *lines)) + f"{rest}\n\nChoose one like this: /model NAME"


def no_such_model(name: str, offered: Sequence[str]) -> str:
    return f"I know no model {escape(name[:100])} that you can choose.\n\n{models('', offered)}"


def model_chosen(name: str) -> str:
    return f"From now on `{name}` answers you."


def usage(used: UsageToday, per_day: int) -> str:
    questions = f"{used.messages} question{'' if used.messages == 1 else 's'}"
    return f"**Today** (UTC): {questions}, ${used.cost_usd:.4f}.\n\nYou can ask {per_day} in 24 hours."


def exported(count: int) -> str:
    return f"Here is our conversation: {count} message{'' if count == 1 else 's'}."


def code_in_file(name: str, lines: int) -> str:
    return f"The code is in the file **{escape(name)}** ({lines} line{'' if lines == 1 else 's'})."


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
