"""What an operator is called for, from a database in which it happened, from servers, disk and providers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from messaging_database import MessagingDatabase
from relay.alerts.conditions import disk_conditions, finding_conditions, model_conditions, read_conditions
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.config.checks import Finding, Severity
from relay.core.messages import Platform, UserId
from relay.storage import charges
from tests.console.running import opened, settings_after
from tests.console.sample_data import ALICE, SampleData, alice_asks

TITLES = {SMS: "SMS", TELEGRAM: "Telegram"}


async def nobody_answers(database: MessagingDatabase) -> None:
    """Alice and Bob wait for twelve minutes on SMS, Carol for two on Telegram."""
    sample = SampleData(database)
    await sample.register(SMS, ALICE, "Alice")
    await sample.receive(SMS, ALICE, "Anybody there?", ago=720)
    await sample.receive(SMS, "+12025550148", "Hello?", ago=660)
    await sample.receive(TELEGRAM, "7001", "Hello?", ago=120)


async def a_person_does_not_answer(database: MessagingDatabase) -> None:
    """Alice was taken over and wrote an hour ago; Bob was taken over and has been answered."""
    sample = SampleData(database)
    await sample.register(SMS, ALICE, "Alice")
    await sample.receive(SMS, ALICE, "I want a human", ago=3600)
    await database.take_over(SMS, UserId(ALICE), 7200)
    await sample.register(SMS, "+12025550148", "Bob")
    await database.take_over(SMS, UserId("+12025550148"), 7200)


async def sending_is_paused(database: MessagingDatabase) -> None:
    await database.set_state(SMS, "paused", {"reason": "Twilio refused our credentials", "since": time.time()})


async def a_country_is_held(database: MessagingDatabase) -> None:
    """The United States are; the hold of Canada is over."""
    hold = {"code": "30034", "reason": "our number is not registered", "since": 0.0, "until": 0.0}
    await database.keep_hold(SMS, "US", hold)
    await database.keep_hold(SMS, "CA", hold)
    await database.end_hold(SMS, "CA", "30034")


async def a_message_is_given_up(database: MessagingDatabase) -> None:
    sample = SampleData(database)
    await sample.register(SMS, ALICE, "Alice")
    await sample.receive(SMS, ALICE, "lost for good")
    await database.dead_letter_inbound(await sample.claim(SMS, ALICE), "no answer from the model", ())


async def a_given_up_message_is_dismissed(database: MessagingDatabase) -> None:
    await a_message_is_given_up(database)
    [letter] = await database.find_failures("dead", [SMS], 5)
    await database.repair("dismiss-letter", str(letter["id"]), "test")


async def texts_cost_much(database: MessagingDatabase) -> None:
    await alice_asks(database)
    await database._write(lambda tx: charges.charge(tx, SMS, UserId(ALICE), 51.5))


Story = Callable[[MessagingDatabase], Awaitable[None]]
STORIES: list[tuple[str, Story, dict[str, Any], list[str]]] = [
    ("everything is answered", alice_asks, {}, []),
    ("nobody is answered", nobody_answers, {}, ["SMS: 2 messages wait for an answer, one for more than 10 minutes"]),
    ("nobody is answered, and it may take longer", nobody_answers, {"alert_unanswered_minutes": 15}, []),
    ("a person does not answer", a_person_does_not_answer, {},
     ["SMS: 1 in the hands of a person waits for more than 10 minutes"]),
    ("sending is paused", sending_is_paused, {}, ["Sending on SMS is paused: Twilio refused our credentials"]),
    ("a country is held", a_country_is_held, {},
     ["SMS to US waits: our number is not registered (30034)"]),
    ("a message was given up", a_message_is_given_up, {}, ["SMS: 1 message was given up"]),
    ("a given up one was dismissed", a_given_up_message_is_dismissed, {}, []),
    ("the budget of a day", texts_cost_much, {}, ["SMS: the budget of this day is used up ($51.50 of $50.00)"]),
    ("a budget that is larger", texts_cost_much, {"sms_daily_usd": 60}, []),
    ("no budget", texts_cost_much, {"sms_daily_usd": None}, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("story", "changes", "expected"), [row[1:] for row in STORIES], ids=[row[0] for row in STORIES]
)
async def test_what_happened_is_found(
    tmp_path: Path, story: Story, changes: dict[str, Any], expected: list[str]
) -> None:
    """With its words; what is in order is not."""
    settings = await settings_after(story, tmp_path, **changes)
    async with opened(settings) as database:
        found = await database.query(lambda c: read_conditions(c, TITLES, settings, time.time()))
    assert [condition.title for condition in found] == expected
    assert all(condition.remedy for condition in found)


MODELS: list[tuple[str, dict[str, Any] | None, list[str]]] = [
    ("ready", {"ready": True, "spent_this_month_usd": 1.0, "monthly_budget_usd": None}, []),
    ("no answer", None, ["The model is away: the LLM server does not answer"]),
    ("refused", {"ready": False, "reason": "openrouter refuses the key"},
     ["The model is away: openrouter refuses the key"]),
    ("budget", {"ready": True, "spent_this_month_usd": 5.25, "monthly_budget_usd": 5},
     ["The model's budget of this month is used up ($5.25 of $5.00)"]),
    ("budget not reached", {"ready": True, "spent_this_month_usd": 4.9, "monthly_budget_usd": 5.0}, []),
    ("no sign of a budget", {"ready": True}, []),
]  # fmt: skip


@pytest.mark.parametrize(("status", "expected"), [row[1:] for row in MODELS], ids=[row[0] for row in MODELS])
def test_the_state_of_the_model(status: dict[str, Any] | None, expected: list[str]) -> None:
    """By what the LLM server states."""
    assert [condition.title for condition in model_conditions(status)] == expected


class Usage(NamedTuple):
    """A disk as the system describes it, in bytes."""

    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("total", "free", "is_full"),
    [(100e9, 400e6, True), (100e9, 600e6, False), (2e9, 150e6, False), (2e9, 90e6, True), (8e12, 100e9, False)],
    ids=["large, nothing left", "large, some left", "small, some left", "small, nothing left", "very large"],
)
def test_a_disk_that_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: float, free: float, is_full: bool
) -> None:
    """By share and by size: the last percent of a large disk is plenty, and a small one is small when new."""
    usage = Usage(int(total), int(total - free), int(free))
    monkeypatch.setattr("relay.alerts.conditions.shutil.disk_usage", lambda _: usage)
    assert bool(list(disk_conditions(tmp_path))) is is_full


def test_only_problems_of_a_check_call_an_operator() -> None:
    """A note is for those who look; two problems of one subject are one call."""
    findings = [
        Finding(Severity.FINE, "twilio account", "is active", "SMS"),
        Finding(Severity.NOTE, "twilio webhook", "a single failure loses a text", "SMS"),
        Finding(Severity.PROBLEM, "public_url", "cannot be reached", "SMS"),
        Finding(Severity.PROBLEM, "public_url", "cannot be reached", "SMS"),
    ]
    assert [one.title for one in finding_conditions(findings)] == ["SMS, public_url: cannot be reached"]
    assert Platform("alerts") not in TITLES
