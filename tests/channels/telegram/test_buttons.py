"""Buttons below answers, edits of questions, and commands about a person's own things, from the update to Telegram."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.channels.telegram import texts
from relay.channels.telegram.buttons import keyboard_of, read_press
from relay.core.errors import PayloadError
from relay.core.messages import Kind, PartId, UserId
from relay.core.parts import Origin, Part
from relay.texts.sentences import localize, offered_languages
from tests.channels.harness import model_reply
from tests.channels.scripted_server import Reply, Request
from tests.channels.telegram.scripted_bot_api import group, ok, press, private, refused, sent
from tests.channels.telegram.telegram_harness import TelegramHarness, running_telegram_server
from tests.english import english

ADMIN = ok({"user": {"id": 7, "is_bot": False, "first_name": "Ann"}, "status": "administrator"})


class Chat:
    """A group in which Ada asks; `model` has what the model was told."""

    def __init__(self, telegram: TelegramHarness) -> None:
        self.telegram = telegram
        self.api = telegram.api
        scripted = telegram.model.answer

        async def answer(request: Request) -> Reply | str:
            """The script is for questions; the server also asks for the state of the model."""
            return telegram.model.otherwise if request.path == "/" else await scripted(request)

        telegram.model.answer = answer  # type: ignore[method-assign]

    def answers(self, *answers: str) -> None:
        self.telegram.model.script.extend(model_reply(text) for text in answers)

    def prompts(self) -> list[list[tuple[str, str]]]:
        bodies = [json.loads(one.body) for one in self.telegram.model.requests if one.path == "/api/chat"]
        return [[(one["role"], one["content"]) for one in body["messages"][1:]] for body in bodies]

    async def toast(self, number: int = 1) -> str:
        return str((await self.api.until("answerCallbackQuery", number))[-1].get("text", ""))

    async def exports(self, update_id: int) -> list[tuple[str, str]]:
        """The history, as /export shows it."""
        count = len(self.api.made("sendDocument")) + 1
        await self.api.bring(private(update_id, "/export json"))
        file = (await self.api.until("sendDocument", count))[-1]["document"]
        return [(one["role"], one["text"]) for one in json.loads(file[1])]


@asynccontextmanager
async def chatting(folder: Path, script: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[Chat]:
    async with running_telegram_server(folder, script, **changes) as telegram:
        yield Chat(telegram)


def keys_of(parameters: dict[str, Any]) -> list[str]:
    rows = parameters.get("reply_markup", {"inline_keyboard": [[]]})["inline_keyboard"]
    return [key["callback_data"].partition(":")[0] for key in rows[0]]


QUESTION = group(1, "@relay_test_bot what is a fox?")


@pytest.mark.parametrize(
    ("button", "asked"), [("again", texts.ASK_AGAIN), ("shorter", texts.ASK_SHORTER), ("longer", texts.ASK_LONGER)]
)
async def test_a_press_replaces_the_newest_answer_in_place(tmp_path: Path, button: str, asked: str) -> None:
    """The model sees question and answer; afterwards the history has the new answer alone, once."""
    async with chatting(tmp_path) as chat:
        chat.answers("An animal.", "A red animal.", "Yes.")
        await chat.api.bring(QUESTION)
        [first] = await chat.api.until("sendMessage")
        assert keys_of(first) == ["again", "shorter", "longer"]
        await chat.api.bring(press(2, button, QUESTION))
        [edit] = await chat.api.until("editMessageText")
        assert (edit["message_id"], edit["text"], keys_of(edit)) == (77, "A red animal.", keys_of(first))
        question = ("user", "Ada Lovelace: what is a fox?")
        assert chat.prompts()[1] == [question, ("assistant", "An animal."), ("user", asked)]
        await chat.api.bring(group(3, "@relay_test_bot sure?"))
        await chat.api.until("sendMessage", 2)
        assert chat.prompts()[2][:2] == [question, ("assistant", "A red animal.")]
        assert len(chat.prompts()[2]) == 3
        assert await chat.toast() == ""


def by_another(update: dict[str, Any]) -> dict[str, Any]:
    update["callback_query"]["from"] = {"id": 8, "is_bot": False, "first_name": "Bob"}
    return update


@pytest.mark.parametrize(
    ("update", "text"),
    [
        (by_another(press(5, "again", QUESTION)), english("telegram-button-of-others")),
        (press(5, "again", QUESTION, message_id=12), english("telegram-button-old")),
        (press(5, "paging:3", QUESTION), english("telegram-button-gone")),
        (press(5, "", QUESTION), english("telegram-button-gone")),
        (press(5, "stop", QUESTION), english("telegram-nothing-to-stop")),
        (press(5, "forget", QUESTION, message_id=12), english("telegram-button-gone")),
    ],
)
async def test_a_press_that_changes_nothing_is_answered_politely(
    tmp_path: Path, update: dict[str, Any], text: str
) -> None:
    """The model is not asked, and nothing is sent or edited."""
    async with chatting(tmp_path) as chat:
        await chat.api.bring(QUESTION)
        await chat.api.until("sendMessage")
        await chat.api.bring(update)
        assert await chat.toast() == text
        assert len(chat.prompts()) == 1
        assert not chat.api.made("editMessageText")


@pytest.mark.parametrize(
    ("member", "acts"),
    [
        (ADMIN, True),
        (ok({"status": "member"}), False),
        (refused(400, "Bad Request: user not found"), False),
    ],
)
async def test_an_anonymous_administrator_presses_under_a_name(tmp_path: Path, member: Reply, acts: bool) -> None:
    """The question came from the group itself, and the press comes from a person, who has to be an administrator."""
    asked = group(1, "@relay_test_bot what is a fox?")
    asked["message"]["sender_chat"] = asked["message"]["chat"]
    async with chatting(tmp_path, {"getChatMember": [member]}) as chat:
        await chat.api.bring(asked)
        await chat.api.until("sendMessage")
        await chat.api.bring(by_another(press(2, "again", asked)))
        assert await chat.toast() == ("" if acts else english("telegram-button-of-others"))
        assert chat.api.made("getChatMember") == [{"chat_id": asked["message"]["chat"]["id"], "user_id": 8}]
        if acts:
            await chat.api.until("editMessageText")


async def test_buttons_below_the_answer_to_a_channel_are_for_all(tmp_path: Path) -> None:
    """Telegram does not tell which member writes as a channel."""
    asked = group(1, "@relay_test_bot what is a fox?")
    asked["message"]["sender_chat"] = {"id": -1009, "type": "channel", "title": "News"}
    async with chatting(tmp_path) as chat:
        await chat.api.bring(asked)
        await chat.api.until("sendMessage")
        await chat.api.bring(by_another(press(2, "again", asked)))
        await chat.api.until("editMessageText")
        assert not chat.api.made("getChatMember")


async def test_a_button_of_an_older_answer_is_answered_politely(tmp_path: Path) -> None:
    """Only the newest answer can be changed: what follows was written with it in view."""
    async with chatting(tmp_path, {"sendMessage": [ok(sent(-1, "", 70)), ok(sent(-1, "", 71))]}) as chat:
        await chat.api.bring(QUESTION)
        await chat.api.until("sendMessage")
        await chat.api.bring(group(2, "@relay_test_bot and a hen?"))
        await chat.api.until("sendMessage", 2)
        await chat.api.bring(press(3, "shorter", QUESTION, message_id=70))
        assert await chat.toast() == english("telegram-button-old")
        await chat.api.bring(press(4, "shorter", QUESTION, message_id=71))
        [edit] = await chat.api.until("editMessageText")
        assert edit["message_id"] == 71


async def test_buttons_can_be_switched_off(tmp_path: Path) -> None:
    """None is shown, and one that was shown before does nothing."""
    async with chatting(tmp_path, telegram_buttons=False) as chat:
        await chat.api.bring(QUESTION)
        [first] = await chat.api.until("sendMessage")
        assert "reply_markup" not in first
        await chat.api.bring(press(2, "again", QUESTION))
        assert await chat.toast() == english("telegram-button-gone")


async def test_a_shorter_answer_removes_the_messages_that_it_does_not_need(tmp_path: Path) -> None:
    """A longer one goes on in new messages."""
    long = " ".join(f"word{number}" for number in range(900))
    ids = [ok(sent(-1, "", number)) for number in (70, 71, 72)]
    async with chatting(tmp_path, {"sendMessage": ids}) as chat:
        chat.answers(long, "Short.", long)
        await chat.api.bring(QUESTION)
        await chat.api.until("sendMessage", 2)
        await chat.api.bring(press(2, "shorter", QUESTION, message_id=71))
        [removed] = await chat.api.until("deleteMessage")
        [edit] = chat.api.made("editMessageText")
        assert (edit["message_id"], edit["text"], removed["message_id"]) == (70, "Short.", 71)
        await chat.api.bring(press(3, "longer", QUESTION, message_id=70))
        await chat.api.until("sendMessage", 3)
        assert [call["message_id"] for call in chat.api.made("editMessageText")] == [70, 70]


async def test_a_refused_answer_leaves_the_old_one(tmp_path: Path) -> None:
    """What cannot be answered is said in a message of its own."""
    async with chatting(tmp_path) as chat:
        chat.answers("An animal.")
        error = json.dumps({"error": "refused", "kind": "refused"}).encode()
        chat.telegram.model.script.append(Reply(400, error))
        await chat.api.bring(QUESTION)
        await chat.api.until("sendMessage")
        await chat.api.bring(press(2, "again", QUESTION))
        await chat.api.until("sendMessage", 2)
        assert not chat.api.made("editMessageText")


def edit_of(update: dict[str, Any], update_id: int, text: str) -> dict[str, Any]:
    message = {**update["message"], "text": text, "edit_date": update["message"]["date"] + 5}
    return {"update_id": update_id, "edited_message": message}


@pytest.mark.parametrize("make", [private, group])
async def test_an_edit_of_the_newest_question_is_answered_in_place(
    tmp_path: Path, make: Callable[..., dict[str, Any]]
) -> None:
    """The history has the question as it is now, with one answer; the model does not see the old ones."""
    name = "" if make is private else "Ada Lovelace: "
    address = "" if make is private else "@relay_test_bot "
    asked = make(1, f"{address}what is a fax?")
    async with chatting(tmp_path) as chat:
        chat.answers("A machine.", "An animal.", "Yes.")
        await chat.api.bring(asked)
        await chat.api.until("sendMessage")
        await chat.api.bring(edit_of(asked, 2, f"{address}what is a fox?"))
        [edit] = await chat.api.until("editMessageText")
        assert (edit["message_id"], edit["text"]) == (77, "An animal.")
        assert chat.prompts()[1] == [("user", f"{name}what is a fox?")]
        await chat.api.bring(make(3, f"{address}sure?"))
        await chat.api.until("sendMessage", 2)
        earlier = [("user", f"{name}what is a fox?"), ("assistant", "An animal.")]
        assert chat.prompts()[2] == [*earlier, ("user", f"{name}sure?")]


async def test_an_edit_of_an_older_question_gets_a_hint(tmp_path: Path) -> None:
    """So does the edit of a command; in a group nothing, which all would see."""
    async with chatting(tmp_path) as chat:
        asked, other = private(1, "what is a fax?"), private(2, "what is a hen?")
        for number, update in enumerate((asked, other), 1):
            await chat.api.bring(update)
            await chat.api.until("sendMessage", number)
        await chat.api.bring(edit_of(asked, 3, "what is a fox?"))
        assert (await chat.telegram.texts(3))[-1] == english("telegram-edited")
        assert len(chat.prompts()) == 2
        assert not chat.api.made("editMessageText")


async def test_everything_is_deleted_after_a_confirmation(tmp_path: Path) -> None:
    """Nothing before; then the history, the name and what was sent are gone, and the question says so in its place."""
    async with chatting(tmp_path) as chat:
        asked = private(1, "I am Ada, remember that")
        await chat.api.bring(asked)
        await chat.api.until("sendMessage")
        await chat.api.bring(private(2, "/forget"))
        question = (await chat.api.until("sendMessage", 2))[-1]
        assert keys_of(question) == ["forget", "keep"]
        await chat.api.bring(press(3, "keep", asked))
        assert (await chat.api.until("editMessageText"))[-1]["text"] == english("telegram-kept")
        assert [role for role, _ in await chat.exports(4)][:2] == ["user", "assistant"]
        await chat.api.bring(private(5, "/forget"))
        await chat.api.until("sendMessage", 4)
        await chat.api.bring(press(6, "forget", asked))
        assert (await chat.api.until("editMessageText", 2))[-1]["text"] == english("telegram-forgotten")
        await chat.api.bring(private(7, "/export"))
        assert (await chat.telegram.texts(5))[-1] == english("telegram-nothing-to-export")
        kept = await chat.telegram.status()
        assert kept["users"][0]["name"] != "I am Ada"


async def test_a_conversation_is_exported_as_a_file(tmp_path: Path) -> None:
    """In Markdown, or in JSON; another format is named."""
    async with chatting(tmp_path) as chat:
        await chat.api.bring(private(1, "what is a fox?"))
        await chat.api.until("sendMessage")
        await chat.api.bring(private(2, "/export"))
        [file] = await chat.api.until("sendDocument")
        name, content = file["document"]
        assert name == "conversation.md"
        assert "what is a fox?" in content
        assert "Hello from the model." in content
        assert (await chat.exports(3))[:2] == [("user", "what is a fox?"), ("assistant", "Hello from the model.")]
        await chat.api.bring(private(4, "/export pdf"))
        assert (await chat.telegram.texts(4))[-1] == english("telegram-export-formats")


async def test_a_person_sees_what_was_used_today(tmp_path: Path) -> None:
    """Answered questions, and what their answers cost."""
    async with chatting(tmp_path) as chat:
        line = {"message": {"role": "assistant", "content": "Hi"}, "done": True, "x_relay": {"cost_usd": 0.0123}}
        chat.telegram.model.script.append(Reply(200, json.dumps(line).encode() + b"\n"))
        await chat.api.bring(private(1, "hello"))
        await chat.api.until("sendMessage")
        await chat.api.bring(private(2, "/usage"))
        assert "1 question, $0.0123" in (await chat.telegram.texts(2))[-1]


async def test_only_operators_see_the_numbers(tmp_path: Path) -> None:
    """To others the command does not exist."""
    async with chatting(tmp_path, telegram_admins="700000001") as chat:
        await chat.api.bring(private(1, "/admin"))
        assert "waiting questions: " in (await chat.telegram.texts(1))[-1]
        await chat.api.bring(group(2, "/admin"), group(3, "/admin@relay_test_bot"))
        assert (await chat.telegram.texts(2))[-1] == "I do not know /admin. /help lists what I can do."


MODELS = json.dumps(
    {"models": [{"name": "default"}, {"name": "big"}, {"name": "small"}, {"name": "x/secret"}]}
).encode()


@pytest.mark.parametrize(
    ("allowed", "argument", "reply", "used"),
    [
        ("big,small", "", "• big\n", "default"),
        ("big,small", "BIG", "From now on big answers you.", "big"),
        ("big,small", "x/secret", "I know no model x/secret", "default"),
        ("*", "x/secret", "From now on x/secret answers you.", "x/secret"),
        ("x/*", "default", "From now on default answers you.", "default"),
        ("", "big", english("telegram-one-model"), "default"),
    ],
)
async def test_a_person_chooses_among_the_models_that_are_allowed(
    tmp_path: Path, allowed: str, argument: str, reply: str, used: str
) -> None:
    """Names that the LLM server offers and the operator allows; the next question goes to it."""
    async with chatting(tmp_path, user_models=allowed) as chat:
        if allowed:
            chat.telegram.model.script.append(Reply(200, MODELS))
        await chat.api.bring(private(1, f"/model {argument}"))
        assert reply in (await chat.telegram.texts(1))[-1]
        await chat.api.bring(private(2, "hello"))
        await chat.api.until("sendMessage", 2)
        bodies = [json.loads(one.body) for one in chat.telegram.model.requests if one.path == "/api/chat"]
        assert [body["model"] for body in bodies] == [used]


LONG = "provider/" + "very-" * 12 + "long-name:free"


def by_button(update_id: int, message: dict[str, Any], place: int, update: dict[str, Any]) -> dict[str, Any]:
    """A press of a button in this row below a message."""
    return press(update_id, message["reply_markup"]["inline_keyboard"][place][0]["callback_data"], update)


@pytest.mark.parametrize(("place", "used"), [(0, "default"), (1, "big"), (2, LONG), (3, "x:free")])
async def test_a_model_is_chosen_by_its_button(tmp_path: Path, place: int, used: str) -> None:
    """One for each that is allowed; what was chosen takes the place of the list."""
    offered = json.dumps({"models": [{"name": name} for name in ("default", "big", "x:free", LONG, "secret")]}).encode()
    async with chatting(tmp_path, user_models="big,x:free,provider/*") as chat:
        chat.telegram.model.script.extend([Reply(200, offered), Reply(200, offered)])
        await chat.api.bring(private(1, "/model"))
        [listed] = await chat.api.until("sendMessage")
        keyboard = listed["reply_markup"]["inline_keyboard"]
        assert [row[0]["text"] for row in keyboard] == ["default", "big", LONG, "x:free"]
        assert all(len(row[0]["callback_data"].encode()) <= 64 for row in keyboard)
        await chat.api.bring(by_button(2, listed, place, private(1)))
        [edit] = await chat.api.until("editMessageText")
        assert (edit["text"], keys_of(edit)) == (f"From now on {used} answers you.", [])
        await chat.api.bring(private(3, "hello"))
        await chat.api.until("sendMessage", 2)
        bodies = [json.loads(one.body) for one in chat.telegram.model.requests if one.path == "/api/chat"]
        assert [body["model"] for body in bodies] == [used]


async def test_a_model_of_a_group_is_chosen_by_who_asked(tmp_path: Path) -> None:
    """That was an administrator; another member gets a sentence, and one that is no longer allowed is not taken."""
    async with chatting(tmp_path, {"getChatMember": [ADMIN]}, user_models="big") as chat:
        chat.telegram.model.script.extend([Reply(200, MODELS), Reply(200, json.dumps({"models": []}).encode())])
        asked = group(1, "/model")
        await chat.api.bring(asked)
        [listed] = await chat.api.until("sendMessage")
        await chat.api.bring(by_another(by_button(2, listed, 1, group(1))))
        assert await chat.toast() == english("telegram-button-of-others")
        await chat.api.bring(by_button(3, listed, 1, group(1)))
        [edit] = await chat.api.until("editMessageText")
        assert edit["text"].startswith("I know no model big")
        await chat.api.bring(press(4, "model:big", group(1), message_id=12))
        assert await chat.toast(3) == english("telegram-button-gone")


@pytest.mark.parametrize("command", ["/model", "/export", "/forget"])
async def test_a_member_of_a_group_changes_nothing_of_all(tmp_path: Path, command: str) -> None:
    """These concern the history or the answers of everybody."""
    member = ok({"user": {"id": 7, "is_bot": False, "first_name": "Ann"}, "status": "member"})
    async with chatting(tmp_path, {"getChatMember": [member, ADMIN]}) as chat:
        await chat.api.bring(group(1, command))
        assert await chat.telegram.texts(1) == [english("telegram-admins-only")]
        await chat.api.bring(group(2, command))
        assert (await chat.telegram.texts(2))[-1] != english("telegram-admins-only")


def test_the_last_message_of_an_answer_has_the_buttons() -> None:
    """Not notices, commands or what an operator wrote; a stopped answer can be continued."""

    def keys(**changes: Any) -> list[str]:
        known: dict[str, Any] = {"number": 1, "count": 1, "style": None, "reply_to": None, "created_at": 1.0}
        known |= {"owner": "o", "attempts": 1, "lease_until": 1.0, **changes}
        markup = keyboard_of(Part(PartId("a"), private_platform(), UserId("1"), text="x", **known))
        return keys_of(markup)

    assert keys() == ["again", "shorter", "longer"]
    assert keys(stopped=True) == ["continue", "again"]
    assert keys(count=2) == []
    assert keys(origin=Origin.NOTICE) == keys(origin=Origin.COMMAND) == keys(origin=Origin.OPERATOR) == []
    assert keys(origin=Origin.COMMAND, buttons="forget,keep") == ["forget", "keep"]


def labels_of(parameters: dict[str, Any]) -> list[str]:
    return [key["text"] for key in parameters["reply_markup"]["inline_keyboard"][0]]


async def test_the_buttons_are_in_the_language_of_the_person(tmp_path: Path) -> None:
    """Below an answer and below a question of ours; after a press as before it."""
    german, forget = private(1, "Was ist ein Fuchs?"), private(3, "/forget")
    for update in (german, forget):
        update["message"]["from"]["language_code"] = "de"
    async with chatting(tmp_path) as chat:
        chat.answers("Ein Tier.", "Ein rotes Tier.")
        await chat.api.bring(german)
        [answer] = await chat.api.until("sendMessage")
        assert labels_of(answer) == ["Noch einmal", "Kürzer", "Länger"]
        await chat.api.bring(press(2, "longer", german))
        [edit] = await chat.api.until("editMessageText")
        assert labels_of(edit) == labels_of(answer)
        await chat.api.bring(forget)
        assert labels_of((await chat.api.until("sendMessage", 2))[-1]) == ["Alles löschen", "Abbrechen"]


@pytest.mark.parametrize("language", offered_languages())
def test_three_buttons_fit_below_an_answer(language: str) -> None:
    """Telegram shortens what is wider than a third of a narrow phone, of which some twelve letters are seen."""
    for name in ("stop", "continue", "again", "shorter", "longer"):
        assert len(localize(texts.BUTTONS[name], language)) <= 12


def private_platform() -> Any:
    return "telegram"


def test_a_press_is_read_with_its_chat_topic_and_person() -> None:
    """One below a message that was sent inline has no chat, and needs no answer."""
    topic = group(1, "x", message_thread_id=9, is_topic_message=True)
    read = read_press(press(2, "again", topic)["callback_query"], "1:2", 5.0)
    assert (read.user_id, read.sender, read.topic, read.reply_to) == ("-1001234567890", "700000001", "9", "77/9")
    assert (read.kind, read.options["pressed"], read.options["query"]) == (Kind.PRESSED, "again", "q2")
    mine = read_press(press(2, "stop", private(1))["callback_query"], "1:2", 5.0)
    assert (mine.user_id, mine.sender, mine.options["stops_message"]) == ("700000001", None, "77")
    inline = {"id": "q", "from": {"id": 5}, "inline_message_id": "x", "data": "again"}
    assert read_press(inline, "1:2", 5.0).kind is Kind.SERVICE
    for broken in ({"message": {"chat": {"id": 5}}}, {"from": {"id": "x"}, "message": {"chat": {"id": 5}}}):
        with pytest.raises(PayloadError):
            read_press(broken, "1:2", 5.0)


async def test_a_button_that_is_pressed_twice_acts_once(tmp_path: Path) -> None:
    """The second press came before its person saw the new answer."""
    async with chatting(tmp_path) as chat:
        chat.answers("An animal.", "A red animal.", "A third one.")
        await chat.api.bring(QUESTION)
        [first] = await chat.api.until("sendMessage")
        data = first["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
        await chat.api.bring(press(2, data, QUESTION), press(3, data, QUESTION))
        assert await chat.toast(2) == ""
        [edit] = await chat.api.until("editMessageText")
        assert len(chat.prompts()) == 2
        await chat.api.bring(press(4, edit["reply_markup"]["inline_keyboard"][0][0]["callback_data"], QUESTION))
        assert (await chat.api.until("editMessageText", 2))[-1]["text"] == "A third one."


async def test_a_press_that_telegram_forgot_does_its_work_all_the_same(tmp_path: Path) -> None:
    """Its sentence cannot be shown any more after some seconds."""
    old = refused(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
    async with chatting(tmp_path, {"answerCallbackQuery": [old]}) as chat:
        await chat.api.bring(QUESTION)
        await chat.api.until("sendMessage")
        await chat.api.bring(press(2, "again", QUESTION))
        await chat.api.until("editMessageText")
