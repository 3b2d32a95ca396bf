"""A gallery of answers: what models write, and the text and entities that Telegram gets for it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.channels.telegram.entities import plan
from relay.channels.telegram.rendering import render
from tests.examples import examples

GALLERY = json.loads((Path(__file__).parent / "gallery" / "answers.json").read_text("utf-8"))
WORD = re.compile("word|other|third|\u8bf7\u770b")
SIGNS = st.sampled_from(
    [
        "**",
        "*",
        "_",
        "`",
        "~~",
        "==",
        "||",
        "$",
        "\n",
        "\n\n",
        "- ",
        "# ",
        "> ",
        "<b>",
        "</b>",
        "<i>",
        "</i>",
        "| ",
        "(",
    ]
)
TEXTS = st.lists(SIGNS | st.sampled_from(["word", "other ", "\u8bf7\u770b", "third. ", " "]), max_size=40).map("".join)


@pytest.mark.parametrize("answer", GALLERY, ids=lambda answer: answer["name"])
def test_an_answer_is_shown_as_in_the_gallery(answer: dict[str, Any]) -> None:
    """Text and entities of each part, as they were agreed on."""
    shown = [{"text": part.text, "entities": json.loads(part.style or "[]")} for part in plan(answer["markdown"], 10)]
    assert shown == answer["parts"]


@examples(4)
@given(TEXTS)
def test_spans_are_nested_or_disjoint_and_no_word_is_lost(markdown: str) -> None:
    """Telegram refuses or moves anything else; code contains no other span."""
    styled = render(markdown)
    assert WORD.findall(styled.text) == WORD.findall(markdown)
    assert list(styled.spans) == sorted(styled.spans, key=lambda span: (span.start, -span.end))
    for index, outer in enumerate(styled.spans):
        for inner in styled.spans[index + 1 :]:
            assert inner.start >= outer.end or (inner.end <= outer.end and outer.type not in {"code", "pre"})
