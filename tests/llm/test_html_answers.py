"""Small models write HTML: of it becomes Markdown what is formatting, and what is text stays."""

from __future__ import annotations

import pytest

from relay.llm.html_answers import as_markdown

CONVERTED = [
    ("<h2>Answer</h2>\n<p>It is <strong>Paris</strong>.</p>", "## Answer\n\nIt is **Paris**."),
    ("Hello <b>Bob</b>, we open at <I> nine </I>.", "Hello **Bob**, we open at  *nine* ."),
    ("<ul>\n  <li>One <b>two</b></li>\n    <li>Three</li>\n</ul>", "- One **two**\n- Three"),
    ("Steps:<ol><li>Call</li><li>Come</li></ol>Thanks", "Steps:\n\n1. Call\n2. Come\n\nThanks"),
    (
        "<table>\n<tr><th>Day</th><th>Open</th></tr>\n  <tr><td>Mon</td><td>9 <b>to</b>\n5</td></tr></table>",
        "| Day | Open |\n|---|---|\n| Mon | 9 **to** 5 |",
    ),
    (
        'See <a class="x" href="https://x.example/?a=1&amp;b=2">our page</a>.',
        "See [our page](https://x.example/?a=1&b=2).",
    ),
    ('<pre><code class="language-py">if a &lt; b:\n    x</code></pre>', "```\nif a < b:\n    x\n```"),
    ("Press <kbd>Ctrl</kbd>+<kbd>C</kbd>", "Press `Ctrl`+`C`"),
    ("One<br>two<br/>three", "One\ntwo\nthree"),
    ("<div><div><p>Nested</p></div></div>", "Nested"),
    ("<html><body><h1>Hi</h1><hr><p>One</p><p>Two</p></body></html>", "# Hi\n\n---\n\nOne\n\nTwo"),
    ("I <3 you <b>much</b>", "I <3 you **much**"),
    ("Cut off: <ul><li>One</li><li>Tw", "Cut off: \n\n- One\n\n- Tw"),
    ("`<b>code</b>` and <b>bold</b>", "`<b>code</b>` and **bold**"),
    ("<strong> </strong>x", " x".strip()),
    ("<p>Paris.\n<p>Second.", "Paris.\n\nSecond."),
    ("<p>One.<p>Two.", "One.\n\nTwo."),
    ("<html><body>\n<p>Paris.", "Paris."),
    ("<h2>Answer</h2>\n<p>Paris.", "## Answer\n\nParis."),
    ("Paris.</p></div>", "Paris."),
    ("Paris.\n</p>", "Paris."),
    ("<details><summary>More</summary>\ntext</details>", "**More**\ntext"),
]
KEPT = [
    "Use <b> for bold.",
    "a < b and c > d",
    "Write <b>x</b> in HTML.",
    "The tag <b>x</b> makes text bold.",
    "```html\n<b>x</b>\n```",
    "~~~\n<ul><li>x</li></ul>\n~~~",
    "`<b>x</b>`",
    "<!DOCTYPE html><html><body><p>A page</p></body></html>",
    "<script>alert(1)</script><p>x</p>",
    "A vector<int> and a map<string, b>",
    "Mail me at <bob@example.com>, see <https://example.com/b>",
    "<b>not closed",
    "Use:\n<p>\nfor it",
    "a <p> b",
    "x <p and q>",
    "It ends.</p> Next",
    "<paul> hi",
    "closed only</b>",
    "**Markdown** stays\n\n    as it is",
]


@pytest.mark.parametrize(("text", "expected"), CONVERTED, ids=[row[0][:30] for row in CONVERTED])
def test_formatting_becomes_markdown(text: str, expected: str) -> None:
    """Lists, tables, links and code keep what they mean."""
    assert as_markdown(text) == expected


@pytest.mark.parametrize("text", KEPT, ids=[text[:30] for text in KEPT])
def test_text_stays(text: str) -> None:
    """Signs, code, half pairs, and what speaks of HTML."""
    assert as_markdown(text) == text


@pytest.mark.parametrize(
    "piece", ["<b>", "<b>x</b>", "<a href=", "<table><tr>", "\n", "< ", "<i></i>", "tag ", "<pre><code>", "`"]
)
def test_any_amount_of_it_is_read(piece: str) -> None:
    """A model that repeats itself without end holds up nobody: a quadratic reading would take minutes."""
    assert len(as_markdown(piece * 20_000 + "<b>x</b>")) <= len(piece) * 20_000 + len("<b>x</b>")
