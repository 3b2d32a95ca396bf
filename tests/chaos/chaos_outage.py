"""PostgreSQL is stopped with SIGSTOP for a minute under load: what webhooks and GET /ready answer meanwhile."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import httpx

from tests.chaos.chaos_faults import frozen
from tests.chaos.chaos_product import ChaosProduct
from tests.chaos.proxy import FaultyProxy, Forwarded
from tests.running_postgresql import Postgresql

SECONDS = 60.0
MAX_WEBHOOK_SECONDS = 10.0
MAX_READY_SECONDS = 1.0
"""The promises, without an allowance: a campaign needs a machine of its own."""


@dataclass(slots=True)
class Outage:
    """ready: seconds until each server said that it is not ready. webhooks: those that began in the outage."""

    ready: dict[str, float] = field(default_factory=dict)
    webhooks: list[Forwarded] = field(default_factory=list)

    @property
    def refused(self) -> list[Forwarded]:
        return [one for one in self.webhooks if one.status == httpx.codes.SERVICE_UNAVAILABLE]

    @property
    def slowest(self) -> float:
        return max((one.seconds for one in self.webhooks), default=0.0)

    def broken(self) -> list[str]:
        """A sentence for each promise that did not hold."""
        found = [f"{name} was ready for {took:.1f} s" for name, took in self.ready.items() if took > MAX_READY_SECONDS]
        found += [f"a webhook took {one.seconds:.1f} s" for one in self.webhooks if one.seconds > MAX_WEBHOOK_SECONDS]
        found += ["a 503 without Retry-After" for one in self.refused if not one.retry_after]
        return found if self.refused else [*found, "no webhook was refused"]


async def minute_without_postgresql(product: ChaosProduct, postgresql: Postgresql, proxy: FaultyProxy) -> Outage:
    outage = Outage()
    with frozen(postgresql), proxy.recording() as outage.webhooks:
        end = time.monotonic() + SECONDS
        async with httpx.AsyncClient(timeout=SECONDS) as client, asyncio.TaskGroup() as group:
            servers = ("sms_server", "telegram_server")
            noticed = {name: group.create_task(_not_ready(client, product.url(name))) for name in servers}
        outage.ready = {name: task.result() for name, task in noticed.items()}
        await asyncio.sleep(max(0.0, end - time.monotonic()))
    return outage


async def _not_ready(client: httpx.AsyncClient, url: str) -> float:
    began = time.monotonic()
    while time.monotonic() < began + SECONDS:
        if (await client.get(f"{url}/ready")).status_code == httpx.codes.SERVICE_UNAVAILABLE:
            break
        await asyncio.sleep(0.1)
    return time.monotonic() - began
