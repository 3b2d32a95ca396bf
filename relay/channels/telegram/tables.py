"""Lays a table out for a telephone: columns when they fit beside each other, else a heading and lines for each row."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from relay.channels.telegram.spans import SpanWriter, Styled

MAX_COLUMNS = 38  # so many characters of code fit beside each other on a telephone

Row = Sequence[Styled]


def write_table(writer: SpanWriter, rows: Sequence[Row], alignments: Sequence[str]) -> None:
    """Write the rows, of which the first names the columns; links have to stay links, and code has none."""
    widths = [max(cell_len(row[column].text) for row in rows) for column in range(len(rows[0]))]
    has_links = any(span.type == "text_link" for row in rows for cell in row for span in cell.spans)
    if sum(widths) + 3 * (len(widths) - 1) <= MAX_COLUMNS and not has_links:
        writer.write_verbatim(_grid(rows, widths, alignments), "pre")
    elif len(rows) == 1:
        _write_list(writer, [()], rows)
    else:
        _write_list(writer, [rows[0]] * (len(rows) - 1), rows[1:])


def _grid(rows: Sequence[Row], widths: Sequence[int], alignments: Sequence[str]) -> str:
    lines = [" | ".join(map(_aligned, row, widths, alignments)).rstrip() for row in rows]
    if len(lines) > 1:
        lines.insert(1, "-+-".join("-" * width for width in widths))
    return "\n".join(lines)


def _aligned(cell: Styled, width: int, alignment: str) -> str:
    """The text of a cell filled up to a width in columns of the screen: Chinese and emoji take two."""
    free = width - cell_len(cell.text)
    left = {"Right": free, "Center": free // 2}.get(alignment, 0)
    return " " * left + cell.text + " " * (free - left)


def _write_list(writer: SpanWriter, heads: Sequence[Row], rows: Sequence[Row]) -> None:
    """Each row as lines "column: cell", the first one bold."""
    for number, (head, row) in enumerate(zip(heads, rows, strict=False)):
        writer.separate(2 if number else 1)
        for column, cell in enumerate(row):
            name = head[column] if column < len(head) else Styled("")
            if name.text or cell.text:
                _write_line(writer, name, cell, is_heading=column == 0)


def _write_line(writer: SpanWriter, name: Styled, cell: Styled, *, is_heading: bool) -> None:
    writer.separate(1)
    if is_heading:
        writer.open_heading("bold")
    if name.text:
        writer.write_styled(name)
        writer.write(": " if cell.text else ": \u2013")
    writer.write_styled(cell)
    if is_heading:
        writer.close_heading("bold")
