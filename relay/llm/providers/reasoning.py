"""Separates reasoning from text: servers without a parser leave `<think>...</think>` at the beginning of an answer.

Separate fields (thinking, reasoning, reasoning_content) are handled by the providers.
"""

from __future__ import annotations

import re

_TAGS = ("think", "thinking", "thought", "reasoning")
_OPEN = re.compile(rf"\s*<({'|'.join(_TAGS)})>", re.IGNORECASE)
_CLOSE = re.compile(rf"</({'|'.join(_TAGS)})>\s*", re.IGNORECASE)
_MAX_TAG_CHARS = max(len(tag) for tag in _TAGS) + 3


class ThoughtFilter:
    """Splits the text of one answer into (text, thinking), chunk by chunk.

    Some chat templates write the opening tag into the prompt, so that only the closing one is in the text: `inside`
    is set for models known to do that. `found_unopened` becomes true when it is detected.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self._inside = inside
        self._assumed = inside
        self._at_start = True
        self._thought = False
        self._held = ""
        self.found_unopened = False

    def feed(self, text: str) -> tuple[str, str]:
        """Split a chunk into (text, reasoning)."""
        if not self._inside and not self._at_start:
            return self._watched(text), ""
        self._held += text
        return self._split()

    def _split(self) -> tuple[str, str]:
        thinking = ""
        while True:
            if self._inside:
                end = _CLOSE.search(self._held)
                if end is None:
                    return "", thinking + self._kept()
                thinking += self._held[: end.start()]
                self._held = self._held[end.end() :]
                self._inside = self._assumed = False
                self._thought = True
            if self._thought:
                self._held = self._held.lstrip()  # the line break between thoughts and text, wherever it was cut
            begin = _OPEN.match(self._held)
            if begin is not None:
                self._held, self._inside = self._held[begin.end() :], True
            elif self._may_open():
                return "", thinking
            else:
                text, self._held, self._at_start = self._held, "", False
                return self._watched(text), thinking

    def _kept(self) -> str:
        """Reasoning that can be released; nothing while it is only assumed to be reasoning."""
        if self._assumed:
            return ""
        cut = max(0, len(self._held) - _MAX_TAG_CHARS)
        thought, self._held = self._held[:cut], self._held[cut:]
        return thought

    def _may_open(self) -> bool:
        """Whether the held text is a prefix of an opening tag."""
        start = self._held.lstrip().lower()
        return any(f"<{tag}>".startswith(start) for tag in _TAGS)

    def _watched(self, text: str) -> str:
        if "</" in text and not self.found_unopened and (end := _CLOSE.search(text)):
            self.found_unopened = True
            return text[end.end() :]
        return text

    def end(self) -> str:
        """The held text at the end of the answer, unless it is unfinished reasoning."""
        held, self._held = self._held, ""
        return held if self._assumed or not self._inside else ""


def without_thoughts(text: str) -> str:
    """A whole answer without reasoning, also when its opening tag is missing."""
    splitter = ThoughtFilter()
    return splitter.feed(text)[0] + splitter.end()
