"""The spelling of outgoing texts: nothing invisible, and no character that costs more than it tells.

One character that GSM-7 lacks makes a segment hold 67 instead of 153.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import regex

from relay.channels.sms.segments import GSM, segments
from relay.core.text import is_blank, strip_controls

# Typographic characters, and their spelling in GSM-7, which every telephone shows.
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2039\u203a\u00b4\u02bc", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys("\u2022\u2023\u2043\u25aa\u25cf\u25e6\u00b7", "-")
    | {
        "\u2026": "...", "\u2192": "->", "\u2190": "<-", "\u21d2": "=>", "\u2264": "<=", "\u2265": ">=", "\u2260": "!=",
        "\u00b1": "+/-", "\u00d7": "x", "\u00f7": "/", "\u2044": "/", "\u2122": "(TM)", "\u00a9": "(C)",
        "\u00ae": "(R)", "\ufb01": "fi", "\ufb02": "fl", "\u203c": "!!", "\u2047": "??", "\u2048": "?!",
        "\u2049": "!?", "\u2017": "_", "\u02c6": "^", "\u02dc": "~", "\u02ba": '"', "\u2215": "/", "\u2217": "*",
        "\u223c": "~", "\u2248": "~", "\u2030": " per mille", "\u207f": "^n", "\u2116": "No.", "\u2120": "(SM)",
    }
    | {chr(0x2080 + digit): str(digit) for digit in range(10)}  # subscripts
    | dict(zip("\u208a\u208b\u208c\u208d\u208e", "+-=()", strict=True))
    | dict(zip("\u207a\u207b\u207c\u207d\u207e", "+-=()", strict=True))
    | {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full width
    | dict.fromkeys("\u200c\u200e\u200f\u061c\u180e\u034f\ufe0e" + "".join(map(chr, (*range(0x202A, 0x202F),
        *range(0x2061, 0x2065), *range(0x2066, 0x206A)))), "")  # invisible, and without effect among Latin letters
)  # fmt: skip
_SUPERSCRIPTS = re.compile("[\u207b\u207a]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")
_SUPERSCRIPT_DIGITS = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b", "0123456789+-"
)
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
    if GSM.issuperset(text) or any(
        char not in GSM and char.isalpha() and ord(char) not in _TYPOGRAPHY for char in text
    ):
        return text
    text = _SUPERSCRIPTS.sub(lambda found: "^" + found[0].translate(_SUPERSCRIPT_DIGITS), text)
    text = _FRACTION.sub(lambda found: f"{found[1]}{' ' if found[1] else ''}{_FRACTIONS[found[2]]}", text)
    return _DEGREES.sub(" ", text).translate(_TYPOGRAPHY)


# -- what the price allows ---------------------------------------------------------------------------------------------

_ONE_EMOJI = (
    r"(?:\p{RI}\p{RI}|\p{Extended_Pictographic}[\ufe0f\u20e3\p{EMod}\U000e0020-\U000e007f]*"
    r"(?:\u200d\p{Extended_Pictographic}[\ufe0f\p{EMod}]*)*)"
)
_EMOJI = regex.compile(rf"(?m:^(?P<indent>[ ]*)(?:{_ONE_EMOJI}[ ]*)+)|(?:[ ]?{_ONE_EMOJI})+")
_KEYCAP = re.compile("(^[ \t]*)?([0-9#*])\ufe0f?\u20e3", re.MULTILINE)
_STARS = re.compile("([\u2605\u2b50]+)(\u2606*)")
_LEADING_STAR = re.compile("^([ \t]*)[\u2605\u2b50]\ufe0f? +(?![\u2605\u2b50])", re.MULTILINE)
_YES, _NO = re.compile("[\u2713\u2714\u2705\u2611]\ufe0f?"), re.compile("[\u2717\u2718\u274c\u274e\u2612]\ufe0f?")
_LEFT_OVER = re.compile("[\ufe0f\u200d\u20e3]")
_OTHER_LETTERS = str.maketrans(
    {
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "\u0131": "i",
        "œ": "oe",
        "Œ": "OE",
        "ħ": "h",
        "Ħ": "H",
        "ŀ": "l",
        "ŋ": "n",
    }
)


def affordable(text: str, *, keep_emoji: bool = False, fold_accents: bool = False) -> str:
    """The text in its cheapest spelling: without emoji, backticks and accents where that saves a segment.

    A text about emoji keeps them. `fold_accents` allows a spelling without accents, which changes words.
    """
    best = text = in_gsm_letters(text)
    for candidate in _spellings(text, keep_emoji=keep_emoji or "emoji" in text.casefold(), fold_accents=fold_accents):
        if not is_blank(candidate) and segments(candidate) < segments(best):
            best = candidate
    return best


def _spellings(text: str, *, keep_emoji: bool, fold_accents: bool) -> Iterator[str]:
    """Further spellings of a text, each less faithful than the one before."""
    if not keep_emoji:
        text = _without_emoji(text)
        yield text
    text = text.replace("`", "'")
    yield text
    if fold_accents:
        yield in_gsm_letters(_without_accents(text))


def _without_emoji(text: str) -> str:
    """Ticks and crosses become words where both occur, stars and boxed digits what they stand for."""
    has_both = _YES.search(text) and _NO.search(text)
    text = _NO.sub("(no)", _YES.sub("(yes)", text)) if has_both else text
    text = _STARS.sub(_rating, _LEADING_STAR.sub(r"\1", text))
    text = _KEYCAP.sub(lambda found: f"{found[1]}{found[2]}." if found[1] is not None else found[2], text)
    return clean_sms(_LEFT_OVER.sub("", _EMOJI.sub(lambda found: found["indent"] or "", text)))


def _rating(found: re.Match[str]) -> str:
    stars, missing = len(found[1]), len(found[2])
    if missing:
        return f"{stars}/{stars + missing}"
    return "*" * stars if stars > 1 else ""


def _without_accents(text: str) -> str:
    """The letters that GSM-7 lacks as their plain ones."""
    return "".join(char if char in GSM else _plain(char) for char in unicodedata.normalize("NFC", text))


def _plain(char: str) -> str:
    base = "".join(part for part in unicodedata.normalize("NFD", char) if unicodedata.category(part) != "Mn")
    return base.translate(_OTHER_LETTERS)
