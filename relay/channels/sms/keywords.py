"""Keywords of consent such as STOP, in every common spelling, and the replies that must not ask for one.

Twilio acts only on a text that is exactly a word of its list: it answers that itself and, for STOP, blocks what we
send. Every other spelling is ours to obey and to confirm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from relay.channels.sms.opt_out import asks_to_stop
from relay.core.text import folded


class Keyword(StrEnum):
    """A kind of keyword, as in Twilio's OptOutType."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


@dataclass(frozen=True, slots=True)
class KeywordMatch:
    """A text that is a keyword. `handled`: the carrier answers it and, for STOP, blocks what we send."""

    kind: Keyword
    handled: bool


# The whole text, in any case: https://help.twilio.com/articles/223134027
_STOP_WORDS = ("stop", "stopall", "unsubscribe", "end", "quit", "cancel", "revoke", "optout")
_START_WORDS, _HELP_WORDS = ("start", "yes", "unstop"), ("help", "info")
_KINDS = {
    **dict.fromkeys(_STOP_WORDS, Keyword.STOP),
    **dict.fromkeys(_START_WORDS, Keyword.START),
    **dict.fromkeys(_HELP_WORDS, Keyword.HELP),
}
RESERVED_WORDS = frozenset(_KINDS)

TWILIO_WORDS = RESERVED_WORDS
"""What Twilio handles for a long code, and for a Messaging Service."""

TOLL_FREE_WORDS = frozenset({"stop", "start", "unstop", *_HELP_WORDS})
"""What carriers and Twilio handle for a toll-free number: https://help.twilio.com/articles/360058144374"""

SHORT_CODE_WORDS: frozenset[str] = frozenset()
"""A standalone short code: the application handles everything."""

_TOLL_FREE = re.compile(r"\+1(800|888|877|866|855|844|833)\d{7}")


def handled_words(number: str | None) -> frozenset[str]:
    """The words that the carrier handles for texts from this number of ours; None: a Messaging Service chooses it."""
    if number is None:
        return TWILIO_WORDS
    if number.lstrip("+").isdigit() and len(number.lstrip("+")) <= 8:
        return SHORT_CODE_WORDS
    return TOLL_FREE_WORDS if _TOLL_FREE.fullmatch(number) else TWILIO_WORDS


def keyword_of(text: str, opt_out_type: str = "", handled: frozenset[str] = TWILIO_WORDS) -> KeywordMatch | None:
    """The keyword that the whole text is, or that Twilio recognised, whose console may define others.

    `handled`: the words that the carrier handles. Where text and OptOutType differ the first of Keyword counts, so that
    nothing undoes a STOP.
    """
    exact = text.strip().casefold()
    spoken = _kind_of(text)
    kind = next((kind for kind in Keyword if kind in {opt_out_type, spoken}), None)
    return None if kind is None else KeywordMatch(kind, kind == opt_out_type or exact in handled)


def _kind_of(text: str) -> Keyword | None:
    words = folded(text)
    if re.fullmatch(r"(?:\w )+\w", words):
        words = words.replace(" ", "")
    if len(repeated := set(words.split())) == 1:
        words = repeated.pop()
    if (kind := _KINDS.get(words)) is not None:
        return kind
    return Keyword.STOP if asks_to_stop(words) else None


# -- invitations -------------------------------------------------------------------------------------------------------

# The answer to "Reply YES" would be a keyword: Twilio handles it, and no text of ours may follow.
_OPEN, _CLOSE = r"[\"'(\[\u201c\u2018\u201e\u00ab`*]*", r"[\"')\]\u201d\u2019\u00bb`*]*"
_CLOSE_ONE = _CLOSE.removesuffix("*")
_ENGLISH = (
    r"(?:reply|replying|respond|responding|answer|text|texting|message|send|sending|say|saying|type|typing|write|press"
    r"|enter)(?: (?:back|with|me|us|by|a|an|in|just|simply|the word|the keyword))*"
)
_OTHERS = (
    r"(?:antworten?|antworte|schreiben?|senden?|tippen?|r[eé]pond(?:s|ez)|envoyez|envoie|[eé]cri(?:s|vez)|tapez"
    r"|responde[r]?|responda|env[ií]a|env[ií]e|escrib[ea]|manda|rispond[ia]|invi[ai]|scriv[ia]|digite|escreva"
    r"|antwoord|stuur|typ)(?: (?:sie|einfach|bitte|mit|nur|par|avec|simplement|con|la palabra|com|met|het woord))*"
)
_OR = r"\s*(?:,|/|\||\b(?:or|and|oder|und|ou|et|o|y|e|of)\b)\s*(?:\b(?:or|oder|ou)\b\s*)?"
_VERB = rf"\b(?i:{_ENGLISH}|{_OTHERS})[ :]+(?:{_OPEN}\w{{1,12}}{_CLOSE}{_OR}){{0,4}}?"
_WORDS = r"(yes|start|unstop|end|quit|cancel|help|info)"
_ASKED_FOR = (
    rf"({_OPEN})(?:(?-i:{_WORDS.upper()})\b(?!\s[A-Z])|"
    rf"(?i:{_WORDS})\b(?={_CLOSE_ONE}|[.,;:!?/]|\s+(?:or|and|to|for|if|when|now|below|oder|um|ou|pour|o|para)\b|\s*$))"
)
_INVITATION = re.compile(
    rf"(?!(?i:say) \w+ to\b|(?:send|sending)(?: me| us)? (?:help|info)\b)({_VERB}){_ASKED_FOR}", re.MULTILINE
)
_YES_OR_NO = re.compile(
    r"[(\[]\s*(?:yes\s*(?:/|or|,|\|)\s*no|no\s*(?:/|or|,|\|)\s*yes)\s*\??\s*[)\]]|\byes ?/ ?no\b", re.IGNORECASE
)
_TWO_WORDS = {
    "YES": "YES PLEASE",
    "START": "START IT",
    "UNSTOP": "START IT",
    "END": "END IT",
    "QUIT": "QUIT IT",
    "CANCEL": "CANCEL IT",
    "HELP": "HELP ME",
    "INFO": "MORE INFO",
}
_MAX_ALTERNATIVES = 5
_AFTER_TWO_WORDS = re.compile(rf"(\b(?i:{'|'.join({*_TWO_WORDS.values()})}){_CLOSE}{_OR}){_ASKED_FOR}", re.MULTILINE)


def without_invitations(text: str) -> str:
    """Replace each keyword that the text asks for by two words, which are no keyword; STOP is left alone."""
    text = _INVITATION.sub(_two_words, _YES_OR_NO.sub("(1 = yes, 2 = no)", text))
    for _ in range(_MAX_ALTERNATIVES):
        text = _AFTER_TWO_WORDS.sub(_two_words, text)
    return text


def _two_words(found: re.Match[str]) -> str:
    word = found[3] or found[4]
    two = _TWO_WORDS[word.upper()]
    return f"{found[1]}{found[2]}{two if word.isupper() else two.lower()}"
