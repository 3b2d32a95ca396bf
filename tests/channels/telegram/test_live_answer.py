"""An answer while it is written: drafts in private chats, and its end at the person's request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay.core.unfinished_markdown import closed, ended
from tests.channels.scripted_server import PATIENCE
from tests.channels.telegram.scripted_bot_api import private, refused
from tests.channels.telegram.writing_model import writing


async def test_a_draft_shows_what_is_written_so_far_and_the_message_follows(tmp_path: Path) -> None:
    """Formatted like the message, without the model's reasoning; the id stays, so that the draft grows in place."""
    async with writing(tmp_path) as scene:
        await scene.api.bring(private(1, "hello"))
        scene.model.write("<think>what do they want</think>A **bold")
        first = (await scene.drafts())[-1]
        assert (first["text"], first["chat_id"], first["can_stop"]) == ("A bold", 700000001, True)
        assert [entity["type"] for entity in first["entities"]] == ["bold"]
        scene.model.write("** start and more")
        second = (await scene.drafts(2))[-1]
        assert (second["text"], second["draft_id"]) == ("A bold start and more", first["draft_id"])
        scene.model.finish()
        assert await scene.telegram.texts(1) == ["A bold start and more"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a **b", "a **b**"),
        ("a **", "a "),
        ("a **b** c", "a **b** c"),
        ("a `b", "a `b`"),
        ("a **b `c", "a **b `c`**"),
        ("see [the page](https://exam", "see the page"),
        ("see [the pa", "see the pa"),
        ("[a](https://a.example) b", "[a](https://a.example) b"),
        ("x\n\n```python\na = b**c", "x\n\n```python\na = b**c"),
        ("2 ** 3\n\nnext", "2 ** 3\n\nnext"),
    ],
)
def test_what_is_open_at_the_end_is_closed(written: str, shown: str) -> None:
    """A draft shows no sign of Markdown that is not finished yet."""
    assert closed(written) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("x\n\n```python\na = 1", "x\n\n```python\na = 1\n```"),
        ("~~~~\n```\nstill", "~~~~\n```\nstill\n~~~~"),
        ("```\na\n```\n**b", "```\na\n```\n**b**"),
        ("- list\n  ```js\n  a", "- list\n  ```js\n  a\n```"),
        ("no `` ``` `` code", "no `` ``` `` code"),
        ("```\na\n``` no end", "```\na\n``` no end\n```"),
    ],
)
def test_other_text_can_follow_what_is_cut_off(written: str, shown: str) -> None:
    """The mark of a stopped answer is no code, wherever the answer was stopped."""
    assert ended(written) == shown


async def test_reasoning_that_turns_out_to_be_some_is_taken_back(tmp_path: Path) -> None:
    """A closing tag alone shows that what came before it was no answer."""
    async with writing(tmp_path) as scene:
        await scene.api.bring(private(1, "hello"))
        scene.model.write("They want a greeting. ")
        await scene.drafts()
        scene.model.write("</think>\n", "Good ", "day. ")
        while not (drafts := await scene.drafts(2))[-1]["text"].startswith("Good"):
            await scene.drafts(len(drafts) + 1)
        scene.model.finish()
        assert await scene.telegram.texts(1) == ["Good day."]


async def test_a_sign_of_markdown_without_text_is_not_shown(tmp_path: Path) -> None:
    """Models often write the sign alone first; alone it would be shown as an empty answer."""
    async with writing(tmp_path) as scene:
        await scene.api.bring(private(1, "hello"))
        scene.model.write("**")
        await scene.api.until("sendChatAction", 1)
        scene.model.write("Good day")
        assert (await scene.drafts())[0]["text"] == "Good day"
        scene.model.write("**")
        scene.model.finish()
        assert await scene.telegram.texts(1) == ["Good day"]


@pytest.mark.parametrize("setting", ["off", "group"])
async def test_no_draft_is_sent_where_none_belongs(tmp_path: Path, setting: str) -> None:
    """Telegram has drafts in private chats only."""
    changes: dict[str, Any] = {"telegram_streaming": "off"} if setting == "off" else {}
    async with writing(tmp_path, **changes) as scene:
        update = private(1, "hello")
        if setting == "group":
            message = update["message"] | {
                "chat": {"id": -5, "type": "group", "title": "G"},
                "text": "@relay_test_bot hello",
            }
            update = update | {"message": message}
        await scene.api.bring(update)
        scene.model.write("Some ", "answer")
        scene.model.finish()
        assert await scene.telegram.texts(1) == ["Some answer"]
        assert scene.api.made("sendMessageDraft") == []


@pytest.mark.parametrize("reply", [refused(429, "Too Many Requests", retry_after=300), refused(400, "METHOD_INVALID")])
async def test_a_refused_draft_neither_delays_nor_loses_the_answer(tmp_path: Path, reply: Any) -> None:
    """A flood wait on it stops drafts and the typing indicator of this chat, nothing else."""
    async with writing(tmp_path, {"sendMessageDraft": [reply]}) as scene:
        await scene.api.bring(private(1, "hello"))
        scene.model.write("Some ")
        await scene.drafts()
        scene.model.write("answer")
        scene.model.finish()
        assert await scene.telegram.texts(1) == ["Some answer"]
        assert len(scene.api.made("sendMessageDraft")) == 1


async def test_a_draft_under_way_arrives_before_the_message(tmp_path: Path) -> None:
    """One that came after it would stay above it as a ghost."""
    late = asyncio.Event()
    async with writing(tmp_path, {"sendMessageDraft": [late]}) as scene:
        await scene.api.bring(private(1, "hello"))
        scene.model.write("Some answer")
        await scene.drafts()
        scene.model.finish()
        late.set()
        assert await scene.telegram.texts(1) == ["Some answer"]
        assert [call.method for call in scene.api.calls if call.method.startswith("sendM")] == [
            "sendMessageDraft",
            "sendMessage",
        ]


def stop_command(number: int) -> dict[str, Any]:
    return private(number, "/stop")


def stop_button(number: int) -> dict[str, Any]:
    chat = {"id": 700000001, "type": "private", "first_name": "Ada"}
    return {"update_id": number, "stopped_message_generation": {"chat": chat, "draft_id": 1}}


@pytest.mark.parametrize("stop", [stop_command, stop_button])
async def test_a_person_stops_an_answer_and_keeps_what_was_written(
    tmp_path: Path, stop: Callable[[int], dict[str, Any]]
) -> None:
    """The model's work ends at once; the part that was written is sent, marked, and is context of the next question."""
    async with writing(tmp_path) as scene:
        await scene.api.bring(private(1, "tell me a story"))
        scene.model.write("Once upon a time")
        await scene.drafts()
        await scene.api.bring(stop(2))
        await scene.until_left()
        [text] = await scene.telegram.texts(1)
        assert text.startswith("Once upon a time\n\n(stopped here")
        scene.model.asked.clear()
        await scene.api.bring(private(3, "continue"))
        await asyncio.wait_for(scene.model.asked.wait(), PATIENCE)
        told = [message["content"] for message in scene.model.bodies[-1]["messages"][1:]]
        assert told[0] == "tell me a story"
        assert told[1].startswith("Once upon a time")
        assert told[-1] == "continue"
        scene.model.finish()


async def test_an_answer_that_is_stopped_before_its_first_word_stays_unsaid(tmp_path: Path) -> None:
    """There is nothing to send; a second stop has nothing to end."""
    async with writing(tmp_path) as scene:
        await scene.api.bring(private(1, "tell me a story"))
        await asyncio.wait_for(scene.model.asked.wait(), PATIENCE)
        await scene.api.bring(stop_command(2))
        await scene.until_left()
        await scene.api.bring(private(3, "/stop"))
        assert await scene.telegram.texts(1) == ["I am not writing anything now."]


@pytest.mark.parametrize(
    ("words", "counts", "cost"),
    [
        ("Once upon a time", {"stopped": True, "cost_usd": 0.0123, "estimated": False}, (0.0123, 0.0)),
        ("Once upon a time", {"stopped": True, "cost_usd": 0.0123, "estimated": True}, (0.0123, 0.0123)),
        ("", {"stopped": True, "cost_usd": 0.0123, "estimated": True}, (0.0123, 0.0123)),
        ("Once upon a time", None, (0.0, 0.0)),
    ],
)
async def test_a_stopped_answer_is_charged(
    tmp_path: Path, words: str, counts: dict[str, Any] | None, cost: tuple[float, float]
) -> None:
    """In the status and to its person, also one without a word; what the source had not counted is marked."""
    async with writing(tmp_path) as scene:
        scene.model.bill = counts and {"prompt_eval_count": 50, "eval_count": 8, "x_relay": counts}
        await scene.api.bring(private(1, "tell me a story"))
        await asyncio.wait_for(scene.model.asked.wait(), PATIENCE)
        if words:
            scene.model.write(words)
            await scene.drafts()
        await scene.api.bring(stop_command(2))
        await scene.until_left()
        await scene.api.bring(private(3, "/usage"))
        assert f"${cost[0]:.4f}" in (await scene.telegram.texts(2 if words else 1))[-1]
        status = (await scene.telegram.status())["cost"]
        assert (status["model_usd"], status["estimated_usd"]) == cost
        assert status["prompt_tokens"] > 0


async def test_stop_without_an_answer_is_answered(tmp_path: Path) -> None:
    """The person sees that the command arrived."""
    async with writing(tmp_path) as scene:
        await scene.api.bring(private(1, "/stop"))
        assert await scene.telegram.texts(1) == ["I am not writing anything now."]


async def test_a_forwarded_stop_stops_nothing(tmp_path: Path) -> None:
    """It is another person's."""
    forward = {"type": "hidden_user", "date": 1, "sender_user_name": "B"}
    async with writing(tmp_path) as scene:
        await scene.api.bring(private(1, "tell me a story"))
        scene.model.write("Once upon")
        await scene.drafts()
        update = private(2, "/stop")
        await scene.api.bring(update | {"message": update["message"] | {"forward_origin": forward}})
        scene.model.write(" a time.")
        await scene.drafts(2)
        assert not scene.model.gone.is_set()
        scene.model.finish()
        scene.model.finish()
