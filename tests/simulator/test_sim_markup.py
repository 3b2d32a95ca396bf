"""parse_mode: what becomes which entity, what cannot be parsed, and that no text at all breaks the parsers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.simulator.telegram_entities import checked, found_in, trimmed, units
from relay.simulator.telegram_html import parse_html
from relay.simulator.telegram_markdown import MarkdownV2, parse_old_markdown
from relay.simulator.telegram_params import BotError


def marks(entities: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(one["type"], one["offset"], one["length"]) for one in entities]


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("<b>bold</b> &amp; <i>it</i>", "bold & it", [("bold", 0, 4), ("italic", 7, 2)]),
        ("😀<u>u</u><s>s</s>", "😀us", [("underline", 2, 1), ("strikethrough", 3, 1)]),
        ('<a href="https://x.org">x</a>', "x", [("text_link", 0, 1)]),
        ('<span class="tg-spoiler">s</span><tg-spoiler>t</tg-spoiler>', "st", [("spoiler", 0, 1), ("spoiler", 1, 1)]),
        ('<pre><code class="language-py">x &lt; 1</code></pre>', "x < 1", [("pre", 0, 5)]),
        ("<blockquote expandable>q</blockquote>", "q", [("expandable_blockquote", 0, 1)]),
        ("<b>a<i>b</i></b>", "ab", [("bold", 0, 2), ("italic", 1, 1)]),
        ("&copy; &#65;", "&copy; A", []),
    ],
)
def test_html_becomes_entities(source: str, text: str, entities: list[tuple[str, int, int]]) -> None:
    """Only Telegram's tags and references mean anything."""
    got, found = parse_html(source)
    assert (got, marks(found)) == (text, entities)


@pytest.mark.parametrize("source", ["a < b", "<b>x", "x</b>", "<b>x</i>", "<table>x</table>", "<b", "<1>"])
def test_broken_html_is_refused(source: str) -> None:
    """It says "can't parse entities", as bots know it."""
    with pytest.raises(BotError, match="can't parse entities"):
        parse_html(source)


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("*b* _i_ __u__ ~s~ ||p||", "b i u s p", ["bold", "italic", "underline", "strikethrough", "spoiler"]),
        ("*a _b_*", "a b", ["bold", "italic"]),
        ("[x\\]y](https://x.org/\\))", "x]y", ["text_link"]),
        ("`a*b` ```py\nx_y```", "a*b x_y", ["code", "pre"]),
        ("1\\.5 \\*x\\*", "1.5 *x*", []),
        (">quote\n>more\nafter", "quote\nmore\nafter", ["blockquote"]),
    ],
)
def test_markdown_v2_becomes_entities(source: str, text: str, entities: list[str]) -> None:
    """Marks nest, escapes vanish, code keeps what is in it."""
    got, found = MarkdownV2(source).parse()
    assert (got, [one["type"] for one in found]) == (text, entities)


@pytest.mark.parametrize(
    "source", ["1.5", "a-b", "*x", "_x", "`x", "```x", "[x](y", "x]", "(x)", "a|b", "x!", "*a _b* c_"]
)
def test_unescaped_marks_are_refused(source: str) -> None:
    """The mistake that bots make most often."""
    with pytest.raises(BotError, match="can't parse entities"):
        MarkdownV2(source).parse()


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("*b* _i_ `c` [t](http://x.org)", "b i c t", ["bold", "italic", "code", "text_link"]),
        ("```\nx\n```", "\nx\n", ["pre"]),
        ("1.5 a-b \\_x", "1.5 a-b _x", []),
    ],
)
def test_old_markdown_becomes_entities(source: str, text: str, entities: list[str]) -> None:
    """No nesting, nothing reserved but four marks."""
    got, found = parse_old_markdown(source)
    assert (got, [one["type"] for one in found]) == (text, entities)


@pytest.mark.parametrize("source", ["*x", "a_b", "`x", "[x]"])
def test_an_open_mark_of_old_markdown_is_refused(source: str) -> None:
    """The classic trap of snake_case."""
    with pytest.raises(BotError, match="can't parse entities"):
        parse_old_markdown(source)


@given(st.text(alphabet="ab😀 \n*_~|`>[]()\\.<>/bi&;", max_size=40))
def test_whatever_is_parsed_has_entities_within_the_text(source: str) -> None:
    """Either a refusal, or entities that the range check itself would pass."""
    parsers: list[Callable[[], tuple[str, list[dict[str, Any]]]]] = [
        lambda: parse_html(source),
        lambda: MarkdownV2(source).parse(),
        lambda: parse_old_markdown(source),
    ]
    for parse in parsers:
        with contextlib.suppress(BotError):
            text, entities = parse()
            assert marks(checked(text, entities)) == marks(entities)


@given(st.text(max_size=30), st.integers(0, 40), st.integers(1, 40))
def test_trimming_keeps_entities_on_the_same_characters(text: str, offset: int, length: int) -> None:
    """What an entity covers after trimming is what it covered before, without the blanks around the text."""
    offset, length = min(offset, units(text)), min(length, units(text))
    before = {"type": "bold", "offset": offset, "length": length}
    body, moved = trimmed(text, [before])
    wide = text.encode("utf-16-le")
    covered = wide[offset * 2 : (offset + length) * 2]
    assert body == text.strip()
    for entity in moved:
        assert entity["offset"] + entity["length"] <= units(body)
        assert body.encode("utf-16-le")[entity["offset"] * 2 : (entity["offset"] + entity["length"]) * 2] in covered


def test_commands_links_and_mentions_are_found_in_peoples_texts() -> None:
    """Offsets count UTF-16; a slash within a word is no command."""
    assert marks(found_in("😀 /start@bot see https://x.org/a and/or @someone")) == [
        ("bot_command", 3, 10),
        ("url", 18, 15),
        ("mention", 41, 8),
    ]
