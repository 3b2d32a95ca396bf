"""Prints the text of a PDF, Word or HTML file as Markdown: `python -m relay.core.document_readers FILE ENDING`.

Only the process of one file imports the libraries. On failure the last line on stderr gives the reason; status 1.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import bs4
import mammoth
import markdownify
import pypdf

try:
    import resource
except ImportError:  # on Windows, which has no such limits
    resource = None  # type: ignore[assignment]

MAX_PAGES = 500
MAX_MEMORY_BYTES = 2**30
MAX_CPU_SECONDS = 60
MAX_CHARS = 5_000_000
"""More is cut: the process that reads the output has no limit of memory."""


def main() -> None:
    """Print the text of the file that the first argument names; the second says which kind it is."""
    logging.disable()  # a damaged PDF may be good for a million warnings
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    text = _READERS[sys.argv[2]](Path(sys.argv[1]))
    sys.stdout.buffer.write(text[:MAX_CHARS].encode(errors="replace"))


def _pdf(path: Path) -> str:
    pages = pypdf.PdfReader(path).pages
    if len(pages) > MAX_PAGES:
        raise ValueError(f"it has {len(pages)} pages; at most {MAX_PAGES} are read")
    return "\n\n".join(page.extract_text() for page in pages)


def _docx(path: Path) -> str:
    with path.open("rb") as file:
        html: str = mammoth.convert_to_html(file, convert_image=mammoth.images.img_element(lambda _: {})).value
    return _markdown(html)


def _html(path: Path) -> str:
    return _markdown(path.read_bytes().decode("utf-8-sig", errors="replace"))


def _markdown(html: str) -> str:
    soup = bs4.BeautifulSoup(html, "html.parser")
    for element in soup(["script", "style", "nav", "head", "img", "template"]):
        element.decompose()
    text: str = markdownify.MarkdownConverter(heading_style="ATX").convert_soup(soup)
    return text


_READERS: dict[str, Callable[[Path], str]] = {".pdf": _pdf, ".docx": _docx, ".html": _html, ".htm": _html}

if __name__ == "__main__":
    main()
