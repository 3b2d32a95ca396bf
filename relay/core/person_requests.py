"""Recognizes a message that asks for a person instead of the AI, and words what operators are told."""

from __future__ import annotations

import unicodedata
from datetime import datetime

from babel.dates import format_datetime

from relay.core.messages import InboundMessage, User
from relay.core.person_settings import PersonSettings
from relay.texts.sentences import localize

_MAX_QUOTED = 300
_ACCENTS = frozenset(map(chr, range(0x300, 0x370)))
_PHRASES = (
    *("human", "agent", "person", "operator", "representative", "real person", "live agent", "human agent"),
    *("a human", "a person", "a real person", "talk to a human", "talk to a person", "speak to a human"),
    *("speak to a person", "human please", "agent please", "customer service"),
    *("mensch", "mitarbeiter", "ein mensch", "echter mensch", "bitte ein mensch", "mit einem menschen sprechen"),
    *("humano", "agente", "persona", "una persona", "hablar con una persona", "operador", "humana", "atendente"),
    *("humain", "un humain", "conseiller", "parler a un humain", "parler a une personne"),
    *("umano", "una persona reale", "operatore", "mens", "medewerker", "czlowiek", "konsultant", "insan", "temsilci"),
    *("conseillère", "un conseiller", "una persona por favor", "una persona real", "pessoa", "uma pessoa"),
    *("falar com uma pessoa", "falar com um atendente", "человек", "оператор", "позовите человека", "живой человек"),
    *("нужен человек", "людина", "жива людина", "покличте людину", "поговорити з людиною"),
    *("真人", "人工", "转人工", "人工客服", "真人客服", "人間", "オペレーター"),
    *("상담원", "사람", "انسان", "إنسان", "موظف", "أريد التحدث مع شخص", "נציג", "इंसान", "मनुष्य", "manusia", "orang"),
)
"""Whole messages. Longer sentences are questions: "Are you human?" is for the AI."""


def _folded(text: str) -> str:
    """Without case, Latin accents, punctuation and repeated spaces."""
    decomposed = unicodedata.normalize("NFKD", text[:200].casefold())
    kept = (" " if unicodedata.category(char)[0] in "PSZC" else char for char in decomposed if char not in _ACCENTS)
    return " ".join("".join(kept).split())


_WORDS = frozenset(map(_folded, _PHRASES))


def asks_for_person(text: str) -> bool:
    """Whether the whole text asks for a person."""
    return _folded(text) in _WORDS


def away_until(back_at: datetime | None, language: str) -> str:
    """The answer to a request for a person outside business hours."""
    if back_at is None:
        return localize("nobody-there", language)
    day = format_datetime(back_at, "cccc", locale=language)
    return localize("nobody-there-until", language, day=day, time=f"{back_at:%H:%M}")


def who_waits(message: InboundMessage, user: User | None, language: str, *, can_reply: bool = False) -> str:
    """What an operator is told about a message that is left to a person. can_reply: by replying to this notice."""
    name = f"{user.name}, " if user is not None and user.name else ""
    note = PersonSettings.of(user.settings if user else None).note
    quoted = message.text if len(message.text) <= _MAX_QUOTED else f"{message.text[:_MAX_QUOTED]}..."
    waits = localize("operator-waits", language, who=f"{name}{message.platform} {message.user_id}")
    about = f"\n[{note}]" if note else ""
    text = f"{waits}{about}\n\n{quoted}"
    return f"{text}\n\n{localize('operator-how-to-reply', language)}" if can_reply else text
