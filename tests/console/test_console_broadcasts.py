"""Writing to many in the console: the preview, the start that happens once, the list with its buttons."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from messaging_database import MessagingDatabase
from relay.channels.registry import CHANNELS
from relay.channels.sms.spec import CHANNEL, SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.console.broadcast_pages import DAYTIME, BroadcastDraft, preview
from relay.core.broadcast import Audience
from relay.core.messages import UserId, UserState
from relay.core.parts import PlannedPart, Receipt
from relay.storage.schema import users
from tests.console.running import browsing, opened, settings_after
from tests.console.sample_data import SCRIPT, SampleData

TEXT = f"Closed on Monday. Reply STOP to stop. {SCRIPT}"
ALL = {"text": TEXT, "platform": ["sms", "telegram"], "days": "0"}


async def six_people(database: MessagingDatabase) -> None:
    """Three who can be written to by SMS, in two countries, one of them not; two on Telegram, one of them a group."""
    sample = SampleData(database)
    for number in ("+12025550147", "+12025550148", "+491701234567", "+12025550149"):
        await sample.receive(SMS, number, "hello")
        await sample.answer(SMS, number, "hello to you")
        await sample.deliver(SMS, number)
    for chat in ("70001", "-100200"):
        await sample.receive(TELEGRAM, chat, "hello")
    stopped = users.update().where(users.c.user_id == "+12025550149").values(state=UserState.STOPPED)
    await database._write(lambda tx: tx.run(stopped))


def form_of(page: str) -> str:
    found = re.search(r'name="form" value="([0-9a-f]{32})"', page)
    assert found is not None
    return found[1]


async def test_the_preview_counts_people_reasons_and_cost_and_sends_nothing(tmp_path: Path) -> None:
    """By channel, with the text as it is read there; what people wrote and what is to be sent stays text."""
    settings = await settings_after(six_people, tmp_path)
    async with browsing(settings) as browser:
        page = (await browser.post("/broadcasts/preview", data=ALL)).text
        home = (await browser.get("/broadcasts")).text
    sms, _, telegram = page.partition('id="preview-telegram"')
    for expected in (
        "3 people get",
        "1 segment each",
        "Estimated cost: $0.136.",
        "opted out",
        "&lt;script&gt;",
    ):
        assert expected in sms
    for expected in ("1 person gets", "a group", "Estimated cost: $0."):
        assert expected in telegram
    assert "Send to 4 people" in page
    assert SCRIPT not in page
    assert "The last ones" not in home


async def test_a_start_happens_once_and_is_recorded(tmp_path: Path) -> None:
    """Whatever is submitted twice, also to another process; the list shows how far it is."""
    settings = await settings_after(six_people, tmp_path)
    async with browsing(settings) as browser, opened(settings) as database:
        form = form_of((await browser.post("/broadcasts/preview", data=ALL)).text)
        for _ in range(2):
            assert (await browser.post("/broadcasts", data={**ALL, "form": form})).status_code == 303
        async with browsing(settings) as other:
            assert (await other.post("/broadcasts", data={**ALL, "form": form})).status_code == 303
        begun = await database.running_broadcast(SMS)
        assert begun is not None
        parts = [PlannedPart(TEXT, TEXT)]
        assert await database.plan_broadcast(begun.id, Audience(SMS), lambda _: parts, 1) == ["+12025550147"]
        part = await database.claim_next_part(SMS, UserId("+12025550147"))
        assert part is not None
        await database.record_accepted(part, Receipt("P1", cost_usd=0.25))
        page = (await browser.get("/broadcasts")).text
        again = (await browser.post("/broadcasts/preview", data=ALL)).text
        audit = (await browser.get("/audit")).text
    assert page.count('id="broadcast-') == 2
    assert "Sent or on its way to 1 of about 3 people" in page
    assert "Cost: $0.25 of an estimated" in page
    assert "The same text was sent on this channel in the last 24 hours" in again
    assert audit.count("number ") == 2


async def test_it_is_stopped_and_goes_on(tmp_path: Path) -> None:
    """By buttons; both are recorded."""
    settings = await settings_after(six_people, tmp_path)
    only_sms = {**ALL, "platform": ["sms"]}
    async with browsing(settings) as browser, opened(settings) as database:
        form = form_of((await browser.post("/broadcasts/preview", data=only_sms)).text)
        await browser.post("/broadcasts", data={**only_sms, "form": form})
        await browser.post("/broadcasts/1/stop")
        stopped = (await browser.get("/broadcasts")).text
        assert await database.running_broadcast(SMS) is None
        await browser.post("/broadcasts/1/resume")
        assert await database.running_broadcast(SMS) is not None
        audit = (await browser.get("/audit")).text
    assert "Go on with who is left" in stopped
    assert audit.index("go on with the broadcast") < audit.index("stop the broadcast")


async def test_beyond_a_cap_it_asks(tmp_path: Path) -> None:
    """Nothing is started before that is confirmed."""
    settings = await settings_after(six_people, tmp_path, sms_daily_usd=0.01)
    async with browsing(settings) as browser, opened(settings) as database:
        page = (await browser.post("/broadcasts/preview", data=ALL)).text
        assert "the cap of today is reached" in page
        values = {**ALL, "form": form_of(page)}
        refused = await browser.post("/broadcasts", data=values)
        assert (refused.status_code, "Confirm below" in refused.text) == (409, True)
        assert await database.running_broadcast(SMS) is None
        await browser.post("/broadcasts", data={**values, "form": form_of(refused.text), "beyond_caps": "true"})
        begun = await database.running_broadcast(SMS)
        assert begun is not None
        assert begun.beyond_caps


async def named_and_nameless(database: MessagingDatabase) -> None:
    """One has a name that makes the text longer than a segment, the other none."""
    sample = SampleData(database)
    await sample.register(SMS, "+12025550147", "Maximiliane")
    await sample.receive(SMS, "+12025550148", "hello")


async def test_the_preview_shows_what_each_reads_and_when_it_begins(tmp_path: Path) -> None:
    """With a name and without; the segments on average; a placeholder that is none; hours that are not now."""
    settings = await settings_after(named_and_nameless, tmp_path)
    closed = f"{time.strftime('%a', time.gmtime(time.time() + 3 * 86_400))} 8:00-21:00"
    text = f"Hello {{name|you}}, {'x' * 135} {{day}}"
    async with browsing(settings) as browser, opened(settings) as database:
        values = {"text": text, "platform": "sms", "hours": closed}
        page = (await browser.post("/broadcasts/preview", data=values)).text
        await browser.post("/broadcasts", data={**values, "form": form_of(page)})
        begun = await database.running_broadcast(SMS)
        assert begun is not None
        begin = partial(CHANNEL.hours_begin, settings, begun.hours)
        assert await database.plan_broadcast(begun.id, Audience(SMS), lambda _: [], 9, begin) == []
        listed = (await browser.get("/broadcasts")).text
    for expected in (
        "1.5 segments each on average",
        "Hello Maximiliane, xx",
        "Hello you, xx",
        "Everybody waits for it to begin: ",
        "{day}</b",
    ):
        assert expected in page
    assert begun.hours == closed
    assert f"2 people wait until it is {closed} where they are; for the first" in listed
    assert "from 8:00 to 21:00, each person&#39;s own time, or UTC" in listed


async def around_the_world(database: MessagingDatabase) -> None:
    """Two in New York, one in Tokyo, one of whom nothing is known, and one on Telegram."""
    sample = SampleData(database)
    for number in ("+12125550147", "+12125550148", "+81312345678", "+15555550147"):
        await sample.register(SMS, number, "Max")
    await sample.receive(TELEGRAM, "70001", "hello")


@pytest.mark.parametrize(
    ("hour", "platform", "expected"),
    [
        (3, "sms", (4, 3, "2026-11-27T08:00:00.000Z", "2026-11-27T13:00:00.000Z")),
        (9, "sms", (4, 2, "2026-11-27T13:00:00.000Z", "2026-11-27T13:00:00.000Z")),
        (20, "sms", (4, 1, "2026-11-27T23:00:00.000Z", "2026-11-27T23:00:00.000Z")),
        (9, "telegram", (1, 0, None, None)),
        (3, "telegram", (1, 1, "2026-11-27T08:00:00.000Z", "2026-11-27T08:00:00.000Z")),
    ],
)
async def test_the_preview_says_for_how_many_it_is_night(
    tmp_path: Path, hour: int, platform: str, expected: tuple[Any, ...]
) -> None:
    """In each person's zone; in `timezone` where the number tells none, and on Telegram."""
    settings = await settings_after(around_the_world, tmp_path)
    channel = next(one for one in CHANNELS if one.platform == platform)
    draft = BroadcastDraft("Hello", (channel.platform,), 0, DAYTIME)
    now = datetime(2026, 11, 27, hour, tzinfo=UTC).timestamp()
    async with opened(settings) as database:
        found = await database.query(lambda c: preview(c, channel, settings, draft, now))
    assert (found.people, found.waiting, found.first, found.last) == expected


@pytest.mark.parametrize(
    ("changes", "status", "expected"),
    [
        ({"hours": "when it suits"}, 422, "these are no hours"),
        ({"text": " \n "}, 422, "write the text"),
        ({"platform": []}, 422, "choose a channel"),
        ({"platform": ["fax"]}, 422, ""),
        ({"days": "-1"}, 422, ""),
        ({"text": "x" * 8001}, 422, ""),
        ({"text": "word " * 1500}, 200, "It cannot be sent here: it would take more than"),
    ],
)
async def test_what_cannot_be_sent_is_said(tmp_path: Path, changes: dict[str, Any], status: int, expected: str) -> None:
    """With the reason; the form before it is as it was."""
    async with browsing(await settings_after(six_people, tmp_path, sms_max_parts=2)) as browser:
        answer = await browser.post("/broadcasts/preview", data={**ALL, **changes})
    assert answer.status_code == status
    assert expected in answer.text
