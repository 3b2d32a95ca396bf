"""The questions of a campaign: each carries a marker, and every answer to it repeats the marker piece by piece.

So the bubbles alone show which question was answered, how often, how completely and in which order, also when several
questions were answered as one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from relay.channels.sms.spec import SMS
from relay.core.messages import Platform

LONG_PIECES = 12
_FILLER = "And so the story goes on, word after word, as stories do when time does not matter to the reader. " * 4
_MARKER = re.compile(r"q\d+[st]\d{3}n\d{4}[yz]")
_USER = re.compile(r"^q\d+([st]\d{3})n.*$")
_PIECE = re.compile(rf"({_MARKER.pattern})(?:p(\d\d)of(\d\d))?")


class Kind(StrEnum):
    """The kind of answer that a question requires."""

    SHORT = "short"
    LONG = "long"  # an answer in several parts
    RENAME = "rename"  # answered without the model


@dataclass(slots=True)
class Question:
    """One message of one person. first_at and settled_at are monotonic seconds.

    Before first_at no server can have it; from settled_at on it is acknowledged (a text message) or certainly waits at
    Telegram. external_id is the provider's name of it.
    """

    marker: str
    kind: Kind
    text: str
    external_id: str = ""
    first_at: float = 0.0
    settled_at: float | None = None
    deliveries: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of one answer, as it was found in a text."""

    marker: str
    number: int
    count: int


def make_question(seed: int, platform: Platform, person: int, number: int, kind: Kind) -> Question:
    """The text of a question, with its marker in it."""
    letter = "y" if kind is Kind.LONG else "z"
    marker = f"q{seed}{platform[0]}{person:03d}n{number:04d}{letter}"
    return Question(marker, kind, _text(platform, kind, marker))


def _text(platform: Platform, kind: Kind, marker: str) -> str:
    match kind:
        case Kind.SHORT:
            return f"Please say {marker}"
        case Kind.LONG:
            return f"Please tell me the long story of {marker}"
        case Kind.RENAME:
            return f"name=P{marker}" if platform == SMS else f"/setname P{marker}"
        case _:
            assert_never(kind)


def markers_in(text: str) -> list[str]:
    return _MARKER.findall(text)


def user_of(marker: str) -> str:
    """Which user a question is of: the first letter of the platform and a number, such as s007."""
    return _USER.sub(r"\1", marker)


def pieces_in(text: str) -> list[Piece]:
    """The pieces of answers in a text, in their order; a marker without a number is a whole answer."""
    found = _PIECE.finditer(text)
    return [Piece(match[1], int(match[2] or 1), int(match[3] or 1)) for match in found]


def answer_to(question: str) -> str:
    """What the model of the campaign answers: every piece of every marker, in the order of the markers."""
    paragraphs = [line for marker in markers_in(question) for line in _paragraphs(marker)]
    return "\n\n".join(paragraphs) or "I have nothing to say to that."


def _paragraphs(marker: str) -> list[str]:
    if not marker.endswith("y"):
        return [f"Here you are: {marker}p01of01."]
    return [f"{marker}p{number:02d}of{LONG_PIECES:02d} {_FILLER.strip()}" for number in range(1, LONG_PIECES + 1)]
