"""Serves what strangers sent such that a browser cannot take it for a page: safe types alone are shown."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi.responses import FileResponse, Response

from relay.core.attachments import PICTURES, RECORDINGS

MAX_FILE_NAME = 200
_HEADERS = {
    # Whatever it is, it has no scripts, no origin, and loads nothing.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, max-age=3600",
}


def serve_attachment(path: Path, media_type: str, name: str) -> Response:
    """A file to show when its content is a picture or a recording, else one to save under this name."""
    shown = media_type in PICTURES | RECORDINGS
    return FileResponse(
        path,
        media_type=media_type if shown else "application/octet-stream",
        filename=re.sub(r"[^\w.,() -]", "_", name).lstrip(".") or path.name[:12],
        content_disposition_type="inline" if shown else "attachment",
        headers=_HEADERS,
    )
