"""End to end: however many users are busy, and however long their answers are, another one waits for one round.

With FAIRNESS=full there are 40 busy users and 60 chats instead of 10 and 10, which takes some minutes.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.product.running_product import Phone, RunningProduct
from tests.product.scripted_model import Messages, ScriptedModel, echo

pytestmark = [pytest.mark.processes, pytest.mark.campaign]

SLOTS = 4
PARTS = 10
CHANNELS = ("sms", "telegram")
BUSY, CHATS = (40, 60) if os.environ.get("FAIRNESS") == "full" else (10, 10)


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    scripted = ScriptedModel()
    yield scripted
    scripted.close()


@pytest.fixture(scope="module")
def product(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    """With far fewer slots than there are users, and each message a question of its own."""
    running = RunningProduct(
        tmp_path_factory.mktemp("fairness"),
        LLM_SOURCE="openai",
        OPENAI_BASE_URL=model.url,
        OPENAI_MODEL="scripted",
        MAX_CONCURRENT_ANSWERS=str(SLOTS),
        MERGE_MESSAGES="false",
        SMS_MAX_PARTS=str(PARTS),
        TELEGRAM_MAX_PARTS=str(PARTS),
    )
    running.start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def phones(product: RunningProduct) -> dict[str, list[Phone]]:
    """On each channel so many registered users; the last of them is the one who must not wait."""
    phones = {channel: [Phone(product, channel, f"{channel}{n}") for n in range(CHATS + 1)] for channel in CHANNELS}
    for number in range(CHATS + 1):
        phones["sms"][number].send(f"name=S{number}")
        phones["telegram"][number].send("/start")
    for phone in [*phones["sms"], *phones["telegram"]]:
        phone.next_reply()
    return phones


def await_model(model: ScriptedModel, marker: str, count: int) -> None:
    while len(model.questions(marker)) < count:
        assert model.asked.acquire(timeout=60), f"{len(model.questions(marker))} of {count} questions {marker!r}"


def await_stored(product: RunningProduct) -> None:
    """Until Telegram's updates are confirmed; a webhook of Twilio has been answered when `say` returns."""
    while product.sim("GET", "stats")["waiting_updates"]:
        time.sleep(0.01)  # the simulator has no event for it


def sent_between(phones: list[Phone], first: int, last: int) -> Counter[str]:
    """How many messages came on each phone between two."""
    return Counter(phone.address for phone in phones for number in phone.numbers() if first < number < last)


def newest(phones: list[Phone]) -> int:
    return max(number for phone in phones for number in phone.numbers())


def test_one_user_is_answered_after_one_round_of_busy_ones(
    product: RunningProduct, model: ScriptedModel, phones: dict[str, list[Phone]]
) -> None:
    """On each channel; all of them wait for the same few slots, and the busy ones have more to ask."""
    asked_at: dict[str, int] = {}

    def answer(messages: Messages) -> str:
        channel, who = str(messages[-1]["content"]).split()[:2]
        if who == "alone":
            asked_at[channel] = newest(phones[channel])
        return echo(messages)

    model.answer = answer
    model.gate.clear()
    for n in range(BUSY):
        for channel in CHANNELS:
            phones[channel][n].send(f"{channel} {n} first")
            phones[channel][n].send(f"{channel} {n} second")
    for channel in CHANNELS:
        await_model(model, f"{channel} ", SLOTS)
        phones[channel][-1].send(f"{channel} alone")
    await_stored(product)
    model.gate.set()
    for channel in CHANNELS:
        *busy, alone = phones[channel]
        assert alone.next_reply() == f"You said: {channel} alone"
        asked = [str(messages[-1]["content"]) for messages in model.questions(f"{channel} ")]
        ahead = asked[: asked.index(f"{channel} alone")]
        # Requests of the few that are asked at the same time may overtake each other.
        assert len([text for text in ahead if text.endswith("second")]) <= SLOTS
        assert sent_between(busy, asked_at[channel], alone.numbers()[-1]).total() <= BUSY + SLOTS
    for channel in CHANNELS:
        for n, phone in enumerate(phones[channel][:BUSY]):
            assert [phone.next_reply(), phone.next_reply()] == [
                f"You said: {channel} {n} {which}" for which in ("first", "second")
            ]


def test_one_user_is_answered_while_many_chats_receive_ten_parts_each(
    product: RunningProduct, model: ScriptedModel, phones: dict[str, list[Phone]]
) -> None:
    """On each channel, between the question and the answer each chat receives the part under way and one more."""
    paragraphs = "\n\n".join(f"Paragraph {n}. " + "Many words. " * 120 for n in range(36))
    model.answer = lambda messages: paragraphs if "much" in str(messages[-1]["content"]) else echo(messages)
    for n in range(CHATS):
        for channel in CHANNELS:
            phones[channel][n].send(f"{channel} {n} much")
    await_model(model, " much", CHATS * len(CHANNELS))
    model.gate.clear()
    for channel in CHANNELS:
        phones[channel][-1].send(f"{channel} short")
    await_model(model, " short", len(CHANNELS))
    asked_at = {channel: newest(phones[channel]) for channel in CHANNELS}
    model.gate.set()
    for channel in CHANNELS:
        *chats, alone = phones[channel]
        assert alone.next_reply() == f"You said: {channel} short"
        parts = sent_between(chats, asked_at[channel], alone.numbers()[-1])
        assert max(parts.values(), default=0) <= 2
        assert min(len(phone.numbers()) for phone in chats) < PARTS, "no chat was busy any more"
