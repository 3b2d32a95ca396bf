"""An operator is called once at the beginning and once at the end, whatever restarts in between."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from relay.alerts.conditions import AlertCondition
from relay.alerts.sending import send, send_each
from relay.alerts.watcher import AlertWatcher
from relay.config.errors import SettingsError
from relay.config.loading import load_settings
from relay.core.errors import StorageError
from relay.core.messages import Platform
from tests.console.running import browsing, settings_for
from tests.settings import Settings

AWAY = AlertCondition("model", "The model is away", "Check it.")
FULL = AlertCondition("disk", "The disk is full", "Make room.")


class StoredState:
    """The database of the alerts; it can be away, or be watched by another console."""

    owner = "here"

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.holder = "here"
        self.is_away = False

    def _check(self) -> None:
        if self.is_away:
            raise StorageError("the disk is gone")

    async def read_state(self, platform: Platform, name: str) -> Any:  # noqa: ARG002 (of the protocol)
        self._check()
        return json.loads(json.dumps(self.values.get(name)))

    async def set_state(self, platform: Platform, name: str, value: Any) -> None:  # noqa: ARG002
        self._check()
        self.values[name] = json.loads(json.dumps(value))

    async def hold_lease(self, platform: Platform, name: str, seconds: float) -> str:  # noqa: ARG002
        self._check()
        return self.holder


class World:
    """What is wrong, what was sent, and consoles that watch it one after the other."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.wrong: list[AlertCondition] = []
        self.sent: list[str] = []
        self.refuses = False
        self.store = StoredState()
        self.restart()

    def restart(self) -> None:
        self.watcher = AlertWatcher(self.store, self.observe, self.send, lambda: self.now)  # type: ignore[arg-type]

    async def observe(self) -> list[AlertCondition]:
        return self.wrong

    async def send(self, title: str, text: str) -> bool:
        if not self.refuses:
            self.sent.append(f"{title} | {text}")
        return not self.refuses

    async def rounds(self, count: int, *wrong: AlertCondition) -> list[str]:
        """What is sent in so many rounds, half a minute each, with this wrong."""
        self.wrong, before = list(wrong), len(self.sent)
        for _ in range(count):
            self.now += 30
            await self.watcher.watch_once()
        return self.sent[before:]


@pytest.fixture
def world() -> World:
    return World()


BEGINS = "Relay: The model is away | Check it."


async def test_once_at_the_beginning_and_once_at_the_end(world: World) -> None:
    """With what to do, and with how long it lasted."""
    assert await world.rounds(1, AWAY) == []
    assert await world.rounds(20, AWAY) == [BEGINS]
    assert await world.rounds(1) == []
    assert await world.rounds(5) == ["Relay: over: The model is away | It lasted 10 min. Nothing is left to do."]
    assert await world.rounds(2, AWAY) == [BEGINS]


async def test_what_comes_and_goes_calls_nobody_twice(world: World) -> None:
    """A server that restarts is away for one round; one that flaps has not come back."""
    for _ in range(4):
        assert await world.rounds(1, AWAY) == []
        assert await world.rounds(1) == []
    assert await world.rounds(2, AWAY) == [BEGINS]
    for _ in range(4):
        assert await world.rounds(1) == []
        assert await world.rounds(1, AWAY) == []


async def test_conditions_are_counted_each_for_itself(world: World) -> None:
    """The end of one is not that of the other."""
    assert await world.rounds(2, AWAY) == [BEGINS]
    assert await world.rounds(2, AWAY, FULL) == ["Relay: The disk is full | Make room."]
    assert await world.rounds(2, FULL) == ["Relay: over: The model is away | It lasted 2 min. Nothing is left to do."]
    assert sorted(world.watcher.open) == ["disk"]


async def test_a_restart_does_not_call_again(world: World) -> None:
    """Neither for what goes on, nor is the end forgotten."""
    await world.rounds(3, AWAY)
    world.restart()
    assert await world.rounds(5, AWAY) == []
    world.restart()
    assert await world.rounds(2) == ["Relay: over: The model is away | It lasted 4 min. Nothing is left to do."]
    world.restart()
    assert await world.rounds(3) == []


async def test_what_could_not_be_sent_is_tried_again(world: World) -> None:
    """At the beginning as at the end; with its last words, because a reason may have become clear."""
    world.refuses = True
    assert await world.rounds(4, AWAY) == []
    world.refuses = False
    assert await world.rounds(1, AlertCondition("model", "The model is gone", "Buy one.")) == [
        "Relay: The model is gone | Buy one."
    ]
    world.refuses = True
    await world.rounds(4)
    world.refuses = False
    assert len(await world.rounds(2)) == 1


async def test_a_database_that_is_away_is_called_for_and_kept_later(world: World) -> None:
    """Once; and a restart after it came back does not call again."""
    world.store.is_away = True
    assert len(await world.rounds(5, FULL)) == 1
    world.store.is_away = False
    assert await world.rounds(1, FULL) == []
    world.restart()
    assert await world.rounds(4, FULL) == []


async def test_only_one_of_two_consoles_calls(world: World) -> None:
    """The other takes over with what was sent, when the first is gone."""
    await world.rounds(3, AWAY)
    other = AlertWatcher(world.store, world.observe, world.send, lambda: world.now)  # type: ignore[arg-type]
    world.store.holder = "elsewhere"
    world.watcher = other
    assert await world.rounds(5, AWAY, FULL) == []
    world.store.holder = "here"
    assert await world.rounds(3, AWAY, FULL) == ["Relay: The disk is full | Make room."]


class Receiver(ThreadingHTTPServer):
    """Takes the notifications of apprise's json:// addresses; `status` is its answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ReceiverHandler)
        self.taken: list[dict[str, Any]] = []
        self.status = 200

    @property
    def url(self) -> SecretStr:
        return SecretStr(f"json://127.0.0.1:{self.server_port}/secret-path")


class _ReceiverHandler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


async def test_an_alert_arrives_and_failures_name_no_address(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """One address that takes it is enough; the log names the kind of the one that does not, never the address."""
    assert await send([receiver.url, SecretStr("json://127.0.0.1:9/secret-path")], "Relay: title", "What to do.")
    [taken] = receiver.taken
    assert (taken["title"], taken["message"]) == ("Relay: title", "What to do.")
    receiver.status = 500
    assert not await send([receiver.url], "Relay: title", "What to do.")
    assert await send_each([SecretStr("nonsense://nowhere")], "a", "b") == [("nonsense", False)]
    assert "could not be sent by json" in caplog.text
    assert "secret-path" not in caplog.text


async def test_the_page_sends_a_test_and_shows_no_secret(receiver: Receiver, tmp_path: Path) -> None:
    """Each address with its result; without addresses the page shows how to add one."""
    async with browsing(settings_for(tmp_path, alert_urls=(receiver.url,))) as browser:
        page = (await browser.post("/alerts")).text
        assert "json: the test was taken." in page
        receiver.status = 503
        refused = (await browser.post("/alerts")).text
        assert "json: the test was not taken." in refused
        assert "secret-path" not in page + refused
    assert len(receiver.taken) == 2
    async with browsing(settings_for(tmp_path)) as browser:
        assert "ALERT_URLS=" in (await browser.get("/alerts")).text


URLS: list[tuple[str, str, list[str]]] = [
    ("one", "ntfy://topic", ["ntfy://topic"]),
    ("spaces", "ntfy://topic  mailto://me:pw@example.com?to=a@b.c,d@e.f",
     ["ntfy://topic", "mailto://me:pw@example.com?to=a@b.c,d@e.f"]),
    ("commas", "ntfy://topic, tgram://123:abc/4567,slack://T/B/x", ["ntfy://topic", "tgram://123:abc/4567", "slack://T/B/x"]),
    ("line breaks", "\n ntfy://topic\n\tslack://T/B/x\n", ["ntfy://topic", "slack://T/B/x"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "urls"), [row[1:] for row in URLS], ids=[row[0] for row in URLS])
def test_addresses_are_told_apart(tmp_path: Path, text: str, urls: list[str]) -> None:
    """And each of them is a secret of its own."""
    settings = load_settings(Settings, tmp_path, {"ALERT_URLS": text})
    assert [url.get_secret_value() for url in settings.alert_urls] == urls
    assert set(urls) <= set(settings.secrets())
    assert "topic" not in repr(settings)


@pytest.mark.parametrize("text", ["me@example.com", "ntfy:topic", "ntfy://"], ids=["an address", "no slashes", "empty"])
def test_what_is_no_address_is_refused(tmp_path: Path, text: str) -> None:
    """At the start, with the form that is expected."""
    with pytest.raises(SettingsError, match="mailto://user"):
        load_settings(Settings, tmp_path, {"ALERT_URLS": text})
