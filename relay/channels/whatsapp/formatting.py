"""Converts a model's Markdown to what WhatsApp shows: bold, italics, strikethrough, code, lists and quotations.

https://faq.whatsapp.com/539178204879377: the marks, which end at the end of a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relay.channels.sms.plain_text import to_plain_text

MARKS: Final[Mapping[str, str]] = {
    "Strong": "*",
    "Emphasis": "_",
    "Strikethrough": "~",
    "Code": "`",
    "CodeBlock": "```",
    "Heading": "*",
}


def to_whatsapp(markdown: str) -> str:
    """The Markdown with the marks of WhatsApp; links keep their address, tables become lines."""
    return to_plain_text(markdown, MARKS)
