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

# A user who does as "Reply YES" asks sends a keyword, which never reaches us and may even stop us.
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
    """What Twilio took the text for, as its console may define other words; else the keyword that the text is."""
    return next((kind for kind in Keyword if kind == opt_out_type), None) or _KINDS.get(text.strip().casefold())


def without_invitations(text: str) -> str:
    """The text with two words, which are no keyword, wherever it asks for a keyword; STOP stays as it is."""
    return _INVITATION.sub(lambda found: f"{found[1]}{found[2]}{_TWO_WORDS[found[3]]}", text)
