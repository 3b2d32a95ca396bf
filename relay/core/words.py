"""The words of a text, by which documents and messages are searched: the same in every language and database."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import regex

from relay.core.text import bare_letters

_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_UNSPACED = regex.compile(f"[{_SCRIPTS}]")
_RUN = regex.compile(rf"[{_SCRIPTS}]+|[[\p{{L}}\p{{M}}\p{{N}}]--[{_SCRIPTS}]]+", regex.V1)


def tokens(text: str) -> Iterator[str]:
    """The words of a text without case and accents; of a script without spaces, each two neighbouring characters."""
    for run in _RUN.findall(unicodedata.normalize("NFC", bare_letters(text))):
        if len(run) > 1 and _UNSPACED.match(run):
            yield from (run[at : at + 2] for at in range(len(run) - 1))
        else:
            yield run
