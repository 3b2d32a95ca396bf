"""Wires the simulator's services together, and starts and stops them."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import httpx

from relay.channels.sms.settings import SmsSettings
from relay.config.settings import Settings
from relay.simulator.telegram_chats import Chats
from relay.simulator.telegram_methods import BotApi
from relay.simulator.telegram_phone import TelegramPhones
from relay.simulator.telegram_push import WebhookPusher
from relay.simulator.telegram_updates import UpdateQueue
from relay.simulator.twilio_network import TwilioNetwork
from relay.simulator.twilio_webhooks import WebhookCaller
from relay.simulator.world import World


class Simulator:
    """Both providers and the phones on one World. The constructor opens nothing."""

    def __init__(
        self, settings: Settings, client: httpx.AsyncClient, clock: Callable[[], float], rng: random.Random
    ) -> None:
        self.settings = settings
        self.world = World(settings, clock, rng)
        token = settings.group(SmsSettings).twilio_auth_token
        caller = WebhookCaller(client, token.get_secret_value() if token else "")
        self.twilio = TwilioNetwork(self.world, caller)
        self.chats = Chats(self.world)
        self.updates = UpdateQueue(self.world)
        self.pusher = WebhookPusher(self.world, self.updates, client)
        self.bot = BotApi(self.world, self.chats, self.updates, self.pusher)
        self.telegram = TelegramPhones(self.world, self.chats, self.updates, self.bot)

    def start(self) -> None:
        self.world.spawn(self.pusher.run(), permanent=True)

    def reset(self, seed: int | None = None) -> None:
        """Clear people, messages, updates, faults and counters; ids keep rising."""
        self.world.reset(seed)
        self.chats.clear()
        self.updates.clear()
        self.bot.clear()
        self.twilio.messages.clear()

    def stop_waiting(self) -> None:
        """End all long polls, waits and event streams, so that the server can stop at once."""
        self.world.stop()
        self.updates.arrived.set()

    async def close(self) -> None:
        self.stop_waiting()
        await self.world.close()


@contextlib.contextmanager
def on_stop_signals(call: Callable[[], None]) -> Iterator[None]:
    """Run `call` on SIGTERM and SIGINT, before the handler installed earlier.

    uvicorn ends the lifespan only after all requests, and a long poll or an event stream would not end by itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        call()
        earlier = before[signal.Signals(number)]
        if callable(earlier):
            earlier(number, frame)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
