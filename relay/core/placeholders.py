"""The placeholder of a text to many: {name}, or {name|what stands there for a person without a name}."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"(?P<blank> ?)\{ *name *(?:\|(?P<instead>[^{}|\n]*))?\}", re.IGNORECASE)
_OTHER: Final = re.compile(r"\{[^{}\n]{1,40}\}")


def with_name(text: str, name: str | None) -> str:
    """The text as a person of this name reads it. Without a name and a word instead, the blank before it goes too."""

    def put(found: re.Match[str]) -> str:
        word = name or (found["instead"] or "").strip()
        return f"{found['blank']}{word}" if word else ""

    return _NAME.sub(put, text)


def has_name(text: str) -> bool:
    """Whether people with different names read different texts."""
    return _NAME.search(text) is not None


def unknown_placeholders(text: str) -> list[str]:
    """What looks like a placeholder and is sent as it is written."""
    return list(dict.fromkeys(_OTHER.findall(_NAME.sub("", text))))
