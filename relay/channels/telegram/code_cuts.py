"""Finds the line after which a long block of code is cut best: between two definitions, never after the first line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE_END = re.compile(r"\n(?:[ \t]*\n)*")
# A decorator or a comment belongs to the line after it; a closing bracket or "else" to the lines before it.
_LEADS_ON = re.compile(r"\s*(?:@|#|//|/\*|--|\*)")
_GOES_ON = re.compile(r"\s*(?:[)}\]]|(?:else|elif|except|finally|catch|end|fi|done|esac|then|case|when)\b)")
_EARLIEST = 0.5  # how much of the part has to stand before the cut


@dataclass(frozen=True, slots=True)
class _Cut:
    """A possible cut: its place, the indentation of the line after it, and whether an empty line precedes that."""

    place: int
    indentation: int
    after_blank: bool

    def rank(self) -> tuple[int, bool, int]:
        return self.indentation, not self.after_blank, -self.place


def best_code_cut(text: str, start: int, furthest: int) -> int | None:
    """Where code that begins at `start` is cut best, at `furthest` or before; None when no line ends there.

    The line after the cut is the least indented one, after an empty line if there is one, and as far on as possible.
    """
    earliest = start + int((furthest - start) * _EARLIEST)
    ends = [found for found in _LINE_END.finditer(text, start, furthest + 1) if earliest <= found.start() <= furthest]
    cuts = sorted(_between_statements(text, ends), key=_Cut.rank)
    if cuts:
        return cuts[0].place
    return ends[-1].end() if ends else None


def _between_statements(text: str, ends: list[re.Match[str]]) -> Iterator[_Cut]:
    for end in ends:
        before = text[text.rfind("\n", 0, end.start()) + 1 : end.start()]
        following = text.find("\n", end.end())
        after = text[end.end() : following if following >= 0 else None]
        opens_block = _indentation(after) > _indentation(before)
        if not opens_block and not _LEADS_ON.match(before) and not _GOES_ON.match(after):
            yield _Cut(end.end(), _indentation(after), end[0].count("\n") > 1)


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())
