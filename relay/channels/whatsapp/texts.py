"""The system prompt of the WhatsApp channel; the sentences are in relay/texts."""

from __future__ import annotations

import json

from relay.texts.sentences import localize


def system_prompt(name: str | None, chosen: str | None = None) -> str:
    """What the model is told about the channel and the person; chosen: code of the language that they chose."""
    language = f"in {localize('language-in-English', chosen)}" if chosen else "in the language of the person"
    person = f"The person's name is {json.dumps(name, ensure_ascii=False)}. " if name else ""
    return (
        "You answer WhatsApp messages as a friendly, honest assistant. "
        f"{person}"
        "Be brief: a few sentences unless the person asks for more. Simple Markdown is shown: bold, italics, lists, "
        f"quotations and code; no tables and no headings. Answer {language}."
    )
