"""Files in the media folder, readable by their owner alone: each content once, by its SHA-256.

Beside a content may lie its text (`.txt`): a transcript, or the words of a document. A file `ref-...` names the content
that a provider's reference stood for, so that a repeated question fetches nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from relay.core.errors import AttachmentError, AttachmentFailure
from relay.core.messages import Platform
from relay.media.content_types import HEAD_BYTES

DAY = 86_400.0
UNREFERENCED_SECONDS = 3600.0
"""How long a content is kept that no message of the history has: its message may still wait for an answer."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEXT = ".txt"
_REFERENCE = "ref-"
_INCOMING = "incoming-"


class Incoming:
    """A file that is being written."""

    def __init__(self, file: IO[bytes], max_bytes: int) -> None:
        self._file = file
        self._left = max_bytes
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, content: bytes) -> None:
        """Append. Raises AttachmentError when it becomes too large."""
        if len(content) > self._left:
            raise AttachmentError(AttachmentFailure.TOO_LARGE)
        self._left -= len(content)
        self.size += len(content)
        self._hash.update(content)
        self._file.write(content)


class MediaFiles:
    """The files of one folder. Every method blocks, none for long but `prune`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path | None:
        """The file with this content; None when it is not here."""
        path = self._folder / sha256
        return path if _SHA256.fullmatch(sha256) and path.is_file() else None

    def head(self, sha256: str, most: int = HEAD_BYTES) -> bytes:
        """The beginning of a content. Raises OSError."""
        with (self._folder / sha256).open("rb") as file:
            return file.read(most)

    @contextmanager
    def incoming(self, max_bytes: int, name: str = "") -> Iterator[Incoming]:
        """A new file; when the block ends without an error it is kept under `name`, or else its hash."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # It has the mode 0600.
        with tempfile.NamedTemporaryFile(prefix=_INCOMING, dir=self._folder, delete=False) as file:
            try:
                incoming = Incoming(file, max_bytes)
                yield incoming
                file.flush()
                Path(file.name).replace(self._folder / (name or incoming.sha256))
            finally:
                Path(file.name).unlink(missing_ok=True)

    # -- what is known of a content ------------------------------------------------------------------------------------

    def fetched(self, platform: Platform, reference: str) -> str | None:
        """The SHA-256 of what was fetched by this reference, if it is still here."""
        sha256 = self._read(self._reference(platform, reference))
        return sha256 if sha256 and self.path(sha256) else None

    def record(self, platform: Platform, reference: str, sha256: str) -> None:
        self._write(self._reference(platform, reference), sha256)

    def text(self, sha256: str) -> str | None:
        """What is spoken or written in a content, if that is known."""
        return self._read(f"{sha256}{_TEXT}")

    def keep_text(self, sha256: str, text: str) -> None:
        self._write(f"{sha256}{_TEXT}", text)

    def _reference(self, platform: Platform, reference: str) -> str:
        return _REFERENCE + hashlib.sha256(f"{platform}:{reference}".encode()).hexdigest()

    def _read(self, name: str) -> str | None:
        try:
            return (self._folder / name).read_text("utf-8")
        except (OSError, ValueError):
            return None

    def _write(self, name: str, text: str) -> None:
        content = text.encode(errors="replace")
        with self.incoming(len(content), name) as incoming:
            incoming.write(content)

    # -- the end of files ----------------------------------------------------------------------------------------------

    def prune(self, referenced: Collection[str], keep_days: float, max_bytes: int) -> int:
        """Delete what is older than `keep_days`, what no message has, and the oldest beyond `max_bytes`; how many."""
        now, size, deleted = time.time(), 0, 0
        for path, modified, length in self._newest_first():
            sha256 = path.name.removesuffix(_TEXT)
            unused = path.name.startswith(_INCOMING) or (_SHA256.fullmatch(sha256) and sha256 not in referenced)
            size += length
            age = now - modified
            if age > keep_days * DAY or (unused and age > UNREFERENCED_SECONDS) or size > max_bytes:
                path.unlink(missing_ok=True)
                deleted += 1
        return deleted

    def _newest_first(self) -> list[tuple[Path, float, int]]:
        """Our files with their time and size; others in the folder are left alone."""
        ours = re.compile(rf"{_INCOMING}\w+|{_REFERENCE}[0-9a-f]{{64}}|[0-9a-f]{{64}}(?:\.txt)?")
        try:
            entries = [entry for entry in os.scandir(self._folder) if ours.fullmatch(entry.name)]
        except OSError:  # nothing was ever kept
            return []
        found = []
        for entry in entries:
            try:
                stat = entry.stat(follow_symlinks=False)
            except OSError:  # deleted by another server
                continue
            found.append((Path(entry.path), stat.st_mtime, stat.st_size))
        return sorted(found, key=lambda file: -file[1])
