"""Long pastes: apps cut one at 4,096 characters, or at white space shortly before, and send the pieces as messages."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from relay.core.messages import InboundMessage, Kind

FULL_MESSAGE: Final = 4000  # characters from which a message is probably a piece
PASTE_SECONDS: Final = 1.5  # within which the next piece arrives


def fills_a_message(message: InboundMessage) -> bool:
    return message.kind is Kind.TEXT and len(message.text) >= FULL_MESSAGE


def merged(messages: Sequence[InboundMessage]) -> str:
    """The text of messages in a row; pieces of a paste follow each other without a line break."""
    text = messages[0].text if messages else ""
    for before, message in pairwise(messages):
        text += ("" if _is_next_piece(before, message) else "\n") + message.text
    return text


def _is_next_piece(before: InboundMessage, message: InboundMessage) -> bool:
    """Whether the first message is full, and no other message lies between the two."""
    ids = [(one.reply_to or "").partition("/")[0] for one in (before, message)]
    numbers = [int(number) for number in ids if number.isdecimal()]
    return fills_a_message(before) and len(numbers) == 2 and numbers[1] == numbers[0] + 1
