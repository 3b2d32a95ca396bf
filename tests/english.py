"""Our sentences in English, as most tests expect them."""

from __future__ import annotations

from relay.texts import ENGLISH
from relay.texts.sentences import localize


def english(key: str, **values: str | int) -> str:
    return localize(key, ENGLISH, **values)
