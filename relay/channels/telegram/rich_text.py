"""Flattens the blocks of a rich message to Markdown: apps send lists, tables and pasted web text without a plain text.

https://core.telegram.org/bots/api#richmessage. Unknown blocks give the text that they hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from relay.channels.telegram.json_fields import object_at, objects, text_at

_MAX_DEPTH: Final = 20
_MARKS: Final = {"bold": "**", "italic": "*", "strikethrough": "~~", "code": "`", "spoiler": "||"}


def rich_markdown(message: Mapping[str, Any]) -> str:
    """The rich message within a message as Markdown; empty when there is none."""
    return _blocks(object_at(message, "rich_message").get("blocks"), 0)


def _blocks(blocks: Any, depth: int) -> str:
    if depth > _MAX_DEPTH:
        return ""
    return "\n\n".join(text for block in objects(blocks) if (text := _block(block, depth).strip("\n")))


def _block(block: Mapping[str, Any], depth: int) -> str:
    text, inner = _inline(block.get("text"), depth), _blocks(block.get("blocks"), depth + 1)
    match block.get("type"):
        case "heading":
            size = block.get("size")
            text = "#" * (size if isinstance(size, int) and 1 <= size <= 6 else 3) + f" {text}"
        case "pre":
            text = f"```{text_at(block, 'language')}\n{text}\n```"
        case "divider":
            text = "---"
        case "mathematical_expression":
            text = f"$${text_at(block, 'expression')}$$"
        case "list":
            text = "\n".join(_item(item, depth) for item in objects(block.get("items")))
        case "blockquote" | "pullquote":
            text = as_quote(_joined(text, inner, _inline(block.get("credit"), depth)))
        case "table":
            text = _joined(text, _table(block.get("cells"), depth))
        case _:
            caption = _inline(object_at(block, "caption").get("text"), depth)
            text = _joined(_inline(block.get("summary"), depth), text, inner, caption)
    return text


def as_quote(text: str) -> str:
    """The text as a quote in Markdown."""
    return "\n".join(f"> {line}" if line else ">" for line in text.split("\n"))


def _joined(*texts: str) -> str:
    return "\n".join(text for text in texts if text)


def _item(item: Mapping[str, Any], depth: int) -> str:
    body = _blocks(item.get("blocks"), depth + 1) or _inline(item.get("text"), depth)
    return f"{_marker(item)} {body.replace(chr(10), chr(10) + '  ')}"


def _marker(item: Mapping[str, Any]) -> str:
    if item.get("has_checkbox") is True:
        return "- [x]" if item.get("is_checked") is True else "- [ ]"
    label = text_at(item, "label").strip()
    return label if label[:1].isalnum() else "-"


def _table(rows: Any, depth: int) -> str:
    cells = [
        [_inline(cell.get("text"), depth).replace("\n", " ").replace("|", r"\|") for cell in objects(row)]
        for row in (rows if isinstance(rows, list) else [])
    ]
    lines = [f"| {' | '.join(row)} |" for row in cells if row]
    return "\n".join([*lines[:1], "|" + "---|" * len(cells[0]), *lines[1:]]) if lines else ""


def _inline(text: Any, depth: int) -> str:
    """Rich text: a string, a list, or an object with a type and a text."""
    if isinstance(text, str) or depth > _MAX_DEPTH:
        return text if isinstance(text, str) else ""
    if isinstance(text, list):
        return "".join(_inline(part, depth + 1) for part in text)
    if not isinstance(text, dict):
        return ""
    inner = _inline(text.get("text"), depth + 1) or text_at(text, "alternative_text")
    kind, url = text.get("type"), text_at(text, "url")
    if kind == "mathematical_expression":
        return f"${text_at(text, 'expression')}$"
    if url and url != inner:
        return f"{inner} ({url})"
    mark = _MARKS.get(kind, "") if isinstance(kind, str) and inner.strip() else ""
    return f"{mark}{inner}{mark}"
