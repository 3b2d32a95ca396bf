"""The knowledge folder: documents of the business as passages, read again when they change.

A file that cannot be used becomes a sentence in `problems`, never an exception.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from relay.core.documents import ENDINGS, ExtractionError, extract
from relay.core.faq_file import FaqError, read_faq
from relay.knowledge.passages import Passage, cut

log = logging.getLogger("relay.knowledge")

MAX_FILE_BYTES = 20_000_000
MAX_FILES = 2000

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Document:
    """One file as it was at `version`. problem: why it has no passages."""

    version: Version
    passages: tuple[Passage, ...] = ()
    problem: str = ""


class KnowledgeFolder:
    """The documents of `folder`, and the questions and answers of the `faq` file outside it. Both may be missing."""

    def __init__(self, folder: Path, faq: Path) -> None:
        self._folder = folder
        self._faq = faq
        self._documents: dict[Path, Document] = {}

    @property
    def passages(self) -> list[Passage]:
        return [passage for document in self._documents.values() for passage in document.passages]

    @property
    def problems(self) -> list[str]:
        return [f"{self._name(path)}: {one.problem}" for path, one in self._documents.items() if one.problem]

    def refresh(self) -> bool:
        """Read what is new or changed, forget what is gone; whether anything was. Blocks while files are read."""
        before, found = self._documents, dict(self._versions())
        if found == {path: document.version for path, document in before.items()}:
            return False
        self._documents = {
            path: before[path] if path in before and before[path].version == version else self._read(path, version)
            for path, version in found.items()
        }
        return True

    def _versions(self) -> Iterator[tuple[Path, Version]]:
        inside = sorted(path for path in self._folder.rglob("*") if _is_wanted(path.relative_to(self._folder)))
        if len(inside) > MAX_FILES:
            log.warning("%s has %d files; the first %d are read", self._folder, len(inside), MAX_FILES)
        for path in (*inside[:MAX_FILES], self._faq):
            try:
                stat = path.stat()
            except OSError:  # removed meanwhile, or there is no FAQ
                continue
            yield path, (stat.st_mtime_ns, stat.st_size)

    def _read(self, path: Path, version: Version) -> Document:
        try:
            if version[1] > MAX_FILE_BYTES:
                raise ExtractionError(f"it is larger than {MAX_FILE_BYTES // 1_000_000} MB")
            passages = tuple(_PASSAGES[path.suffix.lower()](path, self._name(path)))
        except (ExtractionError, FaqError, OSError, ValueError, csv.Error) as error:
            problem = str(error).removeprefix(path.name).lstrip(" ,")
            log.warning("%s is not used: %s", self._name(path), problem)
            return Document(version, problem=problem)
        return Document(version, passages)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix() if path.is_relative_to(self._folder) else path.name


def _is_wanted(path: Path) -> bool:
    return path.suffix.lower() in _PASSAGES and not any(part.startswith((".", "~")) for part in path.parts)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig")


def _markdown(path: Path, source: str) -> Iterator[Passage]:
    return cut(_text(path), source)


def _extracted(path: Path, source: str) -> Iterator[Passage]:
    return cut(extract(path), source)


def _table(path: Path, source: str) -> Iterator[Passage]:
    """Each row as lines `column: value`, which can be read without the heading of the table."""
    lines = _text(path).splitlines()
    dialect = csv.Sniffer().sniff("\n".join(lines[:20]), ",;\t|") if lines else csv.excel
    for row in csv.DictReader(lines, dialect=dialect, restkey="more", restval=""):
        cells = [f"{key}: {value}" for key, value in row.items() if isinstance(value, str) and value.strip()]
        yield from cut("\n".join(cells), source)


def _faq(path: Path, source: str) -> Iterator[Passage]:
    """The entries of a FAQ that are about the business."""
    for entry in read_faq(path)[0]:
        if entry.is_knowledge:
            yield Passage(source, " / ".join(entry.questions), entry.answer)


_PASSAGES: dict[str, Callable[[Path, str], Iterator[Passage]]] = {
    **dict.fromkeys((".md", ".markdown", ".txt"), _markdown),
    **dict.fromkeys(ENDINGS, _extracted),
    ".csv": _table,
    ".json": _faq,
}
