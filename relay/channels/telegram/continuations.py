"""Messages that belong together: pieces of a paste, a comment and its forward, an album, a message and its edit.

Apps cut a long paste at 4,096 characters, or at white space shortly before, and send the pieces as messages. A comment
on a forward is a message directly before it. The pictures of an album arrive one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from relay.core.messages import InboundMessage, Kind

FULL_MESSAGE: Final = 4000  # characters from which a message is probably a piece
PASTE_SECONDS: Final = 1.5  # within which the next piece arrives
ALBUM_SECONDS: Final = 1.0  # likewise the next picture
FORWARD_SECONDS: Final = 0.3  # likewise a forward after its comment; the model usually takes longer anyway
LATE_FORWARD_SECONDS: Final = 2.0  # while the model works


def fills_a_message(message: InboundMessage) -> bool:
    return message.kind is Kind.TEXT and len(message.text) >= FULL_MESSAGE


def debounce_seconds(message: InboundMessage) -> float:
    """Seconds to wait for more of a message before the model is asked; a short text is never delayed."""
    if "album" in message.options:
        return ALBUM_SECONDS
    return PASTE_SECONDS if fills_a_message(message) else 0.0


def follow_seconds(message: InboundMessage) -> float:
    """Seconds to hold back an answer for what may follow its question."""
    if "album" in message.options:
        return ALBUM_SECONDS
    may_be_comment = message.options.get("chat_type") == "private" and "forwarded" not in message.options
    return FORWARD_SECONDS if may_be_comment else 0.0


def continues(earlier: InboundMessage, later: InboundMessage) -> bool:
    """Whether the later message is an edit of the earlier one, of the same album, or the forward it comments on."""
    if later.kind is Kind.EDITED:
        return later.reply_to is not None and later.reply_to == earlier.reply_to
    album = later.options.get("album")
    if album is not None:
        return bool(album == earlier.options.get("album"))
    is_soon = 0 <= later.received_at - earlier.received_at <= LATE_FORWARD_SECONDS
    return is_soon and "forwarded" in later.options


def merged(messages: Sequence[InboundMessage]) -> str:
    """The text of messages, as they were sent; pieces of a paste follow each other without a line break."""
    messages = sorted(messages, key=lambda message: _message_id(message) or 0) if _have_ids(messages) else messages
    text = messages[0].text if messages else ""
    for before, message in pairwise(messages):
        text += ("" if _is_next_piece(before, message) else "\n") + message.text
    return text


def _have_ids(messages: Sequence[InboundMessage]) -> bool:
    return all(_message_id(message) is not None for message in messages)


def _message_id(message: InboundMessage) -> int | None:
    number = (message.reply_to or "").partition("/")[0]
    return int(number) if number.isdecimal() else None


def _is_next_piece(before: InboundMessage, message: InboundMessage) -> bool:
    """Whether the first message is full, and no other message lies between the two."""
    first, second = _message_id(before), _message_id(message)
    return fills_a_message(before) and first is not None and second == first + 1
