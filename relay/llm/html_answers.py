"""Turns the HTML that small models write into Markdown, of which each channel makes what it can show.

Only complete pairs of harmless tags outside code count. An answer that speaks of HTML, or is the source of a page,
stays as it is: its reader wants to see the tags.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import partial
from itertools import count

_ABOUT_HTML = re.compile(
    r"\b(?:html5?|css|xml|markup|tags?|javascript|elements?)\b(?![^<>]{0,500}>)|<!doctype|<(?:script|style|head)\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"(```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`)", re.DOTALL)
_BREAK = re.compile(r"<br\s{0,5}/?>", re.IGNORECASE)
_CODE_BLOCK = re.compile(
    r"(<pre(?:\s[^<>]{0,200})?>)\s{0,9}<code(?:\s[^<>]{0,200})?>([^<>]*)</code>\s{0,9}(?=</pre>)", re.IGNORECASE
)
_CUT_LIST = re.compile(r"</?(?:ul|ol)>|<li>", re.IGNORECASE)
"""What is left of a list when the answer was cut at its limit."""
_BLOCK = r"p|div|section|article|main|header|footer|body|html|h[1-6]"
_OPEN_BLOCK, _CLOSE_BLOCK = rf"<(?:{_BLOCK})(?:\s[^<>]{{0,200}})?>", rf"</(?:{_BLOCK})\s{{0,5}}>"
_UNPAIRED = re.compile(
    rf"(?:^[ \t]{{0,9}}|(?<=[.!?:])[ \t]{{0,9}})(?:{_OPEN_BLOCK}\s{{0,9}}){{0,9}}{_OPEN_BLOCK}[ \t]{{0,9}}(?=[^\s<])"
    rf"|(?<=[^\s<>])[ \t]{{0,9}}(?:{_CLOSE_BLOCK}[ \t]{{0,9}}){{1,9}}$|\n\s{{0,9}}(?:{_CLOSE_BLOCK}\s{{0,9}}){{1,9}}\Z",
    re.IGNORECASE | re.MULTILINE,
)
"""Tags of paragraphs without their partners, before the text of a line or at its end."""
_RULE = re.compile(r"<hr\s{0,5}/?>", re.IGNORECASE)
_HREF = re.compile(r"""href\s{0,5}=\s{0,5}["']?([^"'\s>]+)""", re.IGNORECASE)
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")
_INDENTED_BLOCK = re.compile(r"\n[ \t]+(?=[-#|>]|\d+\. |```)")

Replace = Callable[[str, str], str]
"""Takes what a pair of tags encloses, without tags itself, and the attributes of the first one."""


def _pair(names: str, replace: Replace) -> tuple[re.Pattern[str], Replace]:
    pattern = rf"<(?P<name>{names})(?P<attributes>\s[^<>]{{0,500}})?>(?P<inside>[^<>]*)</(?P=name)\s{{0,5}}>"
    return re.compile(pattern, re.IGNORECASE), replace


def _within(sign: str) -> Replace:
    """The signs directly beside the text: "** a **" is not bold."""

    def replace(inside: str, _: str) -> str:
        text = inside.strip()
        return inside.replace(text, f"{sign}{text}{sign}", 1) if text else inside

    return replace


def _block(before: str) -> Replace:
    return lambda inside, _: f"\n\n{before}{inside.strip()}\n\n"


def _link(inside: str, attributes: str) -> str:
    address = _HREF.search(attributes)
    return f"[{inside.strip()}]({html.unescape(address[1])})" if address else inside


def _bulleted(inside: str, _: str) -> str:
    rows = (row.strip() for row in inside.splitlines())
    return "\n\n" + "\n".join(row for row in rows if row) + "\n\n"


def _numbered(inside: str, _: str) -> str:
    numbers = count(1)
    return re.sub(r"^- ", lambda _: f"{next(numbers)}. ", _bulleted(inside, _), flags=re.MULTILINE)


def _table(inside: str, _: str) -> str:
    rows = [row.strip() for row in inside.splitlines() if row.strip()]
    if not rows:
        return ""
    return "\n".join(("\n", rows[0], "|---" * (rows[0].count("|") - 1) + "|", *rows[1:], "\n"))


_PAIRS: list[tuple[re.Pattern[str], Replace]] = [
    _pair("pre", lambda inside, _: f"\n\n```\n{html.unescape(inside).strip()}\n```\n\n"),
    _pair("code|kbd|samp|tt", lambda inside, _: f"`{html.unescape(inside)}`" if inside.strip() else inside),
    _pair("a", _link),
    _pair("b|strong|mark", _within("**")),
    _pair("i|em|cite|var", _within("*")),
    _pair("s|del|strike", _within("~~")),
    _pair("u|ins|span|small|big|font|center|sup|sub", lambda inside, _: inside),
    _pair("td|th", lambda inside, _: f"{' '.join(inside.split())} | "),
    _pair("tr", lambda inside, _: f"\n| {' '.join(inside.split())}\n"),
    _pair("thead|tbody", lambda inside, _: inside),
    _pair("table", _table),
    _pair("li", lambda inside, _: f"\n- {inside.strip()}\n"),
    _pair("ol", _numbered),
    _pair("ul", _bulleted),
    *(_pair(f"h{level}", _block("#" * level + " ")) for level in range(1, 7)),
    _pair("blockquote", _block("> ")),
    _pair("summary", _within("**")),
    _pair(f"details|{_BLOCK.removesuffix('|h[1-6]')}", _block("")),
]
_ROUNDS = 3
"""How deeply tags of one kind may be nested."""


def is_about_markup(text: str) -> bool:
    """Whether a text speaks of HTML or XML, or is the source of a page."""
    return _ABOUT_HTML.search(_CODE.sub("", text)) is not None


def as_markdown(text: str) -> str:
    """The text with Markdown in place of its HTML."""
    if "<" not in text or is_about_markup(text):
        return text
    pieces = _CODE.split(text)
    changed = [piece if number % 2 else _converted(piece) for number, piece in enumerate(pieces)]
    if changed == pieces:
        return text
    whole = _CUT_LIST.sub(lambda tag: "\n- " if tag[0][1] in "lL" else "\n", "".join(changed))
    whole = _INDENTED_BLOCK.sub("\n", whole)
    return _EMPTY_LINES.sub("\n\n", whole).strip()


def _converted(text: str) -> str:
    text = _CODE_BLOCK.sub(r"\1\2", _RULE.sub("\n\n---\n\n", _BREAK.sub("\n", text)))
    for _ in range(_ROUNDS):
        before = text
        for pattern, replace in _PAIRS:
            text = pattern.sub(partial(_replaced, replace), text)
        if text == before:
            break
    return _UNPAIRED.sub("\n\n", text)


def _replaced(replace: Replace, tag: re.Match[str]) -> str:
    return replace(tag["inside"], tag["attributes"] or "")
