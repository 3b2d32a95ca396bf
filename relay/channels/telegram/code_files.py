"""Sends long blocks of code as files: a message shows some 4,000 characters, and code in several is of little use."""

from __future__ import annotations

import re
from typing import Final

from relay.channels.telegram.entities import plan
from relay.core.markdown_source import escape_markdown as escape
from relay.core.parts import PlannedPart
from relay.texts import ENGLISH
from relay.texts.sentences import localize

_BLOCK: Final = re.compile(
    r"(?ms)^(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+#.-]*)[^\n]*\n(?P<code>.*?)(?:^(?P=fence)[`~]*[ \t]*$|\Z)"
)
_EXTENSIONS: Final = {
    "": "txt",
    "bash": "sh",
    "c#": "cs",
    "c++": "cpp",
    "csharp": "cs",
    "dockerfile": "dockerfile",
    "golang": "go",
    "haskell": "hs",
    "javascript": "js",
    "julia": "jl",
    "kotlin": "kt",
    "makefile": "mk",
    "markdown": "md",
    "matlab": "m",
    "objective-c": "m",
    "perl": "pl",
    "plaintext": "txt",
    "powershell": "ps1",
    "python": "py",
    "python3": "py",
    "ruby": "rb",
    "rust": "rs",
    "shell": "sh",
    "text": "txt",
    "typescript": "ts",
    "yaml": "yml",
    "zsh": "sh",
}
"""Of languages whose usual extension differs from their name in a fence."""


def plan_with_files(markdown: str, max_parts: int, code_chars: int, language: str = ENGLISH) -> list[PlannedPart]:
    """A reply as messages, and its blocks of code that are longer than `code_chars` as files after them; 0: never."""
    files: list[PlannedPart] = []

    def summary(block: re.Match[str]) -> str:
        code = block["code"]
        if len(code) <= code_chars:
            return block[0]
        name = _file_name(block["language"], len(files))
        history = f"\n\n{block['fence']}{block['language']}\n{code}{block['fence']}\n"
        files.append(PlannedPart(code, history, file_name=name))
        return localize("telegram-code-in-file", language, name=escape(name), count=code.count("\n"))

    text = _BLOCK.sub(summary, markdown) if code_chars else markdown
    return [*plan(text, max_parts, language), *files]


def _file_name(language: str, number: int) -> str:
    lower = language.lower()
    extension = _EXTENSIONS.get(lower, lower if re.fullmatch(r"[a-z0-9]{1,10}", lower) else "txt")
    return f"code{number + 1 if number else ''}.{extension}"
