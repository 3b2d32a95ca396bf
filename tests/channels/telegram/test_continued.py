"""Answers that change in place: one that was stopped goes on in its message, another version grows in it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from relay.channels.telegram.continued import continued
from relay.channels.telegram.entities import plan
from relay.core.unfinished_markdown import ended
from tests.channels.scripted_server import PATIENCE
from tests.channels.telegram.scripted_bot_api import group, ok, press, private, sent
from tests.channels.telegram.writing_model import Scene, writing

MARK = "\n\n_(stopped here)_"
BOLD = {"type": "bold", "offset": 0, "length": 4}


def both(beginning: str, more: str) -> list[tuple[str, Any]]:
    """The messages of a stopped answer that goes on, each with its entities."""
    [shown] = plan(ended(beginning) + MARK, 10)
    parts = continued(shown, plan(more, 10))
    return [(part.text, json.loads(part.style or "[]")) for part in parts]


@pytest.mark.parametrize(
    ("beginning", "more", "text"),
    [
        ("Once upon", "a time.", "Once upon a time."),
        ("Once upon", ", he said", "Once upon, he said"),
        ("One.\n\nTwo", "and more.\n\nThree.", "One.\n\nTwo and more.\n\nThree."),
        ("Fine (see", ")", "Fine (see)"),
        ("你好我", "是机器人", "你好我是机器人"),
        ("안녕 하", "세요", "안녕 하세요"),
        ("- one\n- two", "- three", "• one\n• two\n• three"),
        ("1. one", "2. two", "1. one\n2. two"),
        ("Price:", "5 dollars", "Price: 5 dollars"),
        ("\U0001f600", "fun", "\U0001f600 fun"),
        ("one\n\ntwo (stopped", "again)", "one\n\ntwo (stopped again)"),
    ],
)
def test_a_stopped_answer_goes_on_where_it_ended(beginning: str, more: str, text: str) -> None:
    """Without the mark; words are apart, signs and Chinese are not, and an item begins a line."""
    assert [part for part, _ in both(beginning, more)] == [text]


@pytest.mark.parametrize(
    ("beginning", "more", "text", "entities"),
    [
        ("**Bold", "and **more**", "Bold and more", [BOLD, {**BOLD, "offset": 9}]),
        ("\U0001f600 a", "**more**", "\U0001f600 a more", [{**BOLD, "offset": 5}]),
        (
            "```py\nx = 1",
            "```py\ny = 2\n```\nDone.",
            "x = 1\ny = 2\nDone.",
            [{"type": "pre", "offset": 0, "length": 11, "language": "py"}],
        ),
        (
            "```py\nx = 1",
            "```js\ny\n```",
            "x = 1\n\ny",
            [
                {"type": "pre", "offset": 0, "length": 5, "language": "py"},
                {"type": "pre", "offset": 7, "length": 1, "language": "js"},
            ],
        ),
        ("```py\nx = 1", "Done.", "x = 1\n\nDone.", [{"type": "pre", "offset": 0, "length": 5, "language": "py"}]),
    ],
)
def test_the_formatting_goes_on_as_well(beginning: str, more: str, text: str, entities: list[dict[str, Any]]) -> None:
    """Offsets are counted in UTF-16; a block of code that was cut is one again."""
    [(found, style)] = both(beginning, more)
    assert (found, sorted(style, key=lambda one: one["offset"])) == (text, entities)


@pytest.mark.parametrize(
    ("beginning", "more", "lengths"),
    [
        ("a" * 3000, "b" * 1095, [4096]),
        ("a" * 3000, "b" * 1096, [3000, 1096]),
        ("a" * 3000, ("b" * 99 + " ") * 60, [3000, 3999, 1999]),
        ("**a** " * 60, "**b** " * 40, [199]),
        ("**a** " * 60, "**b** " * 41, [119, 81]),
    ],
)
def test_what_has_no_room_goes_into_a_new_message(beginning: str, more: str, lengths: list[int]) -> None:
    """4096 code units and 100 entities are the most; the mark of the stop goes all the same."""
    assert [len(text) for text, _ in both(beginning, more)] == lengths


async def grown(scene: Scene, count: int) -> str:
    """The text of the latest edit, as soon as there are so many."""
    return str((await scene.api.until("editMessageText", count))[-1]["text"])


async def history(scene: Scene, update_id: int) -> list[tuple[str, str]]:
    await scene.api.bring(private(update_id, "/export json"))
    file = (await scene.api.until("sendDocument"))[-1]["document"]
    return [(one["role"], one["text"]) for one in json.loads(file[1])]


async def test_continue_goes_on_in_the_same_message(tmp_path: Path) -> None:
    """It grows there with the beginning before it; the history has the whole as one answer."""
    async with writing(tmp_path) as scene:
        question = private(1, "a story")
        await scene.api.bring(question)
        scene.model.write("Once **upon**")
        await scene.drafts()
        await scene.api.bring(private(2, "/stop"))
        await scene.until_left()
        [first] = await scene.api.until("sendMessage")
        scene.model.asked.clear()
        pressed = first["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
        await scene.api.bring(press(3, pressed, question))
        await asyncio.wait_for(scene.model.asked.wait(), PATIENCE)
        scene.model.write("a time")
        assert await grown(scene, 1) == "Once upon a time"
        scene.model.write(" there was.")
        scene.model.finish()
        edits = await scene.api.until("editMessageText", 2)
        assert (edits[-1]["text"], edits[-1]["message_id"]) == ("Once upon a time there was.", 77)
        assert len(scene.api.made("sendMessage")) == 1
        assert (await history(scene, 4))[:2] == [("user", "a story"), ("assistant", "Once upon a time there was.")]


async def test_another_version_that_fails_gives_the_old_text_back(tmp_path: Path) -> None:
    """It grows in the message of the answer; a refusal of the model is said in a message of its own."""
    ids = [ok(sent(-1, "", 77)), ok(sent(-1, "", 78))]
    async with writing(tmp_path, {"sendMessage": ids}) as scene:
        question = group(1, "@relay_test_bot what is a fox?")
        await scene.api.bring(question)
        scene.model.write("An **animal**.")
        scene.model.finish()
        [first] = await scene.api.until("sendMessage")
        scene.model.asked.clear()
        await scene.api.bring(press(2, first["reply_markup"]["inline_keyboard"][0][0]["callback_data"], question))
        await asyncio.wait_for(scene.model.asked.wait(), PATIENCE)
        scene.model.write("A red")
        assert await grown(scene, 1) == "A red"
        error = {"error": "refused", "kind": "refused"}
        scene.model.pieces.put_nowait(json.dumps(error).encode() + b"\n")
        scene.model.pieces.put_nowait(None)
        edits = await scene.api.until("editMessageText", 2)
        await scene.api.until("sendMessage", 2)
        assert (edits[-1]["text"], edits[-1]["entities"]) == (first["text"], first["entities"])
        keys = [key["callback_data"].partition(":")[0] for key in edits[-1]["reply_markup"]["inline_keyboard"][0]]
        assert keys == ["again", "shorter", "longer"]
        scene.model.asked.clear()
        await scene.api.bring(press(3, edits[-1]["reply_markup"]["inline_keyboard"][0][0]["callback_data"], question))
        await asyncio.wait_for(scene.model.asked.wait(), PATIENCE)
        scene.model.write("Red.")
        scene.model.finish()
        assert await grown(scene, 3) == "Red."
