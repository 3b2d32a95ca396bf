"""The text of PDF, Word and HTML files, read by a process of its own with limits of time and memory.

A damaged or hostile file can end that process (relay.core.document_readers), not a server.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ENDINGS = (".pdf", ".docx", ".html", ".htm")
MAX_SECONDS = 60
_ROOT = Path(__file__).resolve().parents[2]


class ExtractionError(Exception):
    """The file has no text for us; the message is a sentence for the operator."""


def extract(path: Path, ending: str = "", *, seconds: float = MAX_SECONDS) -> str:
    """The text of a file as Markdown. Blocks for up to `seconds`. Raises ExtractionError.

    ending: one of ENDINGS, where the name of the file has none.
    """
    command = [sys.executable, "-m", "relay.core.document_readers", str(path.resolve()), ending or path.suffix.lower()]
    try:
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise ExtractionError(f"reading it took longer than {seconds:g} seconds") from None
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ExtractionError(f"it cannot be read: {last[:200] or 'its reader was ended'}")
    text = done.stdout.decode(errors="replace")
    if not text.strip():
        raise ExtractionError("it contains no text; a scanned document has to be made searchable first")
    return text
