"""Downloads of people, messages and costs, as CSV for spreadsheets or as JSON, streamed in batches."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Literal, TypeVar

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from relay.console.services import Here
from relay.storage.export import EXPORTS, Export, next_rows
from relay.storage.operators_database import OperatorsDatabase
from relay.web.access import ADMIN

T = TypeVar("T")
Rows = AsyncIterator[list[dict[str, Any]]]

_FORMULA = re.compile(r"""(?:\A|(?<=[^\s;"]))([\s;"]*+)([=@\uff1d\uff0b\uff0d\uff20]|[+-](?!\d+(?:[\s;"]|\Z)))""")
"""What may be a formula, with what stands before it; a number, as of a telephone, is none.

People choose their names and write what they like: https://owasp.org/www-community/attacks/CSV_Injection
"""
_BREAKS = frozenset(";\t\r\n")
"""Where a cell ends in spreadsheets that take these for separators, inside quotation marks as well."""

routes = APIRouter()


@routes.get("/export/{name}.{form}", dependencies=[ADMIN], summary="Download people, messages or costs.")
async def export(
    request: Request, console: Here, name: Literal["people", "messages", "costs"], form: Literal["csv", "json"]
) -> StreamingResponse:
    await console.database.record_action(console.operator(request), "export", None, None, f"{name}.{form}")
    chosen = EXPORTS[name]
    rows = _batches(console.database, chosen)
    lines = _csv(chosen.columns, rows) if form == "csv" else _json(rows)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.{form}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    media_type = "text/csv; charset=utf-8" if form == "csv" else "application/json"
    return StreamingResponse(lines, media_type=media_type, headers=headers)


async def _batches(database: OperatorsDatabase, chosen: Export) -> Rows:
    """The rows in batches, each read in a transaction of its own, until one is empty."""
    after: list[Any] | None = None
    while rows := await database.query(lambda c, after=after: next_rows(c, chosen, after)):  # type: ignore[misc]
        yield rows
        after = [rows[-1][key] for key in chosen.key]


async def _csv(columns: Iterable[str], batches: Rows) -> AsyncIterator[bytes]:
    # The mark at the beginning has spreadsheets read the text as UTF-8.
    yield "\ufeff".encode() + _lines([dict(zip(columns, columns, strict=True))])
    async for rows in batches:
        yield _lines(rows)


def _lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([[_cell(value) for value in row.values()] for row in rows])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return _FORMULA.sub(_quoted, value) if isinstance(value, str) else value


def _quoted(found: re.Match[str]) -> str:
    """The same as text for a spreadsheet, where a cell would begin with it."""
    begins = found.start() == 0 or not _BREAKS.isdisjoint(found[1])
    return f"{found[1]}'{found[2]}" if begins else found[0]


async def _json(batches: Rows) -> AsyncIterator[bytes]:
    """One array, a row a line."""
    separator = b"[\n"
    async for rows in batches:
        yield separator + b",\n".join(map(orjson.dumps, rows))
        separator = b",\n"
    yield b"\n]\n" if separator == b",\n" else b"[]\n"
