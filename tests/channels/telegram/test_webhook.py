"""The webhook at Telegram: what is done about addresses that are not ours, and what the operator is shown of it."""

from __future__ import annotations

from typing import Any

import pytest

from relay.channels.telegram.webhook import Webhook, WebhookState
from relay.core.errors import SendError
from relay.core.messages import Platform

OURS = "https://relay.example/telegram/webhook"
OTHER = "https://other.example/bot"
NOW = 1_790_000_000.0


class Bot:
    """Telegram's side: one webhook. `others` are set by another copy of the bot, one before each look."""

    def __init__(self, url: str = "", **info: Any) -> None:
        self.info: dict[str, Any] = {"url": url, "pending_update_count": 0, **info}
        self.others: list[str] = []
        self.calls: list[str] = []

    async def learn_identity(self) -> None:
        self.calls.append("getMe")

    async def call(self, method: str, parameters: dict[str, Any], *, seconds: float = 5.0) -> Any:
        del seconds
        if method == "getWebhookInfo":
            if self.others:
                self.info["url"] = self.others.pop(0)
            return dict(self.info)
        self.calls.append(" ".join((method, *map(str, parameters.values()))))
        self.info["url"] = parameters.get("url", "")
        return True


class State:
    def __init__(self, registered: str | None = None) -> None:
        self.values: dict[str, Any] = {"webhook": {"url": registered}} if registered else {}

    async def read_state(self, platform: Platform, name: str) -> Any:
        del platform
        return self.values.get(name)

    async def set_state(self, platform: Platform, name: str, value: Any) -> None:
        del platform
        self.values[name] = value


class Scene:
    """A webhook at a time that the test moves."""

    def __init__(self, bot: Bot, url: str | None = OURS, registered: str | None = None) -> None:
        self.bot = bot
        self.now = NOW
        self.state = State(registered)
        former = None if url else OURS
        self.webhook = Webhook(
            bot,  # type: ignore[arg-type]
            self.state,  # type: ignore[arg-type]
            url,
            "s3cret",
            learn_identity=bot.learn_identity,
            allowed_updates=("message",),
            former_url=former,
            clock=lambda: self.now,
        )

    async def look(self, after: float = 15.0) -> WebhookState:
        self.now += after
        await self.webhook.check()
        return self.webhook.state

    def report(self) -> dict[str, Any]:
        return self.webhook.report() or {}


async def test_a_foreign_address_is_replaced_once() -> None:
    """It may be what a test has left behind; ours is noted as the address that this database registered."""
    scene = Scene(Bot(OURS))
    scene.bot.others = [OTHER]
    assert await scene.look() is WebhookState.REGISTERED
    assert scene.bot.calls == ["getMe", f"setWebhook {OURS} s3cret ['message']"]
    assert scene.state.values["webhook"] == {"url": OURS}
    assert await scene.look() is WebhookState.REGISTERED
    assert len(scene.bot.calls) == 2


@pytest.mark.parametrize("again", [OTHER, "", "https://third.example/"])
async def test_an_address_that_comes_again_within_an_hour_is_explained_and_left(again: str) -> None:
    """Two copies would take the bot from each other for ever."""
    scene = Scene(Bot(OURS))
    scene.bot.others = [OTHER, again]
    await scene.look()
    for _ in range(3):
        assert await scene.look(600) is WebhookState.CONFLICT
    assert len(scene.bot.calls) == 2
    report = scene.report()
    assert (report["registered"], report["state"]) == (False, "conflict")
    assert "another copy of this bot" in report["last_error"]


async def test_an_address_that_stays_is_left_for_ever() -> None:
    """The copy that holds the bot works; ours does not take it every hour."""
    scene = Scene(Bot(OURS))
    scene.bot.others = [OTHER, OTHER]
    await scene.look()
    for after in (60, 4000, 4000):
        assert await scene.look(after) is WebhookState.CONFLICT
    assert len(scene.bot.calls) == 2


async def test_an_address_that_comes_hours_later_is_replaced_again() -> None:
    """It has nothing to do with the first one."""
    scene = Scene(Bot(OURS))
    scene.bot.others = [OTHER]
    await scene.look()
    await scene.look()
    scene.bot.others = [OTHER]
    assert await scene.look(3700) is WebhookState.REGISTERED
    assert len(scene.bot.calls) == 4


async def test_when_the_other_copy_is_gone_ours_is_set_again() -> None:
    """No restart is needed."""
    scene = Scene(Bot(OURS))
    scene.bot.others = [OTHER, OTHER]
    await scene.look()
    assert await scene.look() is WebhookState.CONFLICT
    scene.bot.info["url"] = ""
    assert await scene.look(3700) is WebhookState.REGISTERED


async def test_deliveries_that_fail_are_shown_with_their_time() -> None:
    """In the words of Telegram, until five minutes after the last one."""
    bot = Bot(OURS, last_error_date=int(NOW), last_error_message="Wrong response from the webhook: 502 Bad Gateway")
    scene = Scene(bot)
    assert await scene.look() is WebhookState.FAILING
    report = scene.report()
    assert report["registered"]
    assert report["last_error"] == "Wrong response from the webhook: 502 Bad Gateway"
    assert report["last_error_at"].startswith("2026-")
    assert await scene.look(301) is WebhookState.REGISTERED


@pytest.mark.parametrize("broken", [{"url": 5}, {"url": None}, {}, {"url": OURS, "last_error_date": "soon"}])
async def test_an_answer_of_another_shape_breaks_nothing(broken: dict[str, Any]) -> None:
    """Telegram is not trusted to keep its types."""
    scene = Scene(Bot())
    scene.bot.info = broken
    await scene.look()
    assert scene.report()["last_error_at"] is None


# -- polling -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "registered"), [("", None), (OURS, None), ("https://former.example/x", "https://former.example/x")]
)
async def test_polling_removes_a_webhook_of_ours(url: str, registered: str | None) -> None:
    """The one at our public address, and one that a server on this database registered; pending updates are kept."""
    scene = Scene(Bot(url), None, registered)
    await scene.webhook.release()
    assert scene.bot.calls == ["deleteWebhook"]


async def test_polling_leaves_the_webhook_of_another_copy() -> None:
    """A copy for tests must not take the bot from the one that serves people; the operator can make it."""
    scene = Scene(Bot(OTHER, pending_update_count=3), None)
    with pytest.raises(SendError, match=f"pushed to {OTHER}.*/telegram/polling/start") as error:
        await scene.webhook.release()
    assert (error.value.code, scene.bot.calls) == ("409", [])
    scene.webhook.claim()
    await scene.webhook.release()
    assert scene.bot.calls == ["deleteWebhook"]
    scene.bot.info["url"] = OTHER
    with pytest.raises(SendError):  # it was claimed once
        await scene.webhook.release()


async def test_polling_removes_a_webhook_behind_which_updates_wait_for_ten_minutes() -> None:
    """An address of a former program that nothing serves any more."""
    scene = Scene(Bot(OTHER, pending_update_count=1, last_error_date=int(NOW)), None)
    for _ in range(20):
        with pytest.raises(SendError):
            await scene.webhook.release()
        scene.now += 30
    await scene.webhook.release()
    assert scene.bot.calls == ["deleteWebhook"]


async def test_a_webhook_that_recovers_is_not_taken_for_abandoned() -> None:
    """Each delivery that succeeds begins the ten minutes anew."""
    scene = Scene(Bot(OTHER, pending_update_count=1, last_error_date=int(NOW)), None)
    for count in (1, 0, 1):
        scene.bot.info["pending_update_count"] = count
        with pytest.raises(SendError):
            await scene.webhook.release()
        scene.now += 400
    assert scene.bot.calls == []
