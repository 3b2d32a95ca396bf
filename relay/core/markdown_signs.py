"""The signs in prose that CommonMark reads otherwise than models mean them, as one expression for each first character.

The name of the group that matches tells what the sign is; markdown_source.py decides what becomes of it. Every
repetition is bounded or ends where its own beginning comes again, so that no text takes more than linear time.
"""

from __future__ import annotations

import re
from typing import Final

import regex

LESS: Final = "\ufdd0"
"""A noncharacter of Unicode, a letter to the parser: stands for "<" that begins no address."""

STYLES: Final = {
    **dict.fromkeys(("b", "strong", "mark", "=="), "bold"),
    **dict.fromkeys(("i", "em", "cite", "var"), "italic"),
    **dict.fromkeys(("u", "ins"), "underline"),
    **dict.fromkeys(("s", "strike", "del"), "strikethrough"),
    **dict.fromkeys(("tg-spoiler", "||"), "spoiler"),
    "a": "text_link",
    "blockquote": "blockquote",
}
"""What a pair of signs or HTML tags is called in Telegram."""

LIST_TAGS: Final = ("ul", "ol")
CONTAINER_TAGS: Final = (
    *("div", "section", "article", "header", "footer", "main", "nav", "aside", "figure", "figcaption", "blockquote"),
    "center",
)
"""Blocks that a text may also name: "put a <div> around it"."""
_PLAIN_BLOCK_TAGS = (*LIST_TAGS, "li", "p", "details", "summary", "h1", "h2", "h3", "h4", "h5", "h6")
BLOCK_TAGS: Final = (*_PLAIN_BLOCK_TAGS, *CONTAINER_TAGS)
ATTRIBUTED_TAGS: Final = ("span", "abbr")
"""Tags that mean something by their attributes alone."""
_LEFT_OUT_TAGS = ("small", "big", "font", *ATTRIBUTED_TAGS)
_TAGS = "|".join([*({*STYLES} - {"==", "||", "blockquote"}), *_PLAIN_BLOCK_TAGS, *_LEFT_OUT_TAGS])
_CONTAINERS = "|".join(CONTAINER_TAGS)
_CODE_TAGS = "code|kbd|samp|tt"
_PROGRAM_TAGS = (
    "html|head|body|title|script|style|link|meta|form|input|button|label|select|option|textarea|iframe|canvas|svg|path"
    "|video|audio|template"
)
_ENVIRONMENTS = "align|aligned|alignat|equation|gather|multline|eqnarray|split|cases|array|[pbBvV]?matrix"
_DUNDER_NAMES = (
    "init|main|name|file|all|dict|class|str|repr|call|new|del|len|iter|next|enter|exit|eq|hash|doc|version|slots|future"
    "|pycache|getattr|setattr|getitem|setitem|post_init|annotations|module|import|bool|int|float|bytes|format|contains"
    "|add|sub|mul|lt|le|gt|ge|ne|set|get|delete|copy|path|package|builtins|debug|author|FILE|LINE|DIR|CLASS|FUNCTION"
)
# Chinese, Japanese and Korean, with their punctuation: such text has no spaces around emphasis.
# https://github.com/commonmark/commonmark-spec/issues/650
_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}\u3001-\u303f\uff01-\uffef"
_PUNCTUATION = r"[\p{P}\p{S}--[*~_\\]]"
_IN_ADDRESS = rf"[^\s<>|\"`{LESS}{_CJK}]"
_NO_BLANK_LINE = r"(?!\n[ \t]{0,20}\n)"

_ESCAPES = rf"""
      \\\[ (?P<bracket_math> (?: {_NO_BLANK_LINE} (?!\$|(?<!\\)\\\[) [\s\S] ){{1,1500}}? ) \\\]
    | \\\( (?P<paren_math> (?: {_NO_BLANK_LINE} (?!\$|\\\() [\s\S] ){{1,300}}? ) \\\)
    | (?P<environment> \\begin\{{ (?P<name>{_ENVIRONMENTS}) (?P<star>\*?) \}}
        (?: (?!\\begin\{{(?P=name)) [\s\S] ){{1,3000}}? \\end\{{(?P=name)(?P=star)\}} )
    | (?P<path> (?: \\\\ [\w.$-]+ | (?<=%) ) (?: \\[\w.$-]+ )+ )
    | (?P<escaped> \\ [!-/:-@\[-`{{-~{LESS}] )
"""
_DOLLARS = rf"""
      \$\$ (?P<display_math> (?: {_NO_BLANK_LINE} [^$] ){{1,3000}} ) \$\$
    | (?<![A-Za-z0-9_$]) \$ (?P<dollar_math> (?=\S) (?: {_NO_BLANK_LINE} [^$] ){{1,300}} ) (?<=\S) \$ (?![A-Za-z0-9_$])
"""
_HTML = rf"""
      (?P<comment> {LESS}!-- (?: (?!{LESS}!--) [\s\S] ){{0,2000}}? --> )
    | (?P<line_break> {LESS}br\s{{0,3}}/?> )
    | (?<=(?:\A|\n|>)[ \t]*) (?P<rule> {LESS}hr\s{{0,3}}/?> ) (?=[ \t]*(?:\Z|\n|{LESS}))
    | {LESS}img (?P<image> \s [^<>{LESS}]{{1,2000}} ) >
    | {LESS}(?P<code_tag>{_CODE_TAGS})> (?P<code> (?: (?!{LESS}/?(?P=code_tag)) [^\n`] ){{1,300}}? )
        {LESS}/(?P=code_tag)>
    | {LESS}pre>\s* (?: {LESS}code (?: \s class="(?:language-)?(?P<language>[\w+-]{{1,20}})" )? > )?
        (?P<block> (?: (?!{LESS}/?pre|```) [\s\S] ){{1,9000}}? ) (?: {LESS}/code> )? \s{{0,9}} {LESS}/pre>
    | {LESS}sub> (?P<sub> [^\s{LESS}<>]{{1,30}} ) {LESS}/sub>
    | {LESS}sup> (?P<sup> [^\s{LESS}<>]{{1,30}} ) {LESS}/sup>
    | {LESS} (?P<closing>/?) (?P<tag>{_TAGS}) (?P<attributes> \s [^<>{LESS}]{{0,2000}} )? >
    | {LESS} (?P<closing>/?) (?P<tag>{_CONTAINERS}) (?P<attributes> \s [^<>{LESS}]{{0,2000}} )? > \s{{0,99}}
    | (?P<program> {LESS} /? (?:{_PROGRAM_TAGS}) \b [^<>{LESS}]{{0,2000}} > )
"""
# Emphasis that ends, or begins, between a sign and a letter without a space: the parser wants a letter on both sides.
_EMPHASIS = rf"""
      (?P<closer> (?<={_PUNCTUATION}) RUN (?=[{_CJK}--\p{{P}}]) | (?<=[{_CJK}&&\p{{P}}]) RUN (?=[\p{{L}}\p{{N}}]) )
    | (?P<opener> (?<=[{_CJK}--\p{{P}}]) RUN (?={_PUNCTUATION}) | (?<=[\p{{L}}\p{{N}}]) RUN (?=[{_CJK}&&\p{{P}}]) )
"""
_STARS = rf"""
      (?P<operator> (?<=[0-9A-Za-z)\]]) \*\* (?=[0-9]) | (?<=[0-9)\]]) \*\* (?=\()
        | (?<=[0-9A-Za-z)\]]) \* (?=[0-9A-Za-z(]) )
    | {_EMPHASIS.replace("RUN", "[*]{1,3}")}
    | (?P<punctuated> (?<=[:.!?)"'\u2019\u201d\u00bb%]) \*\* (?=\p{{L}}) )
"""
_TILDES = rf"""
      (?<=[\w)\]]) ~ (?P<lowered> [0-9+-]{{1,6}} | [A-Za-z]{{1,3}} ) ~ (?!~)
    | (?P<tilde> (?<!~) ~ (?!~) )
    | {_EMPHASIS.replace("RUN", "~~")}
"""
_CARETS = r"(?<=[\w)\]]) \^ (?P<raised> [0-9+-]{1,6} | [A-Za-z]{1,3} ) \^ (?![\w^])"
# Names, parts of a path, and addresses of e-mail, whose underscores are no emphasis.
_UNDERSCORES = rf"""
      (?P<dunder> (?<!\w) __ (?: (?: {_DUNDER_NAMES} | [a-z0-9]{{1,20}} (?:_[a-z0-9]{{1,20}}){{1,4}} ) __ (?!\w)
        | [a-z0-9_]{{1,40}} __ (?=[.(/]\w|\(\)) ) )
    | (?P<step> (?<=[/\\]) _{{1,2}} [\w.-]{{1,80}} _{{1,2}} (?=[/\\]) | (?<!\w) _ [\w-]{{1,80}} _ (?=\.[a-z]{{2,5}}\b) )
    | (?P<mailbox> _ [\w.+-]{{0,64}} @ [\w-]{{1,63}} \. \w )
"""
_PAIRS = r"(?P<pair> (?<!\|) \|\| (?!\|) | (?<!=) == (?!=) )"
_LETTERS = rf"""
      (?P<path> [A-Z]: \\ (?: [\w.$-] [\w.$() -]{{0,60}} \\ )* [\w.$-]* )
    | (?<!<) (?P<address> (?:https?://|www\.|ftp://|tg://) {_IN_ADDRESS}* [{_IN_ADDRESS}--[*_~=)\]}}.,;:!?']] )
"""
_BLANK_LINES = r"(?P<paragraph> \n [ \t>]* \n )"

_FLAGS = regex.VERBOSE | regex.VERSION1
_BY_FIRST: Final = {
    "\\": regex.compile(_ESCAPES, _FLAGS),
    "$": regex.compile(_DOLLARS, _FLAGS),
    LESS: regex.compile(_HTML, _FLAGS | regex.IGNORECASE),
    "*": regex.compile(_STARS, _FLAGS),
    "~": regex.compile(_TILDES, _FLAGS),
    "^": regex.compile(_CARETS, _FLAGS),
    "_": regex.compile(_UNDERSCORES, _FLAGS),
    "|": (_PAIR := regex.compile(_PAIRS, _FLAGS)),
    "=": _PAIR,
    "\n": regex.compile(_BLANK_LINES, _FLAGS),
}
_WORDS: Final = regex.compile(_LETTERS, _FLAGS | regex.IGNORECASE)

FIRST: Final = re.compile(
    rf"[{re.escape(''.join(_BY_FIRST))}]|(?<!\w)(?:https?://|www\.|ftp://|tg://|[A-Z]:\\)", re.IGNORECASE
)
"""Where a sign may begin."""


def sign_at(text: str, start: int, end: int) -> re.Match[str] | None:
    """The sign that begins at a match of FIRST and ends before `end`."""
    pattern = _BY_FIRST.get(text[start], _WORDS)
    found: re.Match[str] | None = pattern.match(text, start)  # regex has no types
    return found if found is None or found.end() <= end else pattern.match(text, start, end)
