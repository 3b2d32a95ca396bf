"""The GSM-7 alphabet, billed segments, and numbered parts of a long text."""

from __future__ import annotations

import itertools

from relay.core.cutting import best_cut, reach, utf16_length, utf16_offsets
from relay.core.parts import PlannedPart

MESSAGE_LIMIT = 1600  # "Body" in https://www.twilio.com/docs/messaging/api/message-resource

# 3GPP TS 23.038: the default alphabet, and the characters that take an escape and so count twice.
GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENDED = frozenset("\f^{}\\[~]|€")
GSM = GSM_BASIC | GSM_EXTENDED

# -- counting ----------------------------------------------------------------------------------------------------------


def segments(text: str) -> int:
    """How many segments a text is billed as: 160 or 153 septets in GSM-7, 70 or 67 UTF-16 units otherwise.

    A character of two units never stands across the border of two segments.
    """
    widths, single, many = _widths(text)
    if sum(widths) <= single:
        return 1
    count, used = 1, 0
    for width in widths:
        if used + width > many:
            count, used = count + 1, 0
        used += width
    return count


def units(text: str) -> tuple[int, int]:
    """The length of a text in septets or UTF-16 units, and how many of them one segment holds."""
    widths, single, _ = _widths(text)
    return sum(widths), single


def _widths(text: str) -> tuple[list[int], int, int]:
    """The width of each character, and the size of a segment that is alone and of one of many."""
    if GSM.issuperset(text):
        return [2 if char in GSM_EXTENDED else 1 for char in text], 160, 153
    return [2 if char > "\uffff" else 1 for char in text], 70, 67


# -- cutting -----------------------------------------------------------------------------------------------------------


def split(text: str, limit: int) -> list[PlannedPart]:
    """Cut a clean_sms text into parts of at most `limit` UTF-16 units, numbered "(1/3) " when there are several."""
    if utf16_length(text) <= limit:
        return [_part(text, text)]
    texts = _numbered_texts(text, limit)
    if len(texts) == 1:
        return [_part(texts[0].rstrip(), texts[0])]
    count = len(texts)
    return [_part(f"({number}/{count}) {part.rstrip()}", part) for number, part in enumerate(texts, 1)]


def _part(text: str, history_text: str) -> PlannedPart:
    return PlannedPart(text, history_text, segments=segments(text))


def _numbered_texts(text: str, limit: int) -> list[str]:
    """The widest number decides the length of all: few parts need few digits."""
    offsets, texts = utf16_offsets(text), list[str]()
    for digits in itertools.count(1):
        room = limit - len(f"({'9' * digits}/{'9' * digits}) ")
        texts, start = [], 0
        while start < len(text) and len(texts) < 10**digits - 1:
            end = _end_of_part(text, offsets, start, room)
            texts.append(text[start:end])
            start = end
        if start >= len(text):
            break
    return texts


def _end_of_part(text: str, offsets: list[int], start: int, room: int) -> int:
    furthest = reach(offsets, start, room)
    return furthest if furthest == len(text) else best_cut(text, start, furthest)
