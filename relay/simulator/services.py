"""Wires the simulator's services together."""

from __future__ import annotations

import random
from collections.abc import Callable

import httpx

from relay.config.settings import Settings
from relay.simulator.telegram_chats import Chats
from relay.simulator.telegram_methods import BotApi
from relay.simulator.telegram_phone import TelegramPhones
from relay.simulator.telegram_push import WebhookPusher
from relay.simulator.telegram_updates import UpdateQueue
from relay.simulator.twilio_network import TwilioNetwork
from relay.simulator.webhooks import WebhookCaller
from relay.simulator.world import World


class Simulator:
    """Both providers and the phones on one World. The constructor opens nothing."""

    def __init__(
        self, settings: Settings, client: httpx.AsyncClient, clock: Callable[[], float], rng: random.Random
    ) -> None:
        self.world = World(settings, clock, rng)
        self.twilio = TwilioNetwork(self.world, WebhookCaller(client))
        self.chats = Chats(self.world)
        self.updates = UpdateQueue(self.world)
        self.bot = BotApi(self.world, self.chats, self.updates, WebhookPusher(self.world, self.updates, client))
        self.telegram = TelegramPhones(self.world, self.chats, self.updates, self.bot)

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
        self.updates.notify()

    async def close(self) -> None:
        self.stop_waiting()
        await self.world.close()
