"""A person gets the answer without the tags that programs ask models for; documents and sentences about tags stay."""

from __future__ import annotations

import pytest

from relay.core.progress import Progress
from relay.llm.answer_tags import unwrapped
from relay.llm.client import _Growing

CUT = [
    ("<answer>Paris.</answer>", "Paris."),
    ("<final_answer>\nParis.\n</final_answer>", "Paris."),
    ("<analysis>hm</analysis>Paris.", "Paris."),
    ("<plan>hm</plan>\n<answer>Paris.</answer>", "Paris."),
    ("<response><answer>Paris.</answer></response>", "Paris."),
    ("<answer><p>Paris.</p></answer>", "<p>Paris.</p>"),
    ("<scratchpad>hm</scratchpad>\n\nParis.", "Paris."),
    ('<details type="reasoning" done="true"><summary>2 s</summary>hm</details>\nParis.', "Paris."),
    ("<analysis>Paris.", "Paris."),
    ("<final>Paris.", "Paris."),
    ("The capital? Let me see.\n<answer>Paris.</answer>", "The capital? Let me see.\nParis."),
    ("Paris.</answer>", "Paris."),
    ('<passage source="a.md" title="A > B">\nParis.\n</passage>', "Paris."),
    ("analysisThe user asks for it.assistantfinalParis.", "Paris."),
]
KEPT = [
    "<answer><reasoning>because</reasoning></answer>",
    "<result>\n<item>x</item></result>",
    "<answer>42</answer> is the element.",
    "Put it in <answer>42</answer> tags.",
    "Use a tag like this: <answer>42</answer>",
    "Close it with </answer>",
    "a <passage> of a book",
    "<answers>1</answers>",
    "```\n<answer>x</answer>\n```",
    "analysis of Paris: assistantfinal is no word",
    "AnalysisX shows <3",
]


@pytest.mark.parametrize(("text", "shown"), CUT, ids=[row[0][:30] for row in CUT])
def test_tags_around_an_answer_and_notes_before_it_are_taken_off(text: str, shown: str) -> None:
    """Alone, one in the other, behind prose, without a partner; while it is written nothing of the notes is shown."""
    assert unwrapped(text) == shown
    progress = Progress()
    growing = _Growing(progress)
    for letter in text:
        growing.add(letter)
        assert "hm" not in progress.text
    assert progress.text in {shown, text, "", shown.removesuffix("</p>")}


@pytest.mark.parametrize("text", KEPT, ids=[text[:30] for text in KEPT])
def test_documents_and_sentences_about_tags_stay(text: str) -> None:
    """XML with elements of its own, code, and prose that names a tag."""
    assert unwrapped(text) == text


@pytest.mark.parametrize("piece", ["<answer>", "</answer>", "<answer>x</answer>", "\n\n", ". <answer"])
def test_any_amount_of_tags_is_read(piece: str) -> None:
    """A quadratic reading of what a model repeats would hold up everybody."""
    assert len(unwrapped(piece * 20_000)) <= len(piece) * 20_000
