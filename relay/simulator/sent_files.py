"""Files that people sent from their simulated phones, in memory, for the providers' APIs and the page."""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass

from fastapi.responses import Response

MAX_FILE_BYTES = 50_000_000
MAX_BYTES = 200_000_000
"""Of all files; the oldest are forgotten."""

_ONE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADBwIAMCbHYQAAAABJRU5ErkJggg=="
)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "attachment",  # whatever it is, it is no page; an <img> shows it all the same
}


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file with the type and the name that the phone gave it."""

    id: str
    content: bytes
    media_type: str
    name: str

    def response(self) -> Response:
        return Response(self.content, media_type=self.media_type, headers=_HEADERS)


SAMPLE = SentFile("simulated-file", _ONE_PIXEL, "image/png", "")
"""What is sent where no file was chosen: one pixel."""


class SentFiles:
    """The newest files by their id."""

    def __init__(self) -> None:
        self._files: dict[str, SentFile] = {SAMPLE.id: SAMPLE}
        self._numbers = itertools.count(1)

    def add(self, content: bytes, media_type: str, name: str) -> SentFile:
        file = SentFile(f"simulated-{next(self._numbers)}", content, media_type, name)
        self._files[file.id] = file
        while sum(len(one.content) for one in self._files.values()) > MAX_BYTES:
            del self._files[next(key for key in self._files if key != SAMPLE.id)]
        return file

    def find(self, file_id: str) -> SentFile | None:
        return self._files.get(file_id)
