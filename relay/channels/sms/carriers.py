"""What carriers and telephones do to a text on its way to us: they cut a long one in two, or deliver one twice."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from relay.channels.sms.segments import units
from relay.core.messages import HistoryMessage, InboundMessage

HALVES_SECONDS = 1.5
"""How long the second half of a long text may be under way."""

REPEATED_SECONDS = 3.0
"""Within this time no person reads an answer and sends the same text once more."""

UNREAD_SECONDS = 10.0
"""The same for a text that was sent before there was an answer to read."""

_LONG_SHARE = 0.8
_ENDS = frozenset(".!?:;\u2026\u3002\uff01\uff1f\u061f\u0964)]}\"'\u201d\u2019\u00bb\u300d")
# No sentence ends with these words.
_WORDS = """
and or but because the a an of to for with from in on at by that which who if when as than my your our their is are
y o pero porque el la los las de del con para por en que un una und oder aber weil der die das dem den mit für von
zu dass et ou mais car le les des du avec pour dans sur e ma perché il lo i gli di per che
"""
_LEADING_ON = frozenset(_WORDS.split())


def looks_cut(text: str) -> bool:
    """Whether more of this text is probably to come: it is long and ends without a stop, or within a sentence."""
    shown = text.rstrip()
    if not shown or shown[-1] in _ENDS or unicodedata.category(shown[-1]) == "So":
        return False
    used, single = units(text)
    is_long = used >= single * _LONG_SHARE
    last = shown.split()[-1].casefold().rstrip(",")
    return is_long or (used >= single / 4 and (shown.endswith(",") or last in _LEADING_ON))


def joined(texts: Sequence[str]) -> str:
    """Messages in a row as one text: halves without a line break, and within a word if a full segment ended there."""
    return texts[0] + "".join(_joint(first, second) + second for first, second in pairwise(texts))


def _joint(first: str, second: str) -> str:
    if not looks_cut(first):
        return "\n"
    used, single = units(first)
    is_full = used % single == 0 or used % (153 if single > 100 else 67) == 0
    return "" if is_full or first[-1].isspace() or second[:1].isspace() else " "


def is_repetition(message: InboundMessage, history: Sequence[HistoryMessage]) -> bool:
    """Whether the same text was delivered moments ago under another id, not sent again after our answer was read."""
    text = message.text.strip()
    earlier = [past for past in history if past.role == "user" and _within(text, past.message)]
    if not text or not earlier:
        return False
    since = message.received_at - earlier[-1].timestamp
    unread = not any(
        past.role == "assistant" and earlier[-1].timestamp <= past.timestamp <= message.received_at for past in history
    )
    return 0 <= since <= (UNREAD_SECONDS if unread else REPEATED_SECONDS)


def _within(text: str, message: str) -> bool:
    """Whether the text is the message, or one of several that were answered together."""
    return f"\n{text}\n" in f"\n{message.strip()}\n"
