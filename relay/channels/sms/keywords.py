"""The keywords that Twilio answers itself, such as STOP, and replies that must not ask for one."""

from __future__ import annotations

import re
from enum import StrEnum


class Keyword(StrEnum):
    """A kind of keyword, as in Twilio's OptOutType."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


# The whole text, in any case: https://help.twilio.com/articles/223134027
_KINDS = {
    **dict.fromkeys(("stop", "stopall", "unsubscribe", "end", "quit", "cancel", "revoke", "optout"), Keyword.STOP),
    **dict.fromkeys(("start", "yes", "unstop"), Keyword.START),
    **dict.fromkeys(("help", "info"), Keyword.HELP),
}
RESERVED_WORDS = frozenset(_KINDS)

# The answer to "Reply YES" would be a keyword: Twilio handles it, and no text of ours may follow.
_INVITATION = re.compile(
    r"(\b(?i:reply|respond|answer|text|send|say|type|write)(?: (?i:back|with|me|us|the word|just))* )"
    r"([\"']?)(YES|START|UNSTOP|END|QUIT|CANCEL|HELP|INFO)\b(?!\s[A-Z])"
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


def keyword_of(text: str, opt_out_type: str = "") -> Keyword | None:
    """The keyword that the whole text is, or that Twilio recognised, whose console may define others.

    Where the two differ the first of Keyword counts, so that nothing undoes a STOP.
    """
    found = {opt_out_type, _KINDS.get(text.strip().casefold())}
    return next((kind for kind in Keyword if kind in found), None)


def without_invitations(text: str) -> str:
    """Replace each keyword that the text asks for by two words, which are no keyword; STOP is left alone."""
    return _INVITATION.sub(lambda found: f"{found[1]}{found[2]}{_TWO_WORDS[found[3]]}", text)
