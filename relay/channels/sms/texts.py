"""The texts of the SMS channel, and its system prompt. A text asks for no keyword (keywords.py)."""

from __future__ import annotations

import json

from relay.core.markdown_source import escape_markdown as escaped

HOW_TO_NAME = "Try again like this: name=John"
BACK = "Welcome back! Ask me anything."
STOPPED = "You will get no more texts from this number. Text START to come back."
HELP = (
    "This is an automated assistant: text a question and it answers. Text CLEAR and it forgets what you wrote, "
    "FORGET ME and your name too. Text STOP to get no more texts."
)
CLEARED = "Done: I have forgotten what we wrote. Text FORGET ME and I forget your name too."
FORGOTTEN = "Done: I have forgotten you and what we wrote."
ONLY_TEXT = "Sorry, I can only read text for now. Please describe it in words."
EMPTY_TEXT = "Your text arrived empty. Please send it again."
EMPTY_ANSWER = "Sorry, I have no answer to that. Please put it another way."
CLOSING = "\n\n[Cut here: too long for texts. Ask me to go on.]"
MORE = "\n\n(Text MORE for the rest.)"


def ask_for_name(program: str | None, contact: str | None) -> str:
    """What this is, that it is automated, how to register and how to stop; without program and contact one segment."""
    what = f"This is {escaped(program)}, an automated assistant" if program else "This is an automated assistant"
    who = f" Contact: {escaped(contact)}." if contact else ""
    return (
        f"Hi! {what}.{who} What is your name? Text me name= and your name, for example: name=John\n"
        "Text STOP to get no more texts."
    )


def welcome(name: str) -> str:
    return f"Nice to meet you, {escaped(name)}! Ask me anything. To change your name, text name= and the new one."


def renamed(name: str) -> str:
    return f"Done! I will call you {escaped(name)} from now on."


def bad_name(reason: str) -> str:
    return f"{escaped(reason)} {HOW_TO_NAME}"


def too_long(max_length: int) -> str:
    return f"That is too long for me: please keep it under {max_length} characters."


def unseen(count: int) -> str:
    """A note for the model about attachments that it is not shown; empty for none."""
    return f"\n\n[With {count} picture(s) or file(s), which you cannot see.]" if count else ""


def system_prompt(name: str | None, max_chars: int = 4 * 153 - len(MORE)) -> str:
    """Short and plain, as each 153 characters cost money; and no question whose natural answer is a keyword."""
    person = f"The person's name is {json.dumps(name, ensure_ascii=False)}. " if name else ""
    return (
        "You answer text messages (SMS) as a friendly, honest assistant. "
        f"{person}"
        "Write plain text: no Markdown, no headings, no tables, no emoji. "
        "Be brief: one to three short sentences, under 300 characters, unless the person asks for more; "
        f"never more than {max_chars} characters in one answer. "
        "Answer in the language of the person. "
        "Never ask for a one-word reply and never ask a yes-or-no question; to offer a choice, number the options."
    )
