r"""Converts LaTeX mathematics to Unicode text that reads right in a chat: "\frac{A}{2a}" becomes "A/(2a)".

Symbols, scripts and matrices are telegramify-markdown's. This module adds what a proportional font needs: roots and
fractions with parentheses instead of combining lines, environments with one row a line, layout commands left out.
"""

from __future__ import annotations

import re

from telegramify_markdown.latex_escape.helper import LatexToUnicodeHelper

_LAYOUT = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|nonumber|notag|hfill|middle|[bB]igg?[lrm]?)(?![A-Za-z])|\\!"
    r"|\\label\{[^}]*\}"
)
_TAG = re.compile(r"\\tag\*?\{([^}]*)\}")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_NOT_EQUAL = re.compile(r"\\ne(?![A-Za-z])")
_ROW_SPACING = re.compile(r"\\\\\[[^\]\n]{1,10}\]")
_BLANK_LINES = re.compile(r"\s*\n\s*")
_SPACES = re.compile(r"[^\S\n]{2,}")
_ONE_FACTOR = re.compile(r"(?:\d+(?:[.,]\d+)?|(?:d|\u2202 ?)?\w[\u2070-\u209c\u00b2\u00b3\u00b9\u2032']*)\Z")
_ONE_TERM = re.compile(r"(?:\u2202 )?[^\s+\-\u2212\u00b1/=,]+\Z")
_COMMAND = re.compile(
    r"\\(?:text|mathrm|operatorname|mbox|textbf|mathbf|textit|tag|begin|end)[a-z]*\*?\{[^{}]*\}|\\[A-Za-z]+"
)
_WORD = re.compile(r"[^\W\d_]{3,}|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]+")
_FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "max", "min", "lim"}
    | {"arg", "det", "dim", "gcd", "lcm", "mod", "ker", "sup", "inf"}
)
_MATH_SIGN = re.compile(r"\\[A-Za-z]|[=^_{}<>]")
_PLAIN_MATH = re.compile(r"(?=.*\w)(?:(?<![a-z])[a-z]|[A-Z0-9\s+\-*/(),.!|:'%\u2032])+")
_VERTICES = re.compile(r"[A-Z]{2,3}'?")
_GRIDS = frozenset({"matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix", "cases", "array"})
_RADIX = {"": "\u221a", "2": "\u221a", "3": "\u221b", "4": "\u221c"}


def to_unicode(latex: str) -> str:
    """The formula as text, a line for each row of an environment. Never raises: unknown commands stay as they are."""
    text = _NOT_EQUAL.sub(r"\\neq", latex)
    text = _FRACTION.sub(r"\\frac", _LAYOUT.sub("", _TAG.sub(r"\\quad(\1)", text)))
    converted = str(_CONVERTER.convert(_ROW_SPACING.sub(r"\\\\", _BLANK_LINES.sub(" ", text.strip()))))
    lines = (_SPACES.sub(" ", line).strip() for line in converted.split("\n"))
    return "\n".join(line for line in lines if line)


def looks_like_math(text: str) -> bool:
    r"""Whether a text between dollars or \( \) is mathematics, and not a price, a variable of a shell or a remark."""
    bare = "" if _VERTICES.fullmatch(text) else _COMMAND.sub(" ", text)
    if any(word.lower() not in _FUNCTIONS for word in _WORD.findall(bare)) or not _is_balanced(text):
        return False
    return _MATH_SIGN.search(text) is not None or _PLAIN_MATH.fullmatch(text) is not None


def _is_balanced(text: str) -> bool:
    """Whether as many brackets close as open, of whatever kind: intervals mix them."""
    return sum(map(text.count, "([{")) == sum(map(text.count, ")]}"))


def superscript(text: str) -> str:
    """The text in raised characters, or after a caret where Unicode has none."""
    return str(LatexToUnicodeHelper.make_superscript(text))


def subscript(text: str) -> str:
    """The text in lowered characters, or after an underscore where Unicode has none."""
    return str(LatexToUnicodeHelper.make_subscript(text))


class _Converter(LatexToUnicodeHelper):  # type: ignore[misc]  # the library has no types
    def translate_sqrt(self, command: str, option: str, param: str) -> str:  # noqa: ARG002 (the library's signature)
        index, radicand = option.strip(), param.strip()
        radix = _RADIX.get(index) or f"{superscript(index)}\u221a"
        return radix + (radicand if _ONE_FACTOR.match(radicand) else f"({radicand})")

    def make_fraction(self, numerator: str, denominator: str) -> str:
        above, below = numerator.strip(), denominator.strip()
        if above.isdigit() and below.isdigit():
            return str(super().make_fraction(above, below))
        above = above if _ONE_TERM.match(above) else f"({above})"
        return f"{above}/{below if _ONE_FACTOR.match(below) else f'({below})'}"

    def _render_environment(self, env_name: str, content: str) -> str:
        name = env_name.rstrip("*")
        return str(super()._render_environment(name if name in _GRIDS else "align", content))


_CONVERTER = _Converter()
