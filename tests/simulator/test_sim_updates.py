"""Updates on their way to the bot: long polling with its offset and conflicts, and the webhook with its retries."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from relay.channels.telegram.settings import SIMULATED_BOT_TOKEN
from tests.simulator.running_simulator import ADA, BEN, PATIENCE, Receiver, RunningSimulator

POLL = f"/bot{SIMULATED_BOT_TOKEN}/getUpdates"


def texts(updates: list[dict[str, Any]]) -> list[str]:
    return [update["message"]["text"] for update in updates]


def test_updates_come_again_until_a_higher_offset_confirms_them(sim: RunningSimulator) -> None:
    """A poll alone confirms nothing; the person's tick turns when the bot has it for good."""
    for text in ("one", "two", "three"):
        sim.write(text)
    first = sim.ok("getUpdates", limit=2)
    assert texts(first) == ["one", "two"]
    assert texts(sim.ok("getUpdates")) == ["one", "two", "three"]
    assert texts(sim.ok("getUpdates", offset=first[-1]["update_id"] + 1)) == ["three"]
    assert [bubble["status"] for bubble in sim.bubbles("telegram", ADA, "in")] == ["delivered", "delivered", "sent"]
    assert texts(sim.ok("getUpdates")) == ["three"]


def test_a_negative_offset_forgets_the_rest(sim: RunningSimulator) -> None:
    """Only the last ones are left."""
    for text in ("one", "two", "three"):
        sim.write(text)
    assert texts(sim.ok("getUpdates", offset=-1)) == ["three"]
    assert texts(sim.ok("getUpdates")) == ["three"]
    assert sim.ok("getUpdates", offset=-5) != []


def test_update_ids_rise_one_by_one_and_start_above_those_of_earlier_runs(sim: RunningSimulator) -> None:
    """The start is made from the time."""
    ids = [sim.write(text)["update_id"] for text in "abc"]
    assert ids == [ids[0], ids[0] + 1, ids[0] + 2]
    assert ids[0] > 1_000_000


def test_ids_go_on_after_a_reset(sim: RunningSimulator) -> None:
    """A reset must not make the bot take new messages for repeats."""
    before = sim.write("one")
    sim.sim("POST", "reset")
    after = sim.write("one")
    assert after["update_id"] > before["update_id"]
    assert after["message_id"] > before["message_id"]


def test_a_long_poll_ends_when_something_arrives(sim: RunningSimulator) -> None:
    """The answer comes with the message, not with the timeout."""
    with ThreadPoolExecutor() as pool:
        poll = pool.submit(sim.http.get, POLL, params={"timeout": 20})
        sim.write("hello")
        assert texts(poll.result(PATIENCE).json()["result"]) == ["hello"]


async def test_a_second_poller_ends_the_first_with_a_conflict(sim: RunningSimulator) -> None:
    """409 for the one that was there."""
    async with httpx.AsyncClient(base_url=sim.base, timeout=PATIENCE) as client:
        first = asyncio.create_task(client.get(POLL, params={"timeout": 20}))
        while not first.done():
            second = asyncio.create_task(client.get(POLL, params={"timeout": 0}))
            assert (await second).status_code == 200
        assert first.result().status_code == 409
        assert "terminated by other getUpdates" in first.result().json()["description"]


def test_allowed_updates_is_remembered_and_works_at_creation(sim: RunningSimulator) -> None:
    """What was queued before stays; what is not wanted is never queued."""
    sim.write("before")
    sim.ok("getUpdates", allowed_updates=["edited_message"])
    written = sim.write("not wanted")
    assert written["update_id"] is None
    sim.write("edited", edit_of=written["message_id"])
    assert [sorted(update) for update in sim.ok("getUpdates")] == [
        ["message", "update_id"],
        ["edited_message", "update_id"],
    ]


def test_reactions_and_members_come_only_when_asked_for(sim: RunningSimulator) -> None:
    """An empty list means all but those."""
    assert sim.sim("POST", "telegram/raw", json={"message_reaction": {"chat": {"id": ADA}}})["update_id"] is None
    sim.ok("getUpdates", allowed_updates=json.dumps(["message_reaction"]))
    assert sim.sim("POST", "telegram/raw", json={"message_reaction": {"chat": {"id": ADA}}})["update_id"] is not None


@pytest.mark.parametrize("parameters", [{"offset": "x"}, {"allowed_updates": "message"}, {"allowed_updates": [1]}])
def test_odd_parameters_of_a_poll_are_bad_requests(sim: RunningSimulator, parameters: dict[str, Any]) -> None:
    """400 in Telegram's shape."""
    assert sim.bot("getUpdates", **parameters)["error_code"] == 400


def test_any_raw_update_is_delivered_as_it_is(sim: RunningSimulator) -> None:
    """However odd; an old update_id comes although it was confirmed long ago."""
    newest = sim.write("new")["update_id"]
    sim.ok("getUpdates", offset=newest + 1)
    sim.sim("POST", "telegram/raw", json={"update_id": newest, "never_seen": {"a": [None]}})
    assert sim.ok("getUpdates", offset=newest + 1) == [{"update_id": newest, "never_seen": {"a": [None]}}]
    assert sim.ok("getUpdates", offset=newest + 1) == []


def test_half_a_character_gets_through_to_the_bot(sim: RunningSimulator) -> None:
    """JSON may carry it in an escape; a bot that cannot store it must not stumble for ever."""
    headers = {"Content-Type": "application/json"}
    assert sim.http.post("/sim/telegram/raw", content=b'{"odd": "\\ud83d"}', headers=headers).status_code == 200
    assert b'"odd":"\\ud83d"' in sim.http.get(POLL).content


def test_an_update_may_come_twice_by_fault(sim: RunningSimulator) -> None:
    """Even after it was confirmed."""
    sim.fault(target="telegram_update", effect="duplicate", count=1)
    sim.write("again")
    updates = sim.ok("getUpdates")
    assert texts(updates) == ["again", "again"]
    assert updates[0]["update_id"] == updates[1]["update_id"]


def test_updates_may_change_places_by_fault(sim: RunningSimulator) -> None:
    """The late one comes although a higher id was confirmed."""
    sim.fault(target="telegram_update", effect="disorder", seconds=3, count=1)
    sim.write("first")
    later = sim.write("second")["update_id"]
    assert texts(sim.ok("getUpdates")) == ["second"]
    assert texts(sim.ok("getUpdates", offset=later + 1, timeout=50)) == ["first"]


def test_an_update_may_be_lost_by_fault(sim: RunningSimulator) -> None:
    """The person's message stays at one tick for ever."""
    sim.fault(target="telegram_update", effect="lose", count=1)
    sim.write("gone")
    assert sim.ok("getUpdates") == []
    assert sim.bubbles("telegram", ADA, "in")[0]["status"] == "sent"


# -- the webhook -------------------------------------------------------------------------------------------------------


def test_the_webhook_gets_updates_with_the_secret(sim: RunningSimulator, hook: Receiver) -> None:
    """What waits is pushed at once, and is confirmed by a 2xx."""
    sim.write("waiting")
    sim.ok("setWebhook", url=f"{hook.url}/telegram/webhook", secret_token="s3cret_-")
    got = hook.next()
    assert (got.path, got.headers["x-telegram-bot-api-secret-token"]) == ("/telegram/webhook", "s3cret_-")
    assert json.loads(got.body)["message"]["text"] == "waiting"
    assert sim.bot("getUpdates")["error_code"] == 409


def test_a_refused_update_is_pushed_again_and_the_error_is_reported(sim: RunningSimulator, hook: Receiver) -> None:
    """Other chats go on meanwhile, this one keeps its order."""
    hook.answers = [(500, ""), (503, "")]
    sim.ok("setWebhook", url=hook.url)
    sim.write("one")
    sim.write("two")
    got = [json.loads(hook.next().body)["message"]["text"] for _ in range(4)]
    assert got == ["one", "one", "one", "two"]
    assert "503" in sim.ok("getWebhookInfo")["last_error_message"]


def test_one_chat_that_fails_does_not_hold_up_another(sim: RunningSimulator, hook: Receiver) -> None:
    """The pause after a failure is the chat's own."""
    sim.sim("POST", "options", json={"telegram_retry_seconds": 30})
    hook.answers = [(500, "")]
    sim.ok("setWebhook", url=hook.url)
    sim.write("stuck")
    hook.next()
    sim.write("free", BEN)
    assert json.loads(hook.next().body)["message"]["text"] == "free"
    assert sim.ok("getWebhookInfo")["pending_update_count"] >= 1


def test_a_webhook_without_a_server_keeps_its_updates(sim: RunningSimulator) -> None:
    """Connection refused is told, nothing is lost: polling gets it later."""
    sim.ok("setWebhook", url="http://127.0.0.1:9/telegram/webhook")
    sim.write("patience")
    while "last_error_message" not in sim.ok("getWebhookInfo"):
        pass
    assert sim.ok("getWebhookInfo")["last_error_message"] == "Connection refused"
    sim.ok("deleteWebhook")
    assert texts(sim.ok("getUpdates")) == ["patience"]


def test_pending_updates_can_be_dropped(sim: RunningSimulator) -> None:
    """On demand only."""
    sim.write("old")
    sim.ok("deleteWebhook", drop_pending_updates=True)
    assert sim.ok("getUpdates") == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"url": "http://example.org/hook"},
        {"url": "ftp://127.0.0.1/hook"},
        {"url": "https://example.org:444/hook"},
        {"url": "http://[::1"},
        {"url": "https://example.org", "secret_token": "no blanks"},
        {"url": "https://example.org", "max_connections": 101},
    ],
)
def test_a_webhook_that_telegram_would_not_take_is_refused(sim: RunningSimulator, parameters: dict[str, Any]) -> None:
    """400, and polling goes on."""
    assert sim.bot("setWebhook", **parameters)["error_code"] == 400
    assert sim.ok("getWebhookInfo")["url"] == ""
    assert sim.ok("getUpdates") == []
