from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.channels.telegram.entities import MAX_ENTITIES, MAX_UNITS, plan
from relay.channels.telegram.rendering import render
from relay.core.channel import history_text
from relay.core.cutting import utf16_length
from relay.core.parts import PlannedPart
from tests.english import english
from tests.examples import examples

NUMBER = re.compile(r"\n\n\(\d+/\d+\)\Z")
WORDS = st.sampled_from(
    [
        "word",
        "**bold**",
        "`code`",
        "*it*",
        "[link](https://a.b)",
        "\U0001f98a",
        "\u05e9\u05dc\u05d5\u05dd",
        "a<b",
        "\n\n",
        "\n",
        "- item\n",
        "# Head\n",
        "> quote\n",
        "||spoiler||",
        "sentence ends. ",
        "x" * 700,
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "e\u0301",
    ]
)
CODE = st.text(st.sampled_from("ab \n{}<>*_"), max_size=300).map(lambda text: f"\n```py\n{text}\n```\n")
DOCUMENTS = st.lists(st.one_of(WORDS, CODE), max_size=60).flatmap(
    lambda pieces: st.integers(1, 12).map(lambda times: " ".join(pieces) * times)
)

CUT = f"\n\n[{english('telegram-cut')}]"
EMPTY = f"({english('telegram-empty-answer')})"


def entities(part: PlannedPart) -> list[dict[str, Any]]:
    return json.loads(part.style) if part.style else []


def covered(part: PlannedPart, entity: dict[str, Any]) -> str:
    data = part.text.encode("utf-16-le")
    start = entity["offset"] * 2
    return data[start : start + entity["length"] * 2].decode("utf-16-le")


@examples(3)
@given(DOCUMENTS)
def test_every_part_is_a_message_that_telegram_takes(markdown: str) -> None:
    """Length, number of entities, and offsets that never split a character, whatever the text."""
    for part in plan(markdown, 40):
        assert part.text.strip()
        assert utf16_length(part.text) <= MAX_UNITS
        assert len(entities(part)) <= MAX_ENTITIES
        for entity in entities(part):
            assert 0 <= entity["offset"] < entity["offset"] + entity["length"] <= utf16_length(part.text)
            assert covered(part, entity)


@examples(3)
@given(DOCUMENTS)
def test_the_parts_joined_are_the_whole(markdown: str) -> None:
    """Nothing is lost at a cut, and nothing comes twice."""
    parts = plan(markdown, 40)
    whole = render(markdown).text
    if whole.strip():
        assert history_text(parts) == whole
    assert all(NUMBER.sub("", part.text).strip() == part.history_text.strip() for part in parts)


def test_a_code_block_that_fits_into_a_message_is_never_broken() -> None:
    """It goes into the next message as a whole."""
    code = "\n".join(f"line {number}" for number in range(300))
    parts = plan("intro " * 500 + f"\n\n```python\n{code}\n```\n\nthe end", 10)
    blocks = [(entity, part) for part in parts for entity in entities(part) if entity["type"] == "pre"]
    assert [(covered(part, entity), entity["language"]) for entity, part in blocks] == [(code, "python")]


def test_a_longer_code_block_goes_on_in_the_same_language() -> None:
    """It is cut between lines, keeps its indentation, and each piece is code by itself."""
    lines = [f"{'    ' * (number % 4)}call({number})" for number in range(900)]
    parts = plan("```python\n" + "\n".join(lines) + "\n```", 10)
    pieces = [covered(part, entity) for part in parts for entity in entities(part)]
    assert len(parts) > 2
    assert {entity["language"] for part in parts for entity in entities(part)} == {"python"}
    assert [line for piece in pieces for line in piece.split("\n")] == lines


def test_one_endless_line_of_code_is_cut_all_the_same() -> None:
    """No line end to cut at is no reason to hang."""
    parts = plan("```\n" + "x" * 20_000 + "\n```", 10)
    assert "".join(part.history_text for part in parts) == "x" * 20_000
    assert min(utf16_length(part.text) for part in parts) > MAX_UNITS // 2


def test_a_cut_prefers_the_end_of_a_paragraph() -> None:
    """Parts begin and end where a reader would pause."""
    paragraphs = [f"{number} " + "word " * 150 for number in range(12)]
    for part in plan("\n\n".join(paragraphs), 10):
        assert part.text[0].isdigit()
        assert part.history_text.rstrip().endswith("word")


def test_more_entities_than_are_shown_make_more_messages() -> None:
    """The hundred and first would be plain; it goes into the next message instead."""
    parts = plan(" ".join(f"**b{number}**" for number in range(300)), 10)
    assert [len(entities(part)) for part in parts] == [100, 100, 100]


def test_the_rest_beyond_the_last_message_is_cut_with_a_word() -> None:
    """The ceiling holds, the notice is part of what the person read."""
    parts = plan("word " * 20_000, 3)
    assert len(parts) == 3
    assert parts[-1].text.endswith(f"{CUT}\n\n(3/3)")
    assert history_text(parts).endswith(CUT)
    assert utf16_length(parts[-1].text) <= MAX_UNITS


@pytest.mark.parametrize("markdown", ["", "  \n ", "\x00", "\u200b", "\u200b\u2060 \ufeff\n"])
def test_nothing_becomes_a_notice(markdown: str) -> None:
    """An empty message cannot be sent."""
    assert [part.text for part in plan(markdown, 3)] == [EMPTY]


@pytest.mark.parametrize("blanks", [" " * 9000, "\n" * 9000, " " * 4096])
def test_blanks_that_fill_a_message_are_not_sent(blanks: str) -> None:
    """Telegram refuses a message without text."""
    assert [part.text for part in plan(f"```\n{blanks}x\n```", 5)] == ["x"]


def test_what_shows_nothing_when_formatted_is_sent_as_it_was_written() -> None:
    """Better the comment than nothing."""
    assert [part.text for part in plan("<!-- nothing -->", 3)] == ["<!-- nothing -->"]


def test_a_family_of_emoji_is_not_torn_apart() -> None:
    """A hard cut falls between characters as people see them."""
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    parts = plan(family * 1000, 10)
    assert {len(part.history_text) % len(family) for part in parts} == {0}


def test_a_heading_stays_with_what_follows_it() -> None:
    """A part never ends with the title of the next one."""
    first, second = plan(f"{'word ' * 810}\n\n## Evening\n\n{'more ' * 100}", 5)
    assert "Evening" not in first.text
    assert second.text.startswith("Evening")
