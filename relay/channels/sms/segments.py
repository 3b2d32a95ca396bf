"""SMS text: cleaning, the GSM-7 alphabet, billed segments, and numbered parts of a long text."""

from __future__ import annotations

import re
import unicodedata

from relay.core.cutting import best_cut, reach, utf16_length, utf16_offsets
from relay.core.messages import PlannedPart
from relay.core.text import strip_controls

# 3GPP TS 23.038: the default alphabet, and the characters that take an escape and so count twice.
GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENDED = frozenset("\f^{}\\[~]|€")
_GSM = GSM_BASIC | GSM_EXTENDED

# Typographic characters, and their spelling in GSM-7, which every telephone shows.
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2039\u203a\u00b4\u02bc", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys("\u2022\u2023\u2043\u25aa\u25cf\u25e6\u00b7", "-")
    | {
        "\u2026": "...", "\u2192": "->", "\u2190": "<-", "\u21d2": "=>", "\u2264": "<=", "\u2265": ">=", "\u2260": "!=",
        "\u00b1": "+/-", "\u00d7": "x", "\u00f7": "/", "\u2044": "/", "\u2122": "(TM)", "\u00a9": "(C)",
        "\u00ae": "(R)", "\u00b2": "^2", "\u00b3": "^3", "\ufb01": "fi", "\ufb02": "fl",
    }
)  # fmt: skip
_FRACTIONS = {"\u00bd": "1/2", "\u00bc": "1/4", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3"}
_FRACTION = re.compile(rf"(\d?)([{''.join(_FRACTIONS)}])")
_DEGREES = re.compile("\\s?\u00b0(?=[CF]\\b)")

_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_TOO_MANY_SPACES = re.compile(" {21,}")
_TOO_MANY_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")
_FIRST_LINES = re.compile(r"\A(?:[ \t]*\n)+")
# Invisible and without effect, but double the price. Joiners and direction marks stay: scripts and emoji need them.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))


def clean_sms(text: str) -> str:
    """An outgoing text in its final spelling: composed, nothing invisible, never two empty lines in a row."""
    text = unicodedata.normalize("NFC", strip_controls(text)).translate(_INVISIBLE)
    text = _SPACES.sub(" ", text).replace("\t", "    ")
    text = _TOO_MANY_LINES.sub("\n\n", _TOO_MANY_SPACES.sub(" " * 20, text))
    return _FIRST_LINES.sub("", text).rstrip()


def in_gsm_letters(text: str) -> str:
    """The text with typographic characters spelled in GSM-7, where that may save segments.

    A text in a script or with letters that GSM-7 lacks goes as UCS-2 in any case and keeps its typography.
    """
    if any(char not in _GSM and char.isalpha() and ord(char) not in _TYPOGRAPHY for char in text):
        return text
    text = _FRACTION.sub(lambda found: f"{found[1]}{' ' if found[1] else ''}{_FRACTIONS[found[2]]}", text)
    return _DEGREES.sub(" ", text).translate(_TYPOGRAPHY)


# -- counting ----------------------------------------------------------------------------------------------------------


def segments(text: str) -> int:
    """How many segments a text is billed as: 160 or 153 septets in GSM-7, 70 or 67 UTF-16 units otherwise.

    A character of two units never stands across the border of two segments.
    """
    if all(char in _GSM for char in text):
        widths, single, many = [2 if char in GSM_EXTENDED else 1 for char in text], 160, 153
    else:
        widths, single, many = [2 if char > "\uffff" else 1 for char in text], 70, 67
    if sum(widths) <= single:
        return 1
    count, used = 1, 0
    for width in widths:
        if used + width > many:
            count, used = count + 1, 0
        used += width
    return count


# -- cutting -----------------------------------------------------------------------------------------------------------


def split(text: str, limit: int, max_parts: int, closing: str) -> list[PlannedPart]:
    """Cut a clean_sms text into parts of at most `limit` UTF-16 units, numbered "(1/3) " when there are several.

    When it would take more than `max_parts` parts, the last one ends with `closing` and the rest is dropped.
    """
    if utf16_length(text) <= limit:
        return [_part(text, text)]
    texts = [_shortened(text, limit, closing)] if max_parts == 1 else _numbered_texts(text, limit, max_parts, closing)
    if len(texts) == 1:
        return [_part(texts[0].rstrip(), texts[0])]
    count = len(texts)
    return [_part(f"({number}/{count}) {part.rstrip()}", part) for number, part in enumerate(texts, 1)]


def _part(text: str, history_text: str) -> PlannedPart:
    return PlannedPart(text, history_text, segments=segments(text))


def _numbered_texts(text: str, limit: int, max_parts: int, closing: str) -> list[str]:
    """The widest number decides the length of all: few parts need few digits."""
    offsets = utf16_offsets(text)
    for count in sorted({min(9, max_parts), max_parts}):
        room = limit - len(f"({count}/{count}) ")
        texts: list[str] = []
        start = 0
        while start < len(text) and len(texts) < count:
            end = _end_of_part(text, offsets, start, room)
            texts.append(text[start:end])
            start = end
        if start >= len(text):
            return texts
    last = sum(map(len, texts[:-1]))
    return [*texts[:-1], _shortened(text[last : last + limit], room, closing)]


def _shortened(text: str, room: int, closing: str) -> str:
    end = _end_of_part(text, utf16_offsets(text), 0, room - utf16_length(closing))
    return text[:end].rstrip() + closing


def _end_of_part(text: str, offsets: list[int], start: int, room: int) -> int:
    furthest = reach(offsets, start, room)
    return furthest if furthest == len(text) else best_cut(text, start, furthest)
