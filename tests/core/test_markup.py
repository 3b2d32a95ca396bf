"""What a model's Markdown means, as events: signs that CommonMark reads otherwise, and mathematics as text."""

from __future__ import annotations

import pytest

from relay.core.latex import looks_like_math, to_unicode
from relay.core.markdown_source import escape_markdown
from relay.core.markup import parse
from relay.core.table_rows import with_all_cells


def shown(markdown: str) -> str:
    """The events as one text: styles and what pulldown-cmark calls inline in angle brackets, mathematics in braces."""
    pieces = []
    for event in parse(markdown):
        if event.name in {"Open", "Close"} or event.kind in {"Strong", "Emphasis", "Strikethrough", "Link"}:
            name = event.kind.lower() if event.kind != "Link" else "link"
            pieces.append(f"</{name}>" if event.name in {"End", "Close"} else f"<{name}>")
        elif event.name == "Formula":
            pieces.append(f"{{{event.value.text}}}")
        elif event.name in {"Text", "Code"}:
            pieces.append(event.value)
        elif event.name in {"SoftBreak", "HardBreak"}:
            pieces.append("\n")
    return "".join(pieces)


@pytest.mark.parametrize(
    "text",
    [
        "Set $HOME/bin:$PATH and echo $USER:$SHELL",
        "$5 to $10, $1 = 0.9 and 1 = 1.1$",
        "US$5 or CA$7, and kill $$ or $$",
        "a || b, a||b, (x)||(y), x == y, a==b==c",
        "~5 and (~6), user~name, 2^3^4",
        "List<String>, if a<b and c>d, <T> and <div>x</div>",
        "use <b> for bold, <br and </b>",
        "https://a.org/_x_/?d=*e*&f=~g~ and www.b.org/__init__.py",
        r"C:\Users\ann\_tmp_\x",
        "2*3*4, x**2 + y**2, __init__, obj.__hook__()",
        r"[not a formula] (nor this one)",
    ],
)
def test_what_is_no_markup_stays_as_it_is(text: str) -> None:
    """Nothing is taken away from prices, shells, programs, addresses and arithmetic."""
    assert shown(text) == text


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("**\u6ce8\u610f\uff1a**\u8bf7\u770b", "<strong>\u6ce8\u610f\uff1a</strong>\u8bf7\u770b"),
        (
            "\u8fd9\u662f**\u201c\u91cd\u70b9\u201d**\u5185\u5bb9",
            "\u8fd9\u662f<strong>\u201c\u91cd\u70b9\u201d</strong>\u5185\u5bb9",
        ),
        ("\ubb38\uc11c\ub97c **M(m)**\uc744", "\ubb38\uc11c\ub97c <strong>M(m)</strong>\uc744"),
        (
            "**\u4e00\uff1a**\u4e8c\uff0c**\u4e09\uff1a**\u56db\u3002",
            "<strong>\u4e00\uff1a</strong>\u4e8c\uff0c<strong>\u4e09\uff1a</strong>\u56db\u3002",
        ),
        (
            "\u3053\u308c\u306f*\u300c\u672c\u300d*\u3067\u3059",
            "\u3053\u308c\u306f<emphasis>\u300c\u672c\u300d</emphasis>\u3067\u3059",
        ),
        ("**Note:**this", "<strong>Note:</strong>this"),
        ("<b>x</b> <i>y</i> <del>z</del>", "<bold>x</bold> <italic>y</italic> <strikethrough>z</strikethrough>"),
        ("==x== and ||y||", "<bold>x</bold> and <spoiler>y</spoiler>"),
        ("H<sub>2</sub>O, H~2~O, x^2^, 1<sup>st</sup>", "H\u2082O, H\u2082O, x\u00b2, 1\u02e2\u1d57"),
        ("a<!-- b\nc -->d<br>e", "ad\ne"),
        ("<kbd>a*b*c</kbd> <code>List<T></code>", "a*b*c List<T>"),
        ('<a href="https://a.org/?b=1&amp;c=2">x</a>', "<text_link>x</text_link>"),
        ("$x^2$, \\(\\alpha\\) and $n$", "{x\u00b2}, {\u03b1} and {n}"),
        ("$$\nE = mc^2\n$$", "{E = mc\u00b2}"),
        ("\\begin{align}a &= b \\\\ c &= d\\end{align}", "{a = b\nc = d}"),
        ("Yes.<|im_end|>", "Yes."),
    ],
)
def test_what_models_mean_is_read(markdown: str, expected: str) -> None:
    """Emphasis beside Chinese, harmless HTML, marks, scripts and mathematics."""
    assert shown(markdown) == expected


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}", "x = (-b \u00b1 \u221a(b\u00b2 - 4ac))/(2a)"),
        (r"\dfrac{A}{2a}", "A/(2a)"),
        (r"\frac12", "\u00bd"),
        (r"\sqrt[3]{x+1} \ne \sqrt{2}", "\u221b(x+1) \u2260 \u221a2"),
        (r"\begin{cases} x & x>0 \\ -x & \text{otherwise} \end{cases}", "\u23a7 x, x>0\n\u23a9 -x, otherwise"),
        (r"\displaystyle\sum_{i=1}^{n} i \tag{1}", "\u2211\u1d62\u208c\u2081\u207f i (1)"),
        (r"\unknown{x}", r"\unknownx"),
    ],
)
def test_mathematics_reads_right_in_a_line(latex: str, text: str) -> None:
    """Roots and fractions keep what belongs to them, rows their lines, and what is unknown stays."""
    assert to_unicode(latex) == text


@pytest.mark.parametrize("text", ["x", "AB", "f(x)", "n-1", "10", "x, y", "mc^2", r"a \le b", r"\text{if } x"])
def test_mathematics_between_dollars(text: str) -> None:
    """Symbols, numbers and commands, but no words."""
    assert looks_like_math(text)


@pytest.mark.parametrize("text", ["HOME/bin:", "USER:", "PATH", "5 or", "my_var", "1 = 0.9 and 1", "", " "])
def test_no_mathematics_between_dollars(text: str) -> None:
    """Variables of shells, prices and remarks."""
    assert not looks_like_math(text)


ROW = "| a | b |\n|---|---|\n"


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        ("| `x|y` | 1 |", r"| `x\|y` | 1 |"),
        ("| ``x||y`` | 1 |", r"| ``x\|\|y`` | 1 |"),
        ("| 1 | `x | y` |", r"| 1 | `x \| y` |"),
        ("| 1 | 2 | 3 |", r"| 1 | 2 \| 3 |"),
        ("1 | 2 | 3 | 4", r"1 | 2 \| 3 \| 4"),
        (r"| `x\|y` | 1 |", r"| `x\|y` | 1 |"),
        ("| ` | ` |", "| ` | ` |"),
        ("| 1 | 2 |", "| 1 | 2 |"),
        ("| 1 |", "| 1 |"),
        ("\n| `x|y` | 1 |", "\n| `x|y` | 1 |"),
        ("```\n| `x|y` | 1 |\n```", "```\n| `x|y` | 1 |\n```"),
    ],
)
def test_a_row_with_too_many_cells_loses_none(row: str, kept: str) -> None:
    """A line in code is no border; other rows, rows without a table, and blocks of code stay as they are."""
    assert with_all_cells(ROW + row) == ROW + kept


def test_an_escaped_text_is_text() -> None:
    """Every sign of Markdown, and of what is read beyond it."""
    text = "*a* _b_ `c` [d](e) <b>f</b> $g$ ==h== ||i|| ~j~ # 1. - |"
    assert shown(escape_markdown(text)) == text
