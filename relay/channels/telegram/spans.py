"""Text with spans of style, and a writer that builds it from a document's blocks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

_VERBATIM = frozenset({"code", "pre"})
_SOLID = frozenset({"code", "pre", "text_link"})
_QUOTE = "blockquote"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text with a style, in Python's own character positions; `end` is exclusive."""

    type: str
    start: int
    end: int
    url: str | None = None
    language: str | None = None

    def at(self, start: int, end: int) -> Span:
        """The same style on another stretch of text."""
        return self if (start, end) == (self.start, self.end) else Span(self.type, start, end, self.url, self.language)


@dataclass(frozen=True, slots=True)
class Styled:
    """A text and its spans, those that begin earlier or reach further first; `headings` are (start, end)."""

    text: str
    spans: tuple[Span, ...] = ()
    headings: tuple[tuple[int, int], ...] = ()


def nested(spans: Sequence[Span], text: str) -> list[Span]:
    """The spans as Telegram takes them: nested or disjoint, nothing within code, no link or quote within another.

    https://core.telegram.org/bots/api#messageentity. White space at their edges and empty spans are left out.
    """
    ordered = sorted(spans, key=_outer_first)
    # Of two links around the same words, as around a picture, the outer one ends last.
    solid = list(_outermost(sorted((span for span in reversed(spans) if span.type in _SOLID), key=_outer_first)))
    quotes = _outermost(span for span in ordered if span.type == _QUOTE)
    verbatim = [span for span in solid if span.type in _VERBATIM]
    ends = [span.end for span in verbatim]
    styles = {span.type for span in ordered} - _SOLID - {_QUOTE}
    joined = (span for style in sorted(styles) for span in _joined(span for span in ordered if span.type == style))
    cut = (piece for span in joined for piece in _without(span, verbatim, bisect_right(ends, span.start)))
    trimmed = (_trimmed(span, text) for span in [*quotes, *solid, *cut])
    return _without_crossings([span for span in trimmed if span.start < span.end])


def _outer_first(span: Span) -> tuple[int, int, bool]:
    return span.start, -span.end, span.type in _VERBATIM


def _outermost(ordered: Iterable[Span]) -> Iterator[Span]:
    end = -1
    for span in ordered:
        if span.start >= end and span.start < span.end:
            end = span.end
            yield span


def _joined(ordered: Iterable[Span]) -> list[Span]:
    """Spans of one style, those that overlap made one."""
    joined: list[Span] = []
    for span in ordered:
        if joined and span.start < joined[-1].end:
            joined[-1] = joined[-1].at(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def _without(span: Span, verbatim: list[Span], first: int) -> Iterator[Span]:
    """The pieces of a span around code, of which `first` is the number of the first that may lie in it."""
    start = span.start
    while first < len(verbatim) and (code := verbatim[first]).start < span.end:
        first += 1
        yield span.at(start, max(code.start, start))
        start = code.end
    yield span.at(min(start, span.end), span.end)


def _trimmed(span: Span, text: str) -> Span:
    start, end = span.start, span.end
    if not text[start:end].strip():
        return span.at(start, start)
    if span.type == "pre":
        return span
    inner = text[start:end]
    return span.at(start + len(inner) - len(inner.lstrip()), end - len(inner) + len(inner.rstrip()))


def _without_crossings(spans: list[Span]) -> list[Span]:
    """A span that reaches beyond the one it begins in is divided there."""
    queue = [(span.start, -span.end, index, span) for index, span in enumerate(spans)]
    heapify(queue)
    result: list[Span] = []
    around: list[Span] = []
    while queue:
        *_, index, span = heappop(queue)
        while around and around[-1].end <= span.start:
            around.pop()
        if around and span.end > around[-1].end:
            rest = span.at(around[-1].end, span.end)
            heappush(queue, (rest.start, -rest.end, index, rest))
            span = span.at(span.start, around[-1].end)
        result.append(span)
        around.append(span)
    return result


@dataclass(slots=True)
class SpanWriter:
    """Builds a text from its beginning; line breaks between blocks come before the text that follows them."""

    length: int = 0
    spans: list[Span] = field(default_factory=list)
    headings: list[tuple[int, int]] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)
    _breaks: int = 0
    _label: str = ""
    _prefixes: list[str] = field(default_factory=list)
    _open: list[Span] = field(default_factory=list)

    def write(self, text: str) -> None:
        """Inline text. A line break in it is followed by what begins each line here."""
        if self._breaks and not self._label:
            text = text.lstrip(" \n")
        if text:
            self.begin_line()
            self._append(text.replace("\n", "\n" + "".join(self._prefixes)))

    def write_styled(self, styled: Styled) -> None:
        """Text that has spans already."""
        self.begin_line()
        moved = (span.at(span.start + self.length, span.end + self.length) for span in styled.spans)
        self.spans.extend(moved)
        self._append(styled.text)

    def write_verbatim(self, text: str, type_: str, language: str | None = None) -> None:
        """Code; a block of it is not indented by what contains it."""
        if type_ == "pre" and self._label:
            self.begin_line()
            self._breaks = 1
        self._begin(self._prefixes if type_ == "code" else ())
        self.spans.append(Span(type_, self.length, self.length + len(text), language=language))
        self._append(text)

    def separate(self, breaks: int) -> None:
        """At least so many line breaks before the next text, unless it is the first of a document or a list item."""
        if self.length and not self._label:
            self._breaks = max(self._breaks, breaks)

    def label(self, text: str) -> None:
        """What precedes the next text, as the number of a list item does."""
        self._label += text

    def take_label(self) -> str:
        """Remove the label that precedes no text yet."""
        label, self._label = self._label, ""
        return label

    def begin_line(self) -> None:
        """Write what precedes the next text: line breaks, the beginning of the line, a label."""
        self._begin(self._prefixes)

    def indent(self, prefix: str) -> None:
        """Begin further lines with this, until `outdent`."""
        self._prefixes.append(prefix)

    def outdent(self) -> None:
        """Begin further lines without the last prefix."""
        self._prefixes.pop()

    def open(self, type_: str, url: str | None = None) -> None:
        """Begin a span before the next text."""
        self._open.append(Span(type_, self.length, self.length, url))

    def close(self, type_: str, url: str | None = None) -> None:
        """End the innermost open span of this type at the last text; a link without an address is none."""
        index = max((index for index, span in enumerate(self._open) if span.type == type_), default=None)
        if index is None:
            return
        span = Span(type_, self._open.pop(index).start, self.length, url)
        if url or type_ != "text_link":
            self.spans.append(span)

    def open_heading(self, type_: str) -> None:
        """Begin a line of this style that belongs to what follows it."""
        self.begin_line()
        self.open(type_)
        self.headings.append((self.length, self.length))

    def close_heading(self, type_: str) -> None:
        """End the heading that was opened last."""
        self.close(type_)
        start, _ = self.headings.pop()
        self.headings.append((start, self.length))

    def mark(self) -> int:
        """A place in the text for `text_since`."""
        return len(self._pieces)

    def text_since(self, mark: int) -> str:
        """The text that was written since a mark was taken."""
        return "".join(self._pieces[mark:])

    def text(self) -> str:
        """All that was written."""
        return "".join(self._pieces)

    def _begin(self, prefixes: Sequence[str]) -> None:
        missing = self._breaks - self._ending_breaks()
        if not self.length or (self._breaks and missing >= 0):
            self._append("\n" * missing * bool(self.length) + "".join(prefixes))
        self._breaks = 0
        self._append(self.take_label())

    def _ending_breaks(self) -> int:
        last = self._pieces[-1] if self._pieces else ""
        return len(last) - len(last.rstrip("\n"))

    def _append(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self.length += len(text)
