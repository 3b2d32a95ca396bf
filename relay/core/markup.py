"""Reads a model's Markdown as the events of a parser (pulldown-cmark), the way the model meant it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pyromark

from relay.core.html_tables import has_tables, with_markdown_tables
from relay.core.markdown_source import OPTIONS, Event, PreparedMarkdown, code_ranges
from relay.core.table_rows import with_all_cells

_END_TOKENS = re.compile(r"(?:<\|[a-z_]{2,30}\|>\s*){1,5}\Z")
_NUMBER = re.compile(rb"[ \t]*(\d{1,9})[.)]")
_BLANK_LINE = re.compile(rb"\n[ \t>]*\n[ \t>]*\Z")


def parse(markdown: str) -> Iterator[Event]:
    """The events of a text in order, without a model's end tokens.

    A text may come in several Text events, an Item comes with its number. Lines end in LF, and no surrogate is alone.
    """
    markdown = _END_TOKENS.sub("", markdown)
    if has_tables(markdown):
        markdown = with_markdown_tables(markdown, list(code_ranges(markdown)))
    prepared = PreparedMarkdown(with_all_cells(markdown))
    source = prepared.source()
    data = source.encode()
    for event, place in pyromark.events_with_range(source, options=OPTIONS):
        name, value = _named(event)
        if name == "Text":
            yield from prepared.text_events(value)
            continue
        kind, details = _named(value) if name in {"Start", "End"} else ("", value)
        blank = _BLANK_LINE.search(data[max(place["start"] - 200, 0) : place["start"]])
        if kind == "Item":
            number = _NUMBER.match(data, place["start"])
            details = int(number[1]) if number else None
        yield Event(name, kind, prepared.restored(details), blank is not None)


def _named(event: Any) -> tuple[str, Any]:
    """Split an event, a name or {name: value}, into name and value."""
    return next(iter(event.items())) if isinstance(event, dict) else (event, None)
