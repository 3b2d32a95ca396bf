"""One simulator for each test module, forgetful between tests; one scripted webhook server for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulator.running_simulator import Receiver, RunningSimulator, receiver, running_simulator

QUICK = {"status_seconds": 0.01, "telegram_limits": False, "telegram_retry_seconds": 0.05}


@pytest.fixture(scope="module")
def shared_simulator() -> Iterator[RunningSimulator]:
    with running_simulator() as one:
        yield one


@pytest.fixture
def sim(shared_simulator: RunningSimulator) -> RunningSimulator:
    """A simulator that has forgotten what earlier tests did to it."""
    one = shared_simulator
    one.ok("deleteWebhook")
    one.ok("getUpdates", allowed_updates=[])
    one.sim("POST", "reset", json={"seed": 1})
    one.sim("POST", "options", json={**QUICK, "twilio_webhook_url": "http://127.0.0.1:9/sms/webhook"})
    return one


@pytest.fixture
def hook(sim: RunningSimulator) -> Iterator[Receiver]:
    """A server that takes the simulator's texts at /sms/webhook."""
    with receiver() as one:
        sim.sim("POST", "options", json={"twilio_webhook_url": f"{one.url}/sms/webhook"})
        yield one
