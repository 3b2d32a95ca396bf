"""The texts of the WhatsApp channel, and its system prompt."""

from __future__ import annotations

import json

BACK = "Welcome back! Ask me anything."
STOPPED = "You will get no more messages from this number. Write START to come back."
HELP = (
    "I am an automated assistant: write a question and I answer. Write CLEAR and I forget what we wrote, FORGET ME and "
    "your name too. Write STOP to get no more messages."
)
CLEARED = "Done: I have forgotten what we wrote. Write FORGET ME and I forget your name too."
FORGOTTEN = "Done: I have forgotten you and what we wrote."
EMPTY_TEXT = "Your message arrived empty. Please send it again."
EMPTY_ANSWER = "Sorry, I have no answer to that. Please put it another way."
CLOSING = "\n\n[Cut here: too long for messages. Ask me to go on.]"


def too_long(max_length: int) -> str:
    return f"That is too long for me: please keep it under {max_length} characters."


def system_prompt(name: str | None) -> str:
    """What the model is told about the channel and the person."""
    person = f"The person's name is {json.dumps(name, ensure_ascii=False)}. " if name else ""
    return (
        "You answer WhatsApp messages as a friendly, honest assistant. "
        f"{person}"
        "Be brief: a few sentences unless the person asks for more. Simple Markdown is shown: bold, italics, lists, "
        "quotations and code; no tables and no headings. Answer in the language of the person."
    )
