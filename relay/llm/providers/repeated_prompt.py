"""Cuts the instructions that a model repeats at the beginning of its answer, as models without such training do."""

from __future__ import annotations

from os.path import commonprefix

MIN_CHARS = 80
"""So many equal characters are no coincidence; an answer may begin with some words of the instructions."""


class RepeatedPrompt:
    """Passes one answer on, chunk by chunk, without the part of `prompt` that it begins with."""

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt.strip()
        self._held = ""
        self._began = False

    def feed(self, text: str) -> str:
        """The text that can be delivered; what may be a repetition waits for its end."""
        if self._began:
            return text
        self._held += text
        return "" if self._prompt.startswith(self._held.lstrip()) else self._released()

    def end(self, text: str = "") -> str:
        """Take the last of the answer; returns the rest."""
        passed = self.feed(text)
        return passed if self._began else passed + self._released()

    def _released(self) -> str:
        held, self._held, self._began = self._held, "", True
        answer = held.lstrip()
        repeated = len(commonprefix((answer, self._prompt)))  # noqa: RUF071 (characters are meant)
        return answer[repeated:].lstrip() if repeated >= MIN_CHARS else held
