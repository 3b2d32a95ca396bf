"""Finds names of files and paths that Telegram would make links to a domain (README.md) or commands (/usr).

As code they stay what they are. https://core.telegram.org/bots/features#commands
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from relay.channels.telegram.spans import Span

# Endings of files that are domains of the internet too: Moldova, Paraguay, Saint Helena ...
_DOMAIN_ENDINGS = "md|py|sh|rs|cc|so|mk|tf|ps|pm|ml|zip|mov"
_ROOTS = "usr|etc|var|home|tmp|bin|sbin|opt|dev|proc|root|lib|lib64|mnt|media|srv|sys|boot|run|snap|data|app"
_NAME = re.compile(
    rf"""
      (?<![\w/.@:~-]) (?P<path> ~?/ [\w.+-]{{1,100}} (?: / [\w.+*-]{{0,100}} )+ | ~?/ (?:{_ROOTS}) \b /? )
    | (?<![\w/.@-]) (?P<file> \.{{0,2}}/? (?:[\w.+-]{{1,60}}/){{0,8}} \w[\w.+-]{{0,80}} \. (?:{_DOMAIN_ENDINGS}) )
        (?![\w/@-]|\.\w)
    """,
    re.VERBOSE,
)
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]{1,20}://|www\.)\S+", re.IGNORECASE)


def file_name_spans(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """Code spans for the names of files and paths that are neither code nor part of an address yet."""
    taken = sorted(
        [(span.start, span.end) for span in spans if span.type in {"code", "pre", "text_link"}]
        + [found.span() for found in _ADDRESS.finditer(text)]
    )
    starts = [start for start, _ in taken]
    for found in _NAME.finditer(text):
        start, end = found.start(), found.start() + len(found[0].rstrip(".,-+"))
        before = bisect_right(starts, end - 1)
        if not any(first < end and last > start for first, last in taken[max(before - 2, 0) : before]):
            yield Span("code", start, end)
