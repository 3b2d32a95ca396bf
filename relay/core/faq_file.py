"""The FAQ file: questions and answers as JSON, edited by the operator, for the demo and for the knowledge of the AI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLE = "This is an example"
"""How the answers begin that are shipped to be replaced; they state nothing about the operator's business."""


class FaqError(Exception):
    """The file cannot be used; the message is a sentence with reason and remedy."""


@dataclass(frozen=True, slots=True)
class FaqEntry:
    """One answer, as Markdown, and the questions that it answers. for_demo: it is about the demo itself."""

    questions: tuple[str, ...]
    answer: str
    for_demo: bool

    @property
    def is_knowledge(self) -> bool:
        """Whether it tells something about the operator's business."""
        return not self.for_demo and not self.answer.startswith(EXAMPLE)


def read_faq(path: Path) -> tuple[tuple[FaqEntry, ...], str]:
    """The entries of a file and its default answer, "" when it has none. Raises FaqError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise FaqError(
            f"{path.name} is missing: put it back, or set demo_faq_file to a file with questions and answers."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise FaqError(f"{path.name} cannot be read: {error}. Make it a readable UTF-8 file.") from None
    except ValueError as error:
        raise FaqError(f"{path.name} is not valid JSON: {error}. Look for a missing comma or quote.") from None
    if not isinstance(content, dict) or not isinstance(content.get("entries"), list):
        raise FaqError(f'{path.name} must look like {{"entries": [{{"questions": ["..."], "answer": "..."}}]}}.')
    entries = tuple(_entry(path, number, row) for number, row in enumerate(content["entries"], 1))
    return entries, _text(content.get("default", ""))


def _entry(path: Path, number: int, row: Any) -> FaqEntry:
    row = row if isinstance(row, Mapping) else {}
    questions, answer = row.get("questions"), _text(row.get("answer"))
    if not isinstance(questions, list) or not all(isinstance(text, str) for text in questions) or not answer:
        raise FaqError(f'{path.name}, entry {number}: it needs "questions" (a list of texts) and "answer" (a text).')
    return FaqEntry(tuple(questions), answer, bool(row.get("demo")))


def _text(value: Any) -> str:
    """An answer: a text, or a list of lines; "" for anything else and for white space."""
    if isinstance(value, list):
        value = "\n".join(str(line) for line in value)
    return value if isinstance(value, str) and value.strip() else ""
