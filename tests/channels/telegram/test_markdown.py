from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.channels.telegram.rendering import render
from relay.core.markdown_source import escape_markdown as escape


def styles(markdown: str) -> list[tuple[str, str]]:
    styled = render(markdown)
    return [(span.type, styled.text[span.start : span.end]) for span in styled.spans]


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("List<String> and Map<K, V>", "List<String> and Map<K, V>"),
        ("if a<b and c>d", "if a<b and c>d"),
        ("<think>hm</think> so", "<think>hm</think> so"),
        ("<div>\n`a<b`\n</div>", "a<b"),
        ("<div>\n<button>Go</button>\n</div>", "<div>\n<button>Go</button>\n</div>"),
        ("Use <div> there, <hr> and <img> here</div>", "Use <div> there, <hr> and <img> here</div>"),
        ("Wrap it in <div>x</div> or <span>y</span>", "Wrap it in <div>x</div> or <span>y</span>"),
        ('<span style="color:red">red</span>, <abbr title="x">y</abbr>', "red, y"),
        ('<div align="center">\n\n# T\n\n</div>\n<section><p>a</p>\n    <p>b</p></section>', "T\n\na\n\nb"),
        ("a\n<hr>\nb", "a\n\n\u2014\u2014\u2014\u2014\u2014\u2014\u2014\u2014\n\nb"),
        ('<img alt="a cat" src="https://a.b/c.png">', "\U0001f5bc a cat"),
        ('<img src="c.png">', '<img src="c.png">'),
        ("<table><tr><th>A</th><th>B</th></tr><tr><td>1<td>2|3</table>", "A | B\n--+----\n1 | 2|3"),
        ("<table>\n<caption>C</caption>\n<tr><td>1</td>\n<tr></table>\nend", "C\n\n1\n\nend"),
        ("`<table>` ends with </table>", "<table> ends with </table>"),
        ("<table></table>", "<table></table>"),
        ("one\n|a|b|\n|-|-|\n|1|2|\ntwo", "one\na | b\n--+--\n1 | 2\n\ntwo"),
        ("[(555) 123-4567](tel:555-123-4567), [us](tel:5), [2024](tel:2025)", "(555) 123-4567, us (5), 2024 (2025)"),
        ("between $100 and $200 (US$)", "between $100 and $200 (US$)"),
        ("\u4f7f\u7528**`git`**\u547d\u4ee4", "\u4f7f\u7528git\u547d\u4ee4"),
        ("2*3*4 = 24 and a*b*c", "2*3*4 = 24 and a*b*c"),
        ("x**2 + y**2", "x**2 + y**2"),
        ("see __init__.py, __main__ and __pycache__", "see __init__.py, __main__ and __pycache__"),
        ("obj.__my_hook__() runs", "obj.__my_hook__() runs"),
        (r"\(x^2\) is", "x\u00b2 is"),
        (r"so \[ a = b \] holds", "so \na = b\nholds"),
        (r"\[not a formula\]", "[not a formula]"),
        ("it costs $5 or $6", "it costs $5 or $6"),
        ("## Head\ntext", "Head\ntext"),
        ("- [ ] open\n- [x] done", "\u2610 open\n\u2611 done"),
        ("- a\n- b", "\u2022 a\n\u2022 b"),
        ("one<br>two", "one\ntwo"),
        (r"a \< b \* c", "a < b * c"),
        ("&lt;b&gt;", "<b>"),
        ("a\x00b\ud800c\ufdd0d", "abcd"),
        ("", ""),
    ],
)
def test_a_reader_sees_what_was_meant(markdown: str, text: str) -> None:
    """Nothing that looks like HTML, arithmetic, an identifier or a formula is swallowed."""
    assert render(markdown).text == text


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        (
            "**bold** *it* ~~gone~~ ||secret||",
            [("bold", "bold"), ("italic", "it"), ("strikethrough", "gone"), ("spoiler", "secret")],
        ),
        ("`a<b` and __bold__", [("code", "a<b"), ("bold", "bold")]),
        ("> quoted", [("blockquote", "quoted")]),
        ("<blockquote>\n<p>a</p>\n</blockquote>b", [("blockquote", "a")]),
        ("> ```\n> x\n> ```", [("blockquote", "x"), ("pre", "x")]),
        ("\u8bf7\u770b**[\u6587](https://a.b)**\u5427", [("text_link", "\u6587"), ("bold", "\u6587")]),
        ("[a](https://b.c/d*e*f) [b](#here) [c](./file)", [("text_link", "a")]),
        ("<https://a.b/c>", [("text_link", "https://a.b/c")]),
        ("# Head", [("bold", "Head")]),
        ("\U0001f468\u200d\U0001f469 **x**", [("bold", "x")]),
        ("|a|b|\n|-|-|\n|`1<2`|List<T>|", [("pre", "a   | b\n----+--------\n1<2 | List<T>")]),
    ],
)
def test_styles_become_spans(markdown: str, expected: list[tuple[str, str]]) -> None:
    """Each span covers exactly its words; links that lead nowhere have none."""
    assert styles(markdown) == expected


def test_code_is_left_exactly_as_it_is() -> None:
    """None of the protections reaches into code, and its language is kept."""
    code = "if a < b and x**2*3*4 and __init__:\n    print(r'\\(x\\)', '<br>')"
    styled = render(f"```python\n{code}\n```")
    assert [(span.type, span.language) for span in styled.spans] == [("pre", "python")]
    assert styled.text == code


def test_a_link_keeps_its_address() -> None:
    """Signs that are protected in prose are themselves again in an address."""
    styled = render("[x](https://a.b/c*d*e?f=__init__.py)")
    assert styled.spans[0].url == "https://a.b/c*d*e?f=__init__.py"


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=60).map(str.strip))
def test_an_escaped_name_reads_as_itself(name: str) -> None:
    """Whatever somebody is called, within Markdown it is text and nothing else."""
    styled = render(f"Hello {escape(name)}!")
    assert styled.text == f"Hello {name}!"
    assert styled.spans == ()


@pytest.mark.parametrize(
    "text", ["\\(" * 20_000, "[" * 20_000, "<" * 20_000, "*a_" * 10_000, "`" * 20_001, "> " * 2000]
)
def test_nonsense_takes_no_time(text: str) -> None:
    """Long runs of opening signs are no way to keep a server busy; the suite's time limit would show it."""
    assert len(render(text).text) <= len(text) + 10
