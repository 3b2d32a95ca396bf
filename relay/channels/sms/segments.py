"""Text as telephones count it: cleaning, the GSM-7 alphabet, segments, and cutting a long text into parts.

Markdown becomes plain text in plain_text.py; the provider's limits are the service's.
"""

from __future__ import annotations

import re
import unicodedata

import regex

from relay.core.messages import PlannedPart
from relay.core.text import strip_controls

# 3GPP TS 23.038: the default alphabet, and the characters that take an escape and so count twice.
GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENDED = frozenset("\f^{}\\[~]|€")
_GSM = GSM_BASIC | GSM_EXTENDED

# What a typographer or a model writes, and what a telephone of any age shows for the price of one alphabet.
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
# They show and change nothing, and double the price. Joiners and direction marks stay: scripts and emoji need them.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))

_GRAPHEME = regex.compile(r"\X")
_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"]+", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<!\d)[.!?\u2026][\"'\u2019\u201d)\]]*(?=\s)|[\u3002\uff01\uff1f]")
_SWALLOWED = re.compile(r"\s*\n|[^\S\n]+")


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


def utf16_length(text: str) -> int:
    """Length in UTF-16 code units, the strictest reading of "characters": an emoji counts two or more."""
    return len(text) + sum(char > "\uffff" for char in text)


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
    """The widest number decides the space of all: few parts need few digits."""
    for most in sorted({min(9, max_parts), max_parts}):
        room = limit - len(f"({most}/{most}) ")
        texts: list[str] = []
        start = 0
        while start < len(text) and len(texts) < most:
            end = cut_after(text, start, room)
            texts.append(text[start:end])
            start = end
        if start >= len(text):
            return texts
    last = sum(map(len, texts[:-1]))
    return [*texts[:-1], _shortened(text[last : last + limit], room, closing)]


def _shortened(text: str, room: int, closing: str) -> str:
    end = cut_after(text, 0, room - utf16_length(closing))
    return text[:end].rstrip() + closing


def cut_after(text: str, start: int, room: int) -> int:
    """Where the part that begins at `start` ends, the white space after it included.

    Best is the end of a paragraph, then of a line, a sentence, a word, each if it leaves a part of decent size; a
    grapheme or a web address is cut only when it is longer than a whole part.
    """
    hard = _reach(text, start, room)
    if hard == len(text):
        return hard
    window = text[start : hard + len("https://x")]  # what follows tells whether a word or an address ends there
    end = start + _best_end(window, hard - start)
    swallowed = _SWALLOWED.match(text, end)
    return swallowed.end() if swallowed else end


def _reach(text: str, start: int, room: int) -> int:
    """The furthest index whose part still fits into `room` UTF-16 units; at least one character on."""
    end = min(start + room, len(text))
    while end > start + 1 and (over := utf16_length(text[start:end]) - room) > 0:
        end -= (over + 1) // 2
    return max(end, start + 1)


def _best_end(window: str, most: int) -> int:
    for mark, least in (("\n\n", 0.6), ("\n", 0.6)):
        found = window.rfind(mark, int(most * least), most + 1)
        if found > 0:
            return found
    sentences = [found.end() for found in _SENTENCE_END.finditer(window, int(most * 0.5))]
    sentences = [end for end in sentences if end <= most and not _inside_url(window, end)]
    if sentences:
        return sentences[-1]
    for index in range(most, int(most * 0.3), -1):
        if window[index].isspace():
            return index
    return _hard_end(window, most)


def _inside_url(window: str, end: int) -> bool:
    return any(found.start() < end < found.end() for found in _URL.finditer(window))


def _hard_end(window: str, most: int) -> int:
    """No white space near: cut before the web address or grapheme that would be torn, unless it comes first."""
    for found in _URL.finditer(window):
        if 0 < found.start() < most < found.end():
            return found.start()
    end = 0
    for found in _GRAPHEME.finditer(window):
        if found.end() > most:
            break
        end = found.end()
    return end or most
