"""Takes off the tags in which models wrap an answer, and their notes before it, as prompts of programs ask them to.

Of "<analysis>...</analysis><answer>Paris.</answer>" a person gets "Paris.". A program that has asked for such tags
reads them itself, so this is for the channels alone. A document that begins with such a tag stays as it is.
"""

from __future__ import annotations

import re

from relay.llm.html_answers import is_about_markup

_NOTES = (
    r"thoughts?|reason(?:ing)?(?:_\w+)?|reflection|analysis|scratch_?pad|(?:\w+_)?monologue|rationale|plan|planning"
    r"|chain_of_thought|cot|(?:inner|internal)_\w+|details\s+type=\"reasoning\"[^<>]*"
)
_WRAPPER = r"(?:final_?)?(?:answer|response|reply|output|result|solution)|final"
_BEGIN = re.compile(rf"\s*<(?:(?P<notes>{_NOTES})|(?P<wrapper>{_WRAPPER}))\s*>\s*", re.IGNORECASE)
_MAX_TAGS = 5
_BEGINNING = re.compile(r"\s*<[\w ]{0,40}>?\s*\Z")
_HTML = r"p|div|b|strong|i|em|u|br|h\d|[uo]l|a|table|summary"
_ELEMENT = re.compile(rf"<(?!(?:{_HTML}|{_WRAPPER})\b)[a-z]", re.IGNORECASE)
"""An element of a document, and not HTML within an answer."""
_LAST = re.compile(
    rf"(?P<before>[\n.!?:]\s{{0,9}})<(?P<name>{_WRAPPER})>\s*(?P<answer>[^<>]+?)\s*</(?P=name)\s*>\s*\Z", re.IGNORECASE
)
_BARE = re.compile(r"\s*analysis(?=[A-Z])(?:.*?assistantfinal\s*)?", re.DOTALL)
"""gpt-oss by a server that drops special tokens: "analysisThe user asks...assistantfinalHi"."""
_ORPHAN = re.compile(rf"\A((?:(?!<\w).)*)(?:(?<=\S)|\n\s{{0,9}})</(?:{_WRAPPER})\s*>\s*\Z", re.IGNORECASE | re.DOTALL)


_PASSAGE = re.compile(r'<passage source="[^\n<>]{0,400}" title="[^\n]{0,400}?">\n?|\n?</passage>')
"""What documents stand in for the model (relay.knowledge.assistant), which small models copy."""


def unwrapped(text: str, *, whole: bool = True) -> str:
    """The answer without tags around it. whole: no more of it will come; without that "" until the answer begins."""
    text = _PASSAGE.sub("", text)
    if (bare := _BARE.match(text)) is not None and "assistantfinal" in bare[0]:
        text = text[bare.end() :]
    elif bare is not None and not whole:
        return ""
    for _ in range(_MAX_TAGS):
        if (found := _BEGIN.match(text)) is None:
            break
        inside, name = text[found.end() :], (found["notes"] or found["wrapper"]).split()[0]
        before, after = _closed(inside, name)
        if _ELEMENT.match(inside) or (after or "")[:1].islower():
            return text
        if found["wrapper"]:
            text = "\n\n".join(part for part in (before, after) if part)
        elif after:
            text = after
        else:
            return before if whole else ""
    if not whole and _BEGINNING.match(text):
        return ""
    if not is_about_markup(text):
        text = _LAST.sub(r"\g<before>\g<answer>", text)
    return _ORPHAN.sub(r"\1", text)


def may_be_wrapped(text: str) -> bool:
    """Whether the beginning of an answer is no text yet, but a tag or notes."""
    return text.lstrip().startswith(("<", "analysis"))


def _closed(inside: str, name: str) -> tuple[str, str | None]:
    """What precedes the closing tag and what follows it; None when there is none."""
    before, *after = re.split(rf"\s*</{name}\s*>\s*", inside, maxsplit=1, flags=re.IGNORECASE)
    return before, after[0] if after else None
