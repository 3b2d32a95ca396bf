"""Answers that grow in a message, parts that change a message, and the budget of all calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from relay.channels.telegram.call_budget import CallBudget, Cosmetic
from relay.channels.telegram.code_files import plan_with_files
from relay.channels.telegram.spec import TELEGRAM
from relay.core.channel import history_text
from relay.core.errors import LeaseLost, OutcomeUnknown, SendError
from relay.core.http_client import open_http_client
from relay.core.messages import InboundMessage, Kind, PartId, UserId
from relay.core.parts import Origin, Part, PlannedPart
from relay.core.progress import Progress
from telegram_service import TelegramService
from tests.channels.scripted_server import CUT, PATIENCE, Reply, listening
from tests.channels.telegram.scripted_bot_api import TOKEN, ScriptedBotApi, ok, refused
from tests.settings import Settings

GROUP, PERSON = UserId("-1001"), UserId("700000001")
LATE = refused(429, "Too Many Requests: retry after 300", retry_after=300)


class Pace:
    """A clock for budgets, and sleeps that end when the test lets them; `slept` has their lengths."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: asyncio.Queue[float] = asyncio.Queue()
        self._go = asyncio.Semaphore(0)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.put_nowait(seconds)
        if seconds == 4.5:  # the typing indicator's
            await asyncio.Event().wait()
        await self._go.acquire()
        self.now += seconds

    async def step(self) -> None:
        self._go.release()


@pytest.fixture
async def api() -> AsyncIterator[ScriptedBotApi]:
    async with listening(ScriptedBotApi()) as running:
        yield running


@pytest.fixture
def pace() -> Pace:
    return Pace()


async def opened(api: ScriptedBotApi, pace: Pace, **changes: Any) -> AsyncIterator[TelegramService]:
    settings = Settings(telegram_bot_token=TOKEN, telegram_api_base_url=api.base_url, **changes)
    async with open_http_client() as client:
        made = TelegramService(settings, client, clock=pace.clock, monotonic=pace.clock, sleep=pace.sleep)
        yield made
        await made.stop()


@pytest.fixture
async def service(api: ScriptedBotApi, pace: Pace) -> AsyncIterator[TelegramService]:
    async for made in opened(api, pace):
        yield made


def asked(chat: UserId = GROUP, reply_to: str = "12/34", **changes: Any) -> InboundMessage:
    return InboundMessage(TELEGRAM, "1:1", chat, "hello", 1.0, reply_to=reply_to, **changes)


def part(text: str = "Hello", **changes: Any) -> Part:
    known: dict[str, Any] = {"number": 1, "count": 1, "style": None, "reply_to": "12", "created_at": 1.0}
    known |= {"owner": "test", "attempts": 1, "lease_until": 1e12, "origin": Origin.COMMAND, **changes}
    return Part(PartId("a" * 32), TELEGRAM, GROUP, text=text, **known)


def methods(api: ScriptedBotApi) -> list[str]:
    return [call.method for call in api.calls if call.method != "sendChatAction"]


async def test_an_answer_in_a_group_grows_in_one_message(
    service: TelegramService, api: ScriptedBotApi, pace: Pace
) -> None:
    """Its id is recorded before the first edit; what is open in the Markdown is closed; Stop is below it."""
    recorded: list[str] = []

    async def record(message_id: str) -> None:
        assert methods(api) == ["sendMessage"]
        recorded.append(message_id)

    async with service.typing(asked()) as progress:
        progress.record_shown = record
        progress.add("A **bold")
        await pace.step()
        [first] = await api.until("sendMessage")
        progress.add("** start")
        await pace.step()
        [second] = await api.until("editMessageText")
    assert recorded == ["77"]
    assert first["text"] == "A bold"
    assert first["reply_parameters"]["message_id"] == 12
    assert first["message_thread_id"] == 34
    assert first["reply_markup"]["inline_keyboard"][0][0]["callback_data"] == "stop"
    assert (second["text"], second["message_id"]) == ("A bold start", 77)


async def test_the_stop_button_and_our_notes_are_in_the_language_of_the_person(
    service: TelegramService, api: ScriptedBotApi, pace: Pace
) -> None:
    """While the answer grows, as at its end."""
    async with service.typing(asked(), "de") as progress:
        progress.add("```python\n" + "x = 1\n" * 2000 + "```\n")
        await pace.step()
        [first] = await api.until("sendMessage")
    assert first["reply_markup"]["inline_keyboard"][0][0]["text"] == "Stopp"
    assert "Der Code" in first["text"]


async def test_an_answer_that_is_complete_at_once_takes_one_call(
    service: TelegramService, api: ScriptedBotApi, pace: Pace
) -> None:
    """A message that appears is edited only when there is something to wait for."""
    async with service.typing(asked()) as progress:
        progress.add("Yes.")
        assert await asyncio.wait_for(pace.slept.get(), PATIENCE) in {1.0, 4.5}
    assert methods(api) == []


async def test_an_answer_goes_on_in_the_message_of_an_earlier_attempt(
    service: TelegramService, api: ScriptedBotApi, pace: Pace
) -> None:
    """A server that was killed left its id in the database."""
    async with service.typing(asked()) as progress:
        progress.shown_as = "55"
        progress.add("Once more")
        await pace.step()
        [edit] = await api.until("editMessageText")
    assert edit["message_id"] == 55
    assert "sendMessage" not in methods(api)


async def test_a_message_whose_id_cannot_be_recorded_is_removed(
    service: TelegramService, api: ScriptedBotApi, pace: Pace
) -> None:
    """The answer comes as a message of its own, from whichever server has the lease now."""

    async def lost(_: str) -> None:
        raise LeaseLost("another server")

    async with service.typing(asked()) as progress:
        progress.record_shown = lost
        progress.add("Some words")
        await pace.step()
        [removed] = await api.until("deleteMessage")
        assert progress.shown_as is None
    assert removed["message_id"] == 77


@pytest.mark.parametrize(
    ("setting", "chat", "method"),
    [
        ("auto", GROUP, "sendMessage"),
        ("auto", PERSON, "sendMessageDraft"),
        ("edit", GROUP, "sendMessage"),
        ("edit", PERSON, "sendMessage"),
        ("draft", PERSON, "sendMessageDraft"),
        ("draft", GROUP, None),
        ("off", GROUP, None),
        ("off", PERSON, None),
    ],
)
async def test_the_setting_chooses_how_an_answer_is_shown(
    api: ScriptedBotApi, pace: Pace, setting: str, chat: UserId, method: str | None
) -> None:
    """Groups have no drafts; with `draft` nothing is shown there."""
    async for service in opened(api, pace, telegram_streaming=setting):
        async with service.typing(asked(chat)) as progress:
            progress.add("Some words")
            await pace.step()
            await pace.step()
            if method:
                await api.until(method)
        assert type(progress) is Progress or method
        assert methods(api)[:1] == ([method] if method else [])


@pytest.mark.parametrize("kind", [Kind.EDITED, Kind.PRESSED])
@pytest.mark.parametrize(("shown_as", "calls"), [("55", ["editMessageText"]), (None, [])])
async def test_an_answer_that_replaces_another_grows_in_its_message(
    service: TelegramService, api: ScriptedBotApi, pace: Pace, kind: Kind, shown_as: str | None, calls: list[str]
) -> None:
    """And in no message of its own."""
    async with service.typing(asked(kind=kind)) as progress:
        progress.shown_as = shown_as
        progress.add("Some words")
        await pace.step()
        if calls:
            assert (await api.until("editMessageText"))[0]["message_id"] == 55
        else:
            await asyncio.sleep(0)
    assert methods(api) == calls


@pytest.mark.parametrize("reply", [LATE, refused(400, "Bad Request: not enough rights to send text messages")])
async def test_a_refused_edit_ends_what_is_shown_and_no_message(
    service: TelegramService, api: ScriptedBotApi, pace: Pace, reply: Reply
) -> None:
    """Messages have their slots as before; cosmetic calls in this chat wait as long as Telegram asked."""
    api.scripts["sendMessage"].append(reply)
    async with service.typing(asked()) as progress:
        progress.add("Some words")
        await pace.step()
        await api.until("sendMessage")
    assert service._budget.message_wait(GROUP) == 0
    assert service._budget.allows_cosmetics(GROUP) is (reply is not LATE)
    assert (await service.send(part())).provider_id == "77"


@pytest.mark.parametrize("reply", [Reply(502, b"x"), CUT, refused(400, "Bad Request: message is not modified: same")])
async def test_an_edit_of_unknown_outcome_is_followed_by_the_next(
    service: TelegramService, api: ScriptedBotApi, pace: Pace, reply: Reply | str
) -> None:
    """An edit can be repeated without harm."""
    api.scripts["editMessageText"].append(reply)
    async with service.typing(asked()) as progress:
        progress.shown_as = "55"
        progress.add("Some ")
        await pace.step()
        await api.until("editMessageText")
        progress.add("words")
        await pace.step()
        assert (await api.until("editMessageText", 2))[-1]["text"] == "Some words"


@pytest.mark.parametrize("flood_wait", [None, 2])
async def test_what_could_not_be_shown_is_shown_when_the_budget_has_room(
    service: TelegramService, api: ScriptedBotApi, pace: Pace, flood_wait: int | None
) -> None:
    """After a message of the last second, or a flood wait, even if the model writes no more."""
    if flood_wait is None:
        service._budget.acquire_message(PERSON)
    else:
        api.scripts["editMessageText"].append(refused(429, "Too Many Requests: retry after 2", retry_after=flood_wait))
    async with service.typing(asked(PERSON, "12/", kind=Kind.EDITED)) as progress:
        progress.shown_as = "55"
        progress.add("Some words")
        for _ in range(10):
            await pace.step()
        edits = await api.until("editMessageText", 1 if flood_wait is None else 2)
    assert [edit["text"] for edit in edits] == ["Some words"] * len(edits)


async def test_an_edit_under_way_arrives_before_the_answer(
    service: TelegramService, api: ScriptedBotApi, pace: Pace
) -> None:
    """One that arrived later would replace the answer by its beginning."""
    late = asyncio.Event()
    api.scripts["editMessageText"].append(late)
    async with service.typing(asked()) as progress:
        progress.shown_as = "55"
        progress.add("Some words")
        await pace.step()
        await api.until("editMessageText")
        asyncio.get_running_loop().call_soon(late.set)
    assert late.is_set()
    live: Any = progress
    assert not live._sending


@pytest.mark.parametrize(
    ("reply", "calls", "result"),
    [
        (None, ["editMessageText"], "55"),
        (refused(400, "Bad Request: message is not modified: specified ..."), ["editMessageText"], "55"),
        (refused(400, "Bad Request: message to edit not found"), ["editMessageText", "sendMessage"], "77"),
        (refused(400, "Bad Request: message can't be edited"), ["editMessageText", "sendMessage"], "77"),
        (refused(400, "Bad Request: MESSAGE_ID_INVALID"), ["editMessageText", "sendMessage"], "77"),
        (LATE, ["editMessageText", "deleteMessage", "sendMessage"], "77"),
        (
            refused(400, "Bad Request: there is no text in the message to edit"),
            ["editMessageText", "deleteMessage", "sendMessage"],
            "77",
        ),
    ],
)
async def test_a_part_becomes_the_message_that_it_replaces(
    service: TelegramService, api: ScriptedBotApi, reply: Reply | None, calls: list[str], result: str
) -> None:
    """Where that cannot be done now, the message is removed first and the part sent: it is shown once."""
    if reply:
        api.scripts["editMessageText"].append(reply)
    receipt = await service.send(part(replaces="55"))
    assert (methods(api), receipt.provider_id) == (calls, result)


@pytest.mark.parametrize(
    ("reply", "deletion"),
    [
        (refused(429, "Too Many Requests: retry after 3", retry_after=3), None),
        (LATE, refused(400, "Bad Request: message can't be deleted for everyone")),
        (LATE, LATE),
        (Reply(502, b"x"), None),
        (refused(403, "Forbidden: bot was kicked from the supergroup chat"), None),
    ],
)
async def test_a_part_waits_rather_than_being_shown_twice(
    service: TelegramService, api: ScriptedBotApi, reply: Reply, deletion: Reply | None
) -> None:
    """A short wait, a message that cannot be removed and an unknown outcome lead to a retry of the edit."""
    api.scripts["editMessageText"].append(reply)
    if deletion:
        api.scripts["deleteMessage"].append(deletion)
    with pytest.raises(SendError):
        await service.send(part(replaces="55"))
    assert "sendMessage" not in methods(api)
    assert part(replaces="55").repeatable


@pytest.mark.parametrize(
    ("reply", "calls"),
    [
        (None, ["deleteMessage"]),
        (refused(400, "Bad Request: message to delete not found"), ["deleteMessage"]),
        (refused(400, "Bad Request: message can't be deleted for everyone"), ["deleteMessage", "editMessageText"]),
    ],
)
async def test_a_part_without_text_removes_a_message(
    service: TelegramService, api: ScriptedBotApi, reply: Reply | None, calls: list[str]
) -> None:
    """One that is older than 48 hours can be changed, not removed."""
    if reply:
        api.scripts["deleteMessage"].append(reply)
    assert (await service.send(part("", replaces="55", number=2))).provider_id == "55"
    assert methods(api) == calls


async def test_formatting_that_is_refused_in_an_edit_is_left_out(service: TelegramService, api: ScriptedBotApi) -> None:
    """As in a message."""
    api.scripts["editMessageText"].append(refused(400, "Bad Request: can't parse entities"))
    style = '[{"type": "bold", "offset": 0, "length": 5}]'
    await service.send(part(style=style, replaces="55"))
    assert ["entities" in call for call in api.made("editMessageText")] == [True, False]


def test_a_busy_chat_has_room_for_messages_when_cosmetic_calls_are_dropped() -> None:
    """In a group edits may use 12 of the 20 calls of a minute, typing 6; a message is never refused."""
    now = [0.0]
    budget = CallBudget(30, lambda: now[0])
    counts = {}
    for kind in (Cosmetic.TYPING, Cosmetic.EDIT):
        counts[kind] = sum(budget.try_acquire(GROUP, kind) for _ in range(40))
        now[0] += 2
    assert counts == {Cosmetic.TYPING: 6, Cosmetic.EDIT: 6}
    assert [budget.message_wait(GROUP) or budget.acquire_message(GROUP) for _ in range(8)] == [0.0] * 8
    assert budget.message_wait(GROUP) > 0
    assert not budget.try_acquire(GROUP, Cosmetic.EDIT)
    assert budget.try_acquire("-1002", Cosmetic.EDIT)


def test_drafts_and_typing_of_a_private_chat_delay_no_message() -> None:
    """They are counted apart from messages, an edit is not."""
    budget = CallBudget(30, lambda: 5.0)
    assert budget.try_acquire(PERSON, Cosmetic.DRAFT)
    assert budget.try_acquire(PERSON, Cosmetic.TYPING)
    assert budget.message_wait(PERSON) == 0
    assert budget.try_acquire(PERSON, Cosmetic.EDIT)
    assert budget.message_wait(PERSON) == pytest.approx(1.05)


def test_all_chats_share_one_budget() -> None:
    """When messages to others use most of it, nothing cosmetic is sent anywhere."""
    budget = CallBudget(10, lambda: 5.0)
    for number in range(7):
        budget.acquire_message(str(number + 1))
    assert not budget.try_acquire("99", Cosmetic.EDIT)
    assert not budget.try_acquire("99", Cosmetic.TYPING)
    assert budget.acquire_message("99") == 0


def test_a_flood_wait_on_a_message_stops_cosmetic_calls_too() -> None:
    """The other way round it does not; both are counted for the status, a refusal without a time is not."""
    budget = CallBudget(30, lambda: 5.0)
    budget.pause(PERSON, 60)
    assert not budget.try_acquire(PERSON, Cosmetic.DRAFT)
    budget.pause_cosmetics(GROUP, 60)
    assert not budget.try_acquire(GROUP, Cosmetic.TYPING)
    assert budget.message_wait(GROUP) == 0
    budget.pause_cosmetics(GROUP, 0)
    assert budget.flood_waits == {"messages": 1, "cosmetic": 1}


CODE = "".join(f"line_{number} = {number}\n" for number in range(500))


@pytest.mark.parametrize(
    ("markdown", "limit", "names"),
    [
        (f"Here:\n\n```python\n{CODE}```\n\nDone.", 6000, ["code.py"]),
        (f"```\n{CODE}```", 6000, ["code.txt"]),
        (f"~~~c++\n{CODE}~~~", 6000, ["code.cpp"]),
        (f"````md\n```\n{CODE}```\n````", 6000, ["code.md"]),
        (f"```js\n{CODE}", 6000, ["code.js"]),
        (f"```js\n{CODE}```\n\n```css\n{CODE}```", 6000, ["code.js", "code2.css"]),
        (f"```python\n{CODE}```", 0, []),
        ("```python\nx = 1\n```", 6000, []),
        ("text " * 3000, 6000, []),
        (f"> ```\n> {CODE}", 6000, []),
    ],
)
def test_a_long_block_of_code_is_sent_as_a_file(markdown: str, limit: int, names: list[str]) -> None:
    """A sentence stands for it in the message; the history has the code, so the model can speak of it."""
    parts = plan_with_files(markdown, 10, limit)
    files = [one for one in parts if one.file_name]
    assert [one.file_name for one in files] == names
    assert all(one.text == CODE or one.text.strip("`\n").strip() == CODE.strip() for one in files)
    assert "line_499 = 499" in history_text(parts) or "line_399" not in markdown
    if files:
        assert "line_7 = 7" not in parts[0].text
        assert f"file {files[0].file_name}" in parts[0].text


async def test_a_file_is_uploaded_in_its_topic_with_the_buttons(service: TelegramService, api: ScriptedBotApi) -> None:
    """A message that it replaces is removed: text cannot become a file."""
    api.scripts["sendDocument"].append(ok({"message_id": 78}))
    sent = part("x = 1\n", file_name="code.py", origin=Origin.ANSWER, replaces="55", reply_to="12/34")
    assert (await service.send(sent)).provider_id == "78"
    assert methods(api) == ["deleteMessage", "sendDocument"]


async def test_a_planned_part_knows_nothing_of_files_by_default() -> None:
    """Other channels plan text alone."""
    assert (PlannedPart("a", "a").file_name, PlannedPart("a", "a").buttons) == (None, None)


async def test_a_sent_message_without_an_id_leaves_the_outcome_unknown(
    service: TelegramService, api: ScriptedBotApi
) -> None:
    """It may have arrived."""
    api.scripts["sendMessage"].append(ok(True))
    with pytest.raises(OutcomeUnknown):
        await service.send(part())
