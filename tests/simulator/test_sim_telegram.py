"""The stand-in for the Bot API, reached by python-telegram-bot and by plain HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, MessageEntity, ReplyParameters
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, NetworkError, RetryAfter

from relay.channels.telegram.settings import SIMULATED_BOT_TOKEN
from tests.simulator.running_simulator import ADA, BEN, RunningSimulator


@pytest.fixture
async def bot(sim: RunningSimulator) -> AsyncIterator[Bot]:
    """The real client, pointed at the simulator, and a person who has started the bot."""
    sim.write("/start")
    async with Bot(SIMULATED_BOT_TOKEN, base_url=f"{sim.base}/bot", base_file_url=f"{sim.base}/file/bot") as one:
        yield one


async def test_the_bot_knows_itself(bot: Bot) -> None:
    """The id is the number in the token."""
    assert (bot.id, bot.username) == (5150000000, "simulated_relay_bot")


async def test_a_message_arrives_with_its_entities(sim: RunningSimulator, bot: Bot) -> None:
    """Offsets count UTF-16 units; the person sees what was sent."""
    entities = [MessageEntity("bold", 3, 4), MessageEntity("text_link", 0, 2, url="https://example.org")]
    sent = await bot.send_message(ADA, "😀 bold", entities=entities)
    assert (sent.text, len(sent.entities), sent.chat.first_name) == ("😀 bold", 2, "Ada")
    bubble = sim.bubbles("telegram", ADA)[0]
    assert bubble["entities"][0] == {"type": "bold", "offset": 3, "length": 4}
    assert bubble["message_id"] == sent.message_id


async def test_blanks_around_a_text_are_trimmed(sim: RunningSimulator, bot: Bot) -> None:
    """As Telegram does, with the entities moved along."""
    sent = await bot.send_message(ADA, "\n  hi there \n", entities=[MessageEntity("bold", 0, 12)])
    assert sent.text == "hi there"
    assert (sent.entities[0].offset, sent.entities[0].length) == (0, 8)


@pytest.mark.parametrize(
    ("entity", "expected"),
    [
        ({"type": "bold", "offset": 0, "length": 99}, "ends after the end"),
        ({"type": "bold", "offset": -1, "length": 2}, "incorrect offset"),
        ({"type": "bold", "offset": 0, "length": 0}, "incorrect offset"),
        ({"type": "bold", "offset": 1, "length": 2}, "in two"),
        ({"type": "shiny", "offset": 0, "length": 2}, "unsupported type"),
        ({"type": "bold", "offset": "0", "length": 2}, "must be integers"),
        ({"type": "text_link", "offset": 0, "length": 2}, "needs a url"),
        ("bold", "Array of MessageEntity"),
    ],
)
def test_wrong_entities_are_refused(sim: RunningSimulator, entity: Any, expected: str) -> None:
    """400, and nothing is shown."""
    sim.write("/start")
    answer = sim.bot("sendMessage", chat_id=ADA, text="😀 text", entities=[entity])
    assert answer["error_code"] == 400
    assert expected in answer["description"]
    assert sim.bubbles("telegram", ADA) == []


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"chat_id": ADA}, "text is empty"),
        ({"chat_id": ADA, "text": " \n "}, "text is empty"),
        ({"chat_id": ADA, "text": "x" * 4097}, "too long"),
        ({"text": "x"}, "chat_id is empty"),
        ({"chat_id": "somebody", "text": "x"}, "chat not found"),
        ({"chat_id": 42, "text": "x"}, "chat not found"),
        ({"chat_id": ADA, "text": "x", "parse_mode": "HTML"}, "unsupported parse_mode"),
        ({"chat_id": ADA, "text": "x", "entities": "[{]"}, "can't parse entities JSON"),
        ({"chat_id": ADA, "text": ["x"]}, "a string is expected"),
        ({"chat_id": ADA, "text": "x", "reply_parameters": {"message_id": 1}}, "replied not found"),
        ({"chat_id": ADA, "text": "x", "message_thread_id": 7}, "thread not found"),
        ({"chat_id": ADA, "text": "x", "reply_markup": "[]"}, "reply markup"),
        (
            {
                "chat_id": ADA,
                "text": "x",
                "reply_markup": {"inline_keyboard": [[{"text": "a", "callback_data": "é" * 33}]]},
            },
            "BUTTON_DATA_INVALID",
        ),
    ],
)
def test_what_telegram_would_refuse_is_refused(
    sim: RunningSimulator, parameters: dict[str, Any], expected: str
) -> None:
    """400 with the words that clients look for, and nothing is shown."""
    sim.write("/start")
    answer = sim.bot("sendMessage", **parameters)
    assert (answer["ok"], answer["error_code"]) == (False, 400)
    assert expected in answer["description"]
    assert sim.bubbles("telegram", ADA) == []


def test_the_limit_of_a_text_counts_characters_after_trimming(sim: RunningSimulator) -> None:
    """4,096 emoji with blanks around them still fit."""
    sim.write("/start")
    assert sim.bot("sendMessage", chat_id=ADA, text=" " + "😀" * 4096 + " ")["ok"]


def test_the_reader_sees_a_hundred_entities(sim: RunningSimulator) -> None:
    """More are dropped silently, as by Telegram."""
    sim.write("/start")
    entities = [{"type": "bold", "offset": number * 2, "length": 1} for number in range(120)]
    sim.ok("sendMessage", chat_id=ADA, text="x " * 120, entities=entities)
    assert len(sim.bubbles("telegram", ADA)[0]["entities"]) == 100


@pytest.mark.parametrize(
    "options",
    [
        {"data": {"chat_id": str(ADA), "text": "hé"}},
        {"json": {"chat_id": ADA, "text": "hé"}},
        {"json": {"chat_id": str(ADA), "text": "hé"}},
        {"files": {"chat_id": (None, str(ADA)), "text": (None, "hé")}},
        {"params": {"chat_id": ADA, "text": "hé"}},
    ],
)
def test_every_form_of_body_is_understood(sim: RunningSimulator, options: dict[str, Any]) -> None:
    """Form, JSON, multipart, query; numbers as text."""
    sim.write("/start")
    assert sim.http.post(f"/bot{SIMULATED_BOT_TOKEN}/SENDmessage", **options).json()["result"]["text"] == "hé"


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"x"', b"\xff\xff", b'{"chat_id": 700000001, "text": "\\ud83d"}'])
def test_a_broken_json_body_is_a_bad_request(sim: RunningSimulator, body: bytes) -> None:
    """400 in Telegram's shape, never a traceback."""
    sim.write("/start")
    headers = {"Content-Type": "application/json"}
    answer = sim.http.post(f"/bot{SIMULATED_BOT_TOKEN}/sendMessage", content=body, headers=headers)
    assert (answer.status_code, answer.json()["ok"]) == (400, False)


async def test_a_wrong_token_is_unauthorized(sim: RunningSimulator) -> None:
    """401, which the client takes for an invalid token."""
    wrong = Bot("1:wrong", base_url=f"{sim.base}/bot")
    with pytest.raises(InvalidToken):
        await wrong.initialize()
    await wrong.shutdown()
    assert sim.http.get("/bot1:wrong/getMe").json() == {"ok": False, "error_code": 401, "description": "Unauthorized"}


def test_an_unknown_method_is_not_not_found_as_404(sim: RunningSimulator) -> None:
    """As on a server that is older than the bot."""
    assert sim.bot("sendRichMessage", chat_id=ADA)["error_code"] == 404


async def test_a_stranger_cannot_be_written_to(sim: RunningSimulator, bot: Bot) -> None:
    """A bot may only answer."""
    with pytest.raises(Forbidden, match="initiate"):
        await bot.send_message(BEN, "hi")


async def test_who_blocked_the_bot_gets_nothing_until_they_unblock(sim: RunningSimulator, bot: Bot) -> None:
    """403 meanwhile, and an update for each step."""
    sim.sim("POST", "telegram/block", json={"chat_id": ADA})
    with pytest.raises(Forbidden, match="blocked by the user"):
        await bot.send_message(ADA, "hi")
    sim.sim("POST", "telegram/unblock", json={"chat_id": ADA})
    await bot.send_message(ADA, "hi again")
    changes = [update.my_chat_member for update in await bot.get_updates() if update.my_chat_member]
    assert [change.new_chat_member.status for change in changes] == ["kicked", "member"]


async def test_an_edit_changes_the_bubble(sim: RunningSimulator, bot: Bot) -> None:
    """Same message, new text, marked as edited; the same text again is refused."""
    sent = await bot.send_message(ADA, "draft")
    await bot.edit_message_text("final", ADA, sent.message_id)
    bubble = sim.bubbles("telegram", ADA)[0]
    assert (bubble["text"], bubble["edited"], bubble["message_id"]) == ("final", True, sent.message_id)
    with pytest.raises(BadRequest, match=r"(?i)message is not modified"):
        await bot.edit_message_text("final", ADA, sent.message_id)


async def test_only_own_and_existing_messages_can_be_edited(sim: RunningSimulator, bot: Bot) -> None:
    """A person's message cannot, a missing one cannot."""
    hers = sim.write("mine")["message_id"]
    with pytest.raises(BadRequest, match="can't be edited"):
        await bot.edit_message_text("x", ADA, hers)
    with pytest.raises(BadRequest, match="to edit not found"):
        await bot.edit_message_text("x", ADA, 1)


async def test_a_deleted_message_leaves_the_chat(sim: RunningSimulator, bot: Bot) -> None:
    """And cannot be deleted twice."""
    sent = await bot.send_message(ADA, "oops")
    assert await bot.delete_message(ADA, sent.message_id)
    assert sim.bubbles("telegram", ADA) == []
    with pytest.raises(BadRequest, match="to delete not found"):
        await bot.delete_message(ADA, sent.message_id)


async def test_a_reply_quotes_its_question(sim: RunningSimulator, bot: Bot) -> None:
    """The bubble knows what it answers; a missing question is tolerated when asked for."""
    asked = sim.write("why?")["message_id"]
    sent = await bot.send_message(ADA, "because", reply_parameters=ReplyParameters(asked))
    assert sent.reply_to_message is not None
    assert sent.reply_to_message.text == "why?"
    loose = ReplyParameters(1, allow_sending_without_reply=True)
    assert (await bot.send_message(ADA, "anyway", reply_parameters=loose)).reply_to_message is None
    assert [bubble["reply_to"] for bubble in sim.bubbles("telegram", ADA)] == [asked, None]


async def test_typing_shows_until_the_message_comes(sim: RunningSimulator, bot: Bot) -> None:
    """A message of the bot ends its typing."""
    query = {"platform": "telegram", "person": "Ada"}
    await bot.send_chat_action(ADA, "typing")
    assert sim.sim("GET", "transcript", params=query)["typing"] is True
    await bot.send_message(ADA, "done")
    assert sim.sim("GET", "transcript", params=query)["typing"] is False
    with pytest.raises(BadRequest, match=r"(?i)wrong parameter action"):
        await bot.send_chat_action(ADA, "dancing")


async def test_a_draft_shows_until_the_message_comes_and_can_be_stopped(sim: RunningSimulator, bot: Bot) -> None:
    """Private chats only; Stop tells the bot."""
    query = {"platform": "telegram", "person": "Ada"}
    await bot.send_message_draft(ADA, 7, "Let me", api_kwargs={"can_stop": True})
    assert sim.sim("GET", "transcript", params=query)["draft"]["text"] == "Let me"
    sim.sim("POST", "telegram/stop", json={"chat_id": ADA})
    assert sim.sim("GET", "transcript", params=query)["draft"] is None
    assert "stopped_message_generation" in sim.ok("getUpdates")[-1]
    assert sim.bot("sendMessageDraft", chat_id=ADA, draft_id=0, text="x")["error_code"] == 400
    assert sim.bot("sendMessageDraft", chat_id=-5, draft_id=1, text="x")["error_code"] == 400


async def test_the_command_menu_is_kept_by_language(sim: RunningSimulator, bot: Bot) -> None:
    """What was set is read again, and shown to people."""
    await bot.set_my_commands([("help", "What I can do")])
    await bot.set_my_commands([("help", "Was ich kann")], language_code="de")
    assert [one.description for one in await bot.get_my_commands(language_code="de")] == ["Was ich kann"]
    assert sim.sim("GET", "people")["bot"]["commands"] == [{"command": "help", "description": "What I can do"}]
    with pytest.raises(BadRequest, match=r"(?i)bot_command_invalid"):
        await bot.set_my_commands([("Help!", "x")])
    await bot.delete_my_commands()
    assert await bot.get_my_commands() == ()


async def test_a_button_press_comes_as_a_query_that_is_answered_once(sim: RunningSimulator, bot: Bot) -> None:
    """An unknown or used query id is refused."""
    markup = InlineKeyboardMarkup([[InlineKeyboardButton("More", callback_data="more")]])
    sent = await bot.send_message(ADA, "Shall I go on?", reply_markup=markup)
    press = {"chat_id": ADA, "message_id": sent.message_id}
    sim.sim("POST", "telegram/press", json={**press, "data": "more"})
    assert sim.http.post("/sim/telegram/press", json={**press, "data": "less"}).status_code == 404
    query = (await bot.get_updates())[-1].callback_query
    assert query is not None
    assert query.data == "more"
    assert await bot.answer_callback_query(query.id)
    with pytest.raises(BadRequest, match=r"(?i)query is too old"):
        await bot.answer_callback_query(query.id)


async def test_a_group_moves_to_a_new_address(sim: RunningSimulator, bot: Bot) -> None:
    """The error carries migrate_to_chat_id; the new chat takes messages."""
    sim.write("hello all", -77, **{"from": ADA})
    await bot.send_message(-77, "hello")
    new = sim.sim("POST", "telegram/migrate", json={"chat_id": -77})["new_chat_id"]
    with pytest.raises(ChatMigrated) as caught:
        await bot.send_message(-77, "still here?")
    assert caught.value.new_chat_id == new
    assert (await bot.send_message(new, "moved")).chat.type == "supergroup"


async def test_a_chat_can_be_described(bot: Bot) -> None:
    """Known ones only."""
    assert (await bot.get_chat(ADA)).username == "ada"
    with pytest.raises(BadRequest, match=r"(?i)chat not found"):
        await bot.get_chat(12345)


async def test_a_photo_can_be_downloaded(sim: RunningSimulator, bot: Bot) -> None:
    """Media without text; the file is a small picture."""
    sim.write("", photo=True, caption="look")
    message = (await bot.get_updates())[-1].message
    assert message is not None
    assert (message.caption, message.text) == ("look", None)
    file = await bot.get_file(message.photo[-1].file_id)
    assert (await file.download_as_bytearray()).startswith(b"\x89PNG")


async def test_a_cut_connection_may_leave_the_message_there(sim: RunningSimulator, bot: Bot) -> None:
    """Accepted, then no answer: exactly what makes an outcome unknown."""
    sim.fault(target="telegram", method="sendMessage", effect="cut", when="after", count=1)
    with pytest.raises(NetworkError):
        await bot.send_message(ADA, "here")
    assert [bubble["text"] for bubble in sim.bubbles("telegram", ADA)] == ["here"]


async def test_a_second_message_within_a_second_gets_a_429(
    sim: RunningSimulator, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 with retry_after, in the body and as a header; the message is not there.

    On a machine that takes a second for a message the next one is allowed, so the bot goes on until it is not.
    """
    monkeypatch.setenv("PTB_TIMEDELTA", "true")  # else the client warns of its own future
    sim.sim("POST", "options", json={"telegram_limits": True})
    taken: list[str] = []

    async def hurry() -> None:
        for text in map(str, range(20)):
            await bot.send_message(ADA, text)
            taken.append(text)

    with pytest.raises(RetryAfter):
        await hurry()
    assert [bubble["text"] for bubble in sim.bubbles("telegram", ADA)] == taken != []
    assert sim.sim("GET", "stats")["too_many_requests"] == 1


def test_a_channel_post_has_no_author(sim: RunningSimulator) -> None:
    """And is an update of its own kind."""
    sim.write("news", -900, kind="channel_post")
    post = sim.ok("getUpdates")[-1]["channel_post"]
    assert post["chat"]["type"] == "channel"
    assert "from" not in post
    assert json.dumps(post)


async def test_a_file_of_the_bot_can_be_opened(sim: RunningSimulator, bot: Bot) -> None:
    """The bubble names it; the page and tests read its content; an empty one is refused."""
    sent = await bot.send_document(ADA, b"x = 1\n", filename="code.py", caption="Here")
    bubble = sim.bubbles("telegram", ADA)[-1]
    assert (bubble["kind"], bubble["text"], bubble["message_id"]) == ("document", "Here", sent.message_id)
    [file] = bubble["files"]
    assert (file["file_name"], file["file_size"]) == ("code.py", 6)
    assert sim.http.get(f"/sim/telegram/files/{file['file_id']}").content == b"x = 1\n"
    assert sim.http.get("/sim/telegram/files/none").status_code == 404
    with pytest.raises(BadRequest, match="non-empty"):
        await bot.send_document(ADA, b"", filename="code.py")


async def test_a_press_in_a_group_has_the_person_who_pressed(sim: RunningSimulator, bot: Bot) -> None:
    """Any member can press; the bot decides who may."""
    sim.sim("POST", "groups", json={"title": "G", "chat_id": -50})
    keys = InlineKeyboardMarkup([[InlineKeyboardButton("Again", callback_data="again")]])
    sent = await bot.send_message(-50, "An answer", reply_markup=keys)
    sim.sim(
        "POST", "telegram/press", json={"chat_id": -50, "message_id": sent.message_id, "data": "again", "from": BEN}
    )
    queries = [one.callback_query for one in await bot.get_updates() if one.callback_query]
    assert [(query.from_user.id, query.message.chat.id) for query in queries if query.message] == [(BEN, -50)]


def call(sim: RunningSimulator, method: str, **parameters: Any) -> tuple[int, Any]:
    response = sim.http.post(f"/bot{SIMULATED_BOT_TOKEN}/{method}", json=parameters)
    return response.status_code, response.json().get("result")


ARTICLE = {"type": "article", "id": "1", "title": "A fox", "input_message_content": {"message_text": "An animal."}}


async def test_an_inline_query_is_answered_once(sim: RunningSimulator, bot: Bot) -> None:
    """The results are what the person is offered; a later answer, or one without a text, is refused."""
    asked = sim.sim("POST", "telegram/inline", json={"chat_id": ADA, "text": "fox"})
    query = (await bot.get_updates())[-1].inline_query
    assert query is not None
    assert (query.id, query.query, query.from_user.id) == (asked["query"], "fox", ADA)
    assert sim.sim("GET", f"telegram/inline/{query.id}") == {"results": None}
    assert call(sim, "answerInlineQuery", inline_query_id=query.id, results=[{"id": "1"}])[0] == 400
    assert call(sim, "answerInlineQuery", inline_query_id=query.id, results=[ARTICLE]) == (200, True)
    assert sim.sim("GET", f"telegram/inline/{query.id}") == {"results": [ARTICLE]}
    assert call(sim, "answerInlineQuery", inline_query_id=query.id, results=[ARTICLE])[0] == 400


async def test_a_guest_is_answered_in_a_chat_that_the_bot_does_not_see(sim: RunningSimulator, bot: Bot) -> None:
    """Once; the answer is changed by its name alone."""
    text = "@simulated_relay_bot what is a fox?"
    sim.sim("POST", "telegram/guest", json={"chat_id": -60, "from": ADA, "text": text})
    message = (await bot.get_updates())[-1].to_dict()["guest_message"]
    assert (message["text"], message["from"]["id"]) == (text, ADA)
    status, sent = call(sim, "answerGuestQuery", guest_query_id=message["guest_query_id"], result=ARTICLE)
    assert status == 200
    assert call(sim, "answerGuestQuery", guest_query_id=message["guest_query_id"], result=ARTICLE)[0] == 400
    assert call(sim, "editMessageText", **sent, text="A red animal.") == (200, True)
    assert call(sim, "editMessageText", inline_message_id="inline-0", text="x")[0] == 400
    assert [bubble["text"] for bubble in sim.bubbles("telegram", -60)] == ["A red animal."]
