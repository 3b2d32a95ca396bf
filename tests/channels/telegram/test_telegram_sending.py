from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from relay.channels.telegram.bot_api import refusal
from relay.channels.telegram.commands import COMMANDS, descriptions
from relay.channels.telegram.settings import webhook_secret
from relay.channels.telegram.spec import TELEGRAM
from relay.core.errors import OutcomeUnknown, SendError, SendFailure
from relay.core.http_client import open_http_client
from relay.core.messages import InboundMessage, PartId, UserId
from relay.core.parts import Origin, Part, PartState
from relay.texts import ENGLISH
from relay.texts.sentences import offered_languages
from telegram_service import TelegramService
from tests.channels.scripted_server import CUT, Reply, listening
from tests.channels.telegram.scripted_bot_api import TOKEN, USERNAME, ScriptedBotApi, ok, refused
from tests.config.test_logs import ENCODINGS
from tests.settings import Settings


class Time:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.naps = asyncio.Event()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.naps.set()
        await asyncio.sleep(0)


@pytest.fixture
async def api() -> AsyncIterator[ScriptedBotApi]:
    async with listening(ScriptedBotApi()) as running:
        yield running


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def service(api: ScriptedBotApi, time: Time) -> AsyncIterator[TelegramService]:
    settings = Settings(telegram_bot_token=TOKEN, telegram_api_base_url=api.base_url)
    async with open_http_client() as client:
        made = TelegramService(settings, client, clock=time.clock, monotonic=time.clock, sleep=time.sleep)
        yield made
        await made.stop()


def part(text: str = "Hello", user_id: str = "700000001", **changes: Any) -> Part:
    values: dict[str, Any] = {
        "id": PartId("a" * 32),
        "row": 1,
        "platform": TELEGRAM,
        "user_id": UserId(user_id),
        "number": 1,
        "count": 1,
        "text": text,
        "style": None,
        "reply_to": None,
        "created_at": 1.0,
        "owner": "test",
        "attempts": 1,
        "lease_until": 1e12,
        **changes,
    }
    known = Part.__dataclass_fields__
    return Part(**{key: value for key, value in values.items() if key in known})


ASKED = InboundMessage(TELEGRAM, "1:1", UserId("700000001"), "hello", 1.0, reply_to="12")


async def failure(service: TelegramService, sent: Part) -> SendError:
    with pytest.raises(SendError) as caught:
        await service.send(sent)
    return caught.value


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("status", [400, 500])
async def test_no_secret_that_is_repeated_to_us_stays_in_an_error(
    status: int, encode: Callable[[str], str], api: ScriptedBotApi
) -> None:
    """The bot's token is part of every URL; the webhook's secret is derived from it."""
    settings = Settings(telegram_bot_token=TOKEN, telegram_api_base_url=api.base_url, openai_api_key="sk-0123456789")
    async with open_http_client() as client:
        service = TelegramService(settings, client)
        for secret in (TOKEN, webhook_secret(settings), "sk-0123456789"):
            told = encode(secret)
            api.scripts["sendMessage"].append(refused(status, f"no route for /bot{told}/sendMessage, {told}"))
            error = await failure(service, part())
            assert told.strip('"=') not in error.message
            assert error.message == str(error)
        await service.stop()


async def no_turn(service: TelegramService, waiting: Part) -> SendError:
    with pytest.raises(SendError) as caught:
        await service.wait_for_rate_limit(waiting)
    return caught.value


async def test_a_part_is_sent_with_its_entities_and_without_a_preview(
    service: TelegramService, api: ScriptedBotApi
) -> None:
    """What arrives is exactly what was planned; the receipt has Telegram's id."""
    [planned] = service.plan("**bold** `code` [x](https://a.b) \U0001f98a\n```py\nx\n```")
    receipt = await service.send(part(planned.text, style=planned.style))
    [asked] = api.made("sendMessage")
    assert (receipt.provider_id, receipt.state) == ("77", PartState.SENT)
    assert (asked["chat_id"], asked["text"]) == (700000001, planned.text)
    assert asked["entities"] == json.loads(planned.style or "")
    assert asked["link_preview_options"]["is_disabled"] is True
    assert "parse_mode" not in asked


async def test_in_a_group_the_answer_quotes_its_question_within_its_topic(
    service: TelegramService, api: ScriptedBotApi
) -> None:
    """The first part only; in a private chat nothing is quoted."""
    await service.send(part(user_id="-1005", reply_to="12/34"))
    await service.send(part(user_id="-1005", reply_to="12/34", number=2))
    await service.send(part(reply_to="12"))
    first, second, private = api.made("sendMessage")
    assert first["reply_parameters"] == {"message_id": 12, "allow_sending_without_reply": True}
    assert (first["message_thread_id"], second["message_thread_id"]) == (34, 34)
    assert "reply_parameters" not in second
    assert "reply_parameters" not in private


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (refused(400, "Bad Request: chat not found"), SendFailure.RECIPIENT, "400"),
        (refused(400, "Bad Request: PEER_ID_INVALID"), SendFailure.RECIPIENT, "400"),
        (refused(400, "Bad Request: message text is empty"), SendFailure.REJECTED, "400"),
        (refused(400, "Bad Request: message is too long"), SendFailure.REJECTED, "400"),
        (refused(400, "Bad Request: message thread not found"), SendFailure.REJECTED, "400"),
        (refused(400, "Bad Request: not enough rights to send text messages to the chat"), SendFailure.BLOCKED, "400"),
        (refused(400, "Bad Request: a thing invented tomorrow"), SendFailure.REJECTED, "400"),
        (refused(401, "Unauthorized"), SendFailure.CONFIG, "401"),
        (refused(403, "Forbidden: bot was blocked by the user"), SendFailure.BLOCKED, "403"),
        (refused(403, "Forbidden: bot was kicked from the supergroup chat"), SendFailure.BLOCKED, "403"),
        (refused(403, "Forbidden: user is deactivated"), SendFailure.RECIPIENT, "403"),
        (refused(403, "Forbidden: bot can't initiate conversation with a user"), SendFailure.RECIPIENT, "403"),
        (refused(404, "Not Found"), SendFailure.CONFIG, "404"),
        (refused(429, "Too Many Requests: retry after 7", retry_after=7), SendFailure.BUSY, "429"),
        (refused(413, "Request Entity Too Large"), SendFailure.REJECTED, "413"),
        (refused(500, "Internal Server Error"), SendFailure.UNKNOWN, "500"),
        (Reply(502, b"<html>Bad Gateway</html>"), SendFailure.UNKNOWN, "502"),
        (Reply(200, b"<html>half a pa"), SendFailure.UNKNOWN, "body"),
        (Reply(200, b'{"ok":true}'), SendFailure.UNKNOWN, "body"),
        (ok(True), SendFailure.UNKNOWN, "body"),
        (ok({"message": "of another kind"}), SendFailure.UNKNOWN, "body"),
        (Reply(403, b"<html>a proxy says no</html>"), SendFailure.OUTAGE, "403"),
        (CUT, SendFailure.UNKNOWN, "cut off"),
    ],
)
async def test_every_refusal_means_what_the_table_says(
    service: TelegramService, api: ScriptedBotApi, reply: Reply | str, kind: SendFailure, code: str
) -> None:
    """Known descriptions, unknown ones, answers that are none, a connection that is cut: one call, one meaning."""
    api.scripts["sendMessage"].append(reply)
    error = await failure(service, part())
    assert (error.kind, error.code) == (kind, code)
    assert isinstance(error, OutcomeUnknown) == (kind is SendFailure.UNKNOWN)
    assert TOKEN not in str(error)
    assert len(api.made("sendMessage")) == 1


async def test_a_server_that_cannot_be_reached_is_certainly_no_send(time: Time) -> None:
    """So the part may be repeated without any doubt."""
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    settings = Settings(telegram_bot_token=TOKEN, telegram_api_base_url=f"http://127.0.0.1:{port}")
    async with open_http_client() as client:
        error = await failure(TelegramService(settings, client), part())
    assert (error.kind, error.code) == (SendFailure.OUTAGE, "unreachable")


async def test_a_group_that_moved_tells_its_new_address(service: TelegramService, api: ScriptedBotApi) -> None:
    """migrate_to_chat_id travels with the error."""
    words = "Bad Request: group chat was upgraded to a supergroup chat"
    api.scripts["sendMessage"].append(refused(400, words, migrate_to_chat_id=-1009))
    assert (await failure(service, part(user_id="-5"))).moved_to == "-1009"


async def test_refused_formatting_is_left_out_once(service: TelegramService, api: ScriptedBotApi) -> None:
    """The same text goes without entities; if that is refused as well, so be it."""
    api.scripts["sendMessage"].append(refused(400, "Bad Request: can't parse entities: ENTITY_BOUNDS_INVALID"))
    style = '[{"type": "bold", "offset": 0, "length": 5}]'
    assert (await service.send(part(style=style))).provider_id == "77"
    styled, plain = api.made("sendMessage")
    assert styled["text"] == plain["text"]
    assert "entities" not in plain


STYLE = '[{"type": "bold", "offset": 0, "length": 5}]'
NO_REPLY = "Bad Request: message to be replied not found"
OPTIONAL = {"entities", "reply_parameters", "message_thread_id"}


@pytest.mark.parametrize(
    ("refusals", "kept"),
    [
        ([], {"entities", "reply_parameters", "message_thread_id"}),
        ([NO_REPLY], {"entities", "message_thread_id"}),
        (["Bad Request: message thread not found"], {"entities", "reply_parameters"}),
        (["Bad Request: TOPIC_DELETED", NO_REPLY], {"entities"}),
        (["Bad Request: TOPIC_CLOSED", "Bad Request: TOPIC_CLOSED"], {"entities"}),
        (["Bad Request: can't parse entities: ENTITY_BOUNDS_INVALID", NO_REPLY], {"message_thread_id"}),
    ],
)
async def test_a_message_goes_without_what_telegram_refuses(
    service: TelegramService, api: ScriptedBotApi, refusals: list[str], kept: set[str]
) -> None:
    """A deleted question, a deleted or closed topic, bad entities: the same text arrives, and the status counts it."""
    api.scripts["sendMessage"].extend(refused(400, text) for text in refusals)
    assert (await service.send(part(user_id="-1005", reply_to="12/34", style=STYLE))).provider_id == "77"
    asked = api.made("sendMessage")
    assert OPTIONAL & asked[-1].keys() == kept
    assert {one["text"] for one in asked} == {"Hello"}
    assert sum(service.left_out.values()) == len(refusals)


@pytest.mark.parametrize(
    "refusal",
    ["BUTTON_DATA_INVALID", "can't parse inline keyboard button: Text buttons are unallowed", "REPLY_MARKUP_TOO_LONG"],
)
async def test_an_answer_arrives_without_buttons_that_are_refused(
    service: TelegramService, api: ScriptedBotApi, refusal: str
) -> None:
    """What is below it matters less than the answer."""
    api.scripts["sendMessage"].append(refused(400, f"Bad Request: {refusal}"))
    assert (await service.send(part(origin=Origin.ANSWER))).provider_id == "77"
    assert ["reply_markup" in asked for asked in api.made("sendMessage")] == [True, False]
    assert service.left_out == {"buttons": 1}


async def test_outside_topics_every_part_replies_to_its_question(service: TelegramService, api: ScriptedBotApi) -> None:
    """Without that, the second part of a comment would leave the comments of the post."""
    for number in (1, 2, 3):
        await service.send(part(user_id="-1005", reply_to="12", number=number))
    assert [one["reply_parameters"]["message_id"] for one in api.made("sendMessage")] == [12, 12, 12]


@pytest.mark.parametrize(
    ("reply_to", "options", "thread"),
    [("12/34", {}, 34), ("12", {}, None), ("12", {"is_forum": True}, 1), ("12/34", {"is_forum": True}, 34)],
)
async def test_typing_is_shown_in_the_topic_of_the_question(
    service: TelegramService, api: ScriptedBotApi, reply_to: str, options: dict[str, Any], thread: int | None
) -> None:
    """General, which has no thread in its messages, is thread 1 here."""
    async with service.typing(replace(ASKED, reply_to=reply_to, options=options)):
        [asked, *_] = await api.until("sendChatAction")
    assert asked.get("message_thread_id") == thread


async def test_a_pause_of_the_indicator_holds_up_no_message(
    service: TelegramService, api: ScriptedBotApi, time: Time
) -> None:
    """Only the indicator waits as long as Telegram asked for it."""
    api.scripts["sendChatAction"].append(refused(429, "Too Many Requests", retry_after=300))
    async with service.typing(ASKED):
        [task] = service._typing._tasks
        await asyncio.wait({task})
    assert not service._typing.allowed(ASKED.user_id)
    await service.wait_for_rate_limit(part())
    assert time.slept == []
    assert (await service.send(part())).provider_id == "77"


async def test_plain_text_that_is_refused_is_not_repeated(service: TelegramService, api: ScriptedBotApi) -> None:
    """There is nothing left to leave out."""
    api.scripts["sendMessage"].append(refused(400, "Bad Request: can't parse entities"))
    assert (await failure(service, part())).kind is SendFailure.REJECTED
    assert len(api.made("sendMessage")) == 1


async def test_two_parts_to_one_person_are_a_second_apart(service: TelegramService, time: Time) -> None:
    """Telegram's rule for a chat; another person does not wait."""
    await service.wait_for_rate_limit(part())
    await service.wait_for_rate_limit(part(user_id="8"))
    assert time.slept == []
    await service.wait_for_rate_limit(part())
    assert time.slept == [pytest.approx(1.05)]


async def test_a_chat_waits_for_its_slot_however_many_wait_already(
    service: TelegramService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it put off, those who are sending would take each slot that becomes free before it comes again."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(service, "_sleep", sleep)
    for number in range(1, 302):
        await service.wait_for_rate_limit(part(user_id=str(number)))
    assert slept[-1] == pytest.approx(10.5)


@pytest.mark.parametrize(("per_second", "paid"), [(1, False), (30, False), (31, True), (1000, True)])
async def test_the_limit_of_all_chats_together_is_a_setting(
    api: ScriptedBotApi, time: Time, *, per_second: int, paid: bool
) -> None:
    """The message after as many waits for the window; above Telegram's own limit they are sent as paid broadcasts."""
    settings = Settings(
        telegram_bot_token=TOKEN, telegram_api_base_url=api.base_url, telegram_messages_per_second=per_second
    )
    async with open_http_client() as client:
        service = TelegramService(settings, client, clock=time.clock, monotonic=time.clock, sleep=time.sleep)
        for number in range(1, per_second + 2):
            assert time.slept == []
            await service.wait_for_rate_limit(part(user_id=str(number)))
        await service.send(part())
        await service.stop()
    assert len(time.slept) == 1
    assert [asked.get("allow_paid_broadcast") for asked in api.made("sendMessage")] == [True if paid else None]


async def test_a_full_group_puts_the_part_off_instead_of_waiting(service: TelegramService, api: ScriptedBotApi) -> None:
    """After twenty messages in a minute the next one is told when to come again; nothing is sent."""
    for _ in range(20):
        await service.wait_for_rate_limit(part(user_id="-5"))
        await service.send(part(user_id="-5"))
    error = await no_turn(service, part(user_id="-5"))
    assert error.kind is SendFailure.BUSY
    assert error.retry_after == pytest.approx(60.5)
    assert len(api.made("sendMessage")) == 20


async def test_after_a_429_the_chat_is_left_alone(service: TelegramService, api: ScriptedBotApi) -> None:
    """A second call within the pause would only make it longer."""
    api.scripts["sendMessage"].append(refused(429, "Too Many Requests: retry after 30", retry_after=30))
    assert (await failure(service, part())).retry_after == 30
    again = await no_turn(service, part())
    assert again.code == "rate_limit"
    assert again.retry_after == pytest.approx(30)
    assert len(api.made("sendMessage")) == 1


async def test_typing_is_shown_again_and_again_until_the_answer_is_there(
    service: TelegramService, api: ScriptedBotApi, time: Time
) -> None:
    """An indicator lasts five seconds, a model may take longer."""
    async with service.typing(ASKED):
        calls = await api.until("sendChatAction", 3)
    assert calls[0] == {"chat_id": 700000001, "action": "typing"}
    assert set(time.slept) == {4.5}


@pytest.mark.parametrize("reply", [refused(403, "Forbidden"), refused(429, "x", retry_after=9), Reply(500, b"x"), CUT])
async def test_trouble_with_typing_troubles_nobody(
    service: TelegramService, api: ScriptedBotApi, reply: Reply | str
) -> None:
    """It ends, without a word, and the answer goes on."""
    api.scripts["sendChatAction"].append(reply)
    async with service.typing(ASKED):
        [task] = service._typing._tasks
        await asyncio.wait({task})
    assert task.exception() is None
    assert len(api.made("sendChatAction")) == 1


@pytest.mark.parametrize("reply", [Reply(502, b"<html>"), refused(502, "Bad Gateway"), Reply(407, b"<html>"), CUT])
async def test_a_probe_tells_whether_sending_works(
    service: TelegramService, api: ScriptedBotApi, reply: Reply | str
) -> None:
    """It calls the method that sends, without a text, so that nobody gets anything; every refusal is an answer."""
    api.scripts["sendMessage"].extend([reply, refused(429, "x", retry_after=9)])
    with pytest.raises(SendError):
        await service.probe()
    await service.probe()
    await service.probe()
    assert [asked["text"] for asked in api.made("sendMessage")] == [""] * 3


async def test_the_menu_shows_every_command(service: TelegramService, api: ScriptedBotApi) -> None:
    """Name and description, in our order; a group is offered what works there, its administrators /clear too.

    In English to all, and in each of the other languages to those whose Telegram speaks it.
    """
    await service.register_commands()
    calls = {(call.get("language_code", ENGLISH), call["scope"]["type"]): call for call in api.made("setMyCommands")}
    assert {language for language, _ in calls} == set(offered_languages())
    for language in offered_languages():
        listed = calls[language, "default"]["commands"]
        assert [(one["command"], one["description"]) for one in listed] == list(descriptions(language).items())
    assert calls["de", "default"]["commands"][1]["description"] == "Was ich kann"
    assert "language_code" not in calls[ENGLISH, "default"]
    asked = {scope: call["commands"] for (language, scope), call in calls.items() if language == ENGLISH}
    names = {scope: {one["command"] for one in commands} for scope, commands in asked.items()}
    assert names["all_chat_administrators"] == COMMANDS.keys() - {"setname"}
    of_admins = {"clear", "language", "model", "export", "forget"}
    assert names["all_group_chats"] == COMMANDS.keys() - {"setname", *of_admins}


async def test_operators_alone_are_offered_their_command(api: ScriptedBotApi) -> None:
    """In the menu of their own chat with the bot, in every language; one who has not written to it yet has none."""
    api.scripts["setMyCommands"].extend([ok(True)] * 30)
    api.scripts["setMyCommands"].append(refused(400, "Bad Request: chat not found"))
    settings = Settings(telegram_bot_token=TOKEN, telegram_api_base_url=api.base_url, telegram_admins="5,700000001")
    async with open_http_client() as client:
        await TelegramService(settings, client).register_commands()
    offered = [call for call in api.made("setMyCommands") if call["commands"][-1]["command"] == "admin"]
    assert {call["scope"]["type"] for call in offered} == {"chat"}
    assert [call["scope"]["chat_id"] for call in offered] == [5] + [700000001] * len(offered_languages())
    assert len(api.made("setMyCommands")) == 3 * len(offered_languages()) + len(offered)


async def test_the_bot_learns_its_name(service: TelegramService) -> None:
    """Without it no mention in a group can be recognised."""
    await service.learn_identity()
    assert service.me.username == USERNAME


async def test_a_refused_token_is_told_apart_from_trouble(api: ScriptedBotApi) -> None:
    """CONFIG pauses the channel; trouble is tried again."""
    settings = Settings(telegram_bot_token="1:" + "wrong" * 7, telegram_api_base_url=api.base_url)
    async with open_http_client() as client:
        with pytest.raises(SendError) as caught:
            await TelegramService(settings, client).learn_identity()
    assert caught.value.kind is SendFailure.CONFIG


def test_the_pause_that_telegram_asks_for_is_read_with_care() -> None:
    """Nonsense in retry_after is no pause."""
    bodies = [{"retry_after": value} for value in (5, -1, "x", True, 1e300)]
    pauses = [
        refusal(429, json.dumps({"ok": False, "error_code": 429, "parameters": body}).encode()).retry_after
        for body in bodies
    ]
    assert pauses == [5.0, None, None, None, None]


async def test_the_shared_client_stays_open(api: ScriptedBotApi, time: Time) -> None:
    """It belongs to the process, not to the service."""
    client: httpx.AsyncClient = open_http_client()
    settings = Settings(telegram_bot_token=TOKEN, telegram_api_base_url=api.base_url)
    service = TelegramService(settings, client)
    await service.learn_identity()
    await service.stop()
    assert not client.is_closed
    await client.aclose()
