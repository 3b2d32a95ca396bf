"""Figures by day as pictures with a table behind them, the rows that they lead to, and the story of one message."""

from __future__ import annotations

import asyncio
import re
import time
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.console.charts import HEIGHT, WIDTH, charts
from relay.console.daily import DailyTotals, day_named, last_days
from relay.core.errors import SendError, SendFailure
from relay.core.messages import Answer
from tests.console.running import browsing, nothing, settings_after
from tests.console.sample_data import SampleData, fill
from tests.settings import Settings

ANN = "+12025550101"


def figures(**changes: Any) -> dict[str, Any]:
    empty = {"messages": 0, "failed": 0, "segments": 0, "model_usd": 0.0, "sent_usd": 0.0}
    return {**empty, "median_seconds": None, "slow_seconds": None, **changes}


def by_day(*sms: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"date": f"2026-11-{day:02}", "platforms": {"sms": one, "telegram": figures(messages=1)}}
        for day, one in enumerate(sms, 1)
    ]


def test_the_bars_of_a_day_stand_on_each_other_and_fill_the_picture() -> None:
    """The highest day reaches the upper edge; a day without anything has no bar."""
    chart = charts(by_day(figures(), figures(messages=3), figures(messages=1)))[0]
    tallest = [bar for bar in chart.bars if bar.date == "2026-11-02"]
    assert [bar.height for bar in tallest] == [HEIGHT * 0.75, HEIGHT * 0.25]
    assert tallest[1].y == 0
    assert tallest[0].y == tallest[1].height
    assert max(bar.x + bar.width for bar in chart.bars) <= WIDTH
    assert [bar.series for bar in chart.bars if bar.date == "2026-11-01"] == [1]
    assert chart.rows[1] == ("2026-11-02", ["3", "1", "4"])
    assert (chart.highest, chart.today, chart.yesterday) == ("4", "2", "4")


def test_days_without_anything_make_pictures_without_bars() -> None:
    """Nothing is divided by nothing, and no time to an answer is shown for a channel that has given none."""
    shown = charts(by_day(figures(), figures()))
    assert [chart.id for chart in shown] == ["messages", "failed", "segments", "money"]
    assert [chart for chart in shown if chart.bars] == [shown[0]]


def test_half_and_nearly_all_answers_are_one_bar() -> None:
    """The table has both from the beginning of the wait."""
    (chart,) = charts(by_day(figures(), figures(median_seconds=2.0, slow_seconds=8.0)))[4:]
    assert [bar.height for bar in chart.bars] == [HEIGHT / 4, HEIGHT * 3 / 4]
    assert chart.rows == [("2026-11-01", ["none", "none"]), ("2026-11-02", ["2.0 s", "8.0 s"])]
    assert chart.bars[1].label == "2026-11-02, 95 of 100 within: 8.0 s"


@pytest.mark.parametrize(
    ("zone", "now", "hours"),
    [("UTC", 1_795_000_000, 24), ("Europe/Berlin", 1_792_890_000, 25), ("America/New_York", 1_772_985_600, 23)],
)
def test_a_day_is_as_long_as_its_clocks_make_it(zone: str, now: float, hours: int) -> None:
    """When clocks change, days still follow on one another without a gap."""
    days = last_days(now, Settings(timezone=zone))
    assert (days[-1].end - days[-1].begin) / 3600 == hours
    assert [day.end for day in days[:-1]] == [day.begin for day in days[1:]]
    assert days[-1].begin <= now < days[-1].end


@pytest.mark.parametrize("date", ["", "2026-13-01", "2026-02-30", "today", "2026-11-27T00:00", "1-1-1", "9999-12-31"])
def test_what_is_no_day_has_no_rows(date: str) -> None:
    """Whatever somebody types into the address."""
    found = day_named(date, Settings())
    assert found is None or found.date == date


async def test_finished_days_are_counted_once_and_today_at_each_call() -> None:
    """However many messages there are, a page costs those of today."""
    counted: list[str] = []

    class Counting(DailyTotals):
        def _count(self, connection: Any, day: Any) -> Any:  # noqa: ARG002
            counted.append(day.date)
            return {}

    async def query(read: Any) -> Any:
        return read(None)

    daily, now = Counting(Settings()), 1_795_000_000.0
    await daily.read(query, now)
    assert len(counted) == 14
    await daily.read(query, now + 10)
    assert counted[14:] == [counted[13]]
    await daily.read(query, now + 3700)
    assert len(counted) == 15 + 14


async def test_a_page_finds_finished_days_counted_from_the_start_on() -> None:
    """They are counted again before they are dropped; a page that comes meanwhile waits for what is under way."""
    counted: list[str] = []
    go_on = asyncio.Event()

    class Counting(DailyTotals):
        def _count(self, connection: Any, day: Any) -> Any:  # noqa: ARG002
            counted.append(day.date)
            return {}

    async def query(read: Any) -> Any:
        await go_on.wait()
        return read(None)

    daily, now = Counting(Settings()), 1_795_000_000.0
    page = asyncio.create_task(daily.read(query, now))
    ahead = asyncio.create_task(daily.count_ahead(query, now))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(page, ahead)
    assert sorted(counted) == [day.date for day in last_days(now, Settings())]
    counted.clear()
    for later in range(60, 7200, 60):
        await daily.count_ahead(query, now + later)
        seen = len(counted)
        await daily.read(query, now + later)
        assert counted[seen:] == [last_days(now + later, Settings())[-1].date]


async def story(database: MessagingDatabase) -> None:
    """Yesterday's question is answered by a model, today's answer fails."""
    data = SampleData(database)
    await data.register(SMS, ANN, "Ann")
    await data.receive(SMS, ANN, "When do you open?")
    model = Answer(text="At nine.", model="llama", source="ollama", cost_usd=0.5, prompt_tokens=1200, total_seconds=2.0)
    await data.answer(SMS, ANN, "At nine.", answer=model)
    await data.deliver(SMS, ANN)
    await data.receive(SMS, ANN, "And on <b>Sunday</b>?")
    await data.answer(SMS, ANN, "We do not.")
    refused = SendError(SendFailure.REJECTED, "30007", "filtered by the carrier")
    await database.record_failed(await data.next_part(SMS, ANN), refused)


async def test_every_figure_of_the_pictures_leads_to_its_rows(tmp_path: Path) -> None:
    """From a bar, and from the table behind it, to a page with as many rows."""
    async with browsing(await settings_after(story, tmp_path)) as browser:
        page = (await browser.get("/")).text
        today = time.strftime("%Y-%m-%d", time.gmtime())
        for kind, rows in (("messages", 5), ("failed", 1), ("sent", 2)):
            assert f'href="/day?day={today}&amp;kind={kind}"' in page
            shown = (await browser.get("/day", params={"day": today, "kind": kind})).text
            assert shown.count('<li id="row-') == rows
            assert f'href="/day?day={today}&amp;kind={kind}&amp;platform=sms"' in page
            for of, count in (("sms", rows), ("telegram", 0)):
                of_channel = (await browser.get("/day", params={"day": today, "kind": kind, "platform": of})).text
                assert of_channel.count('<li id="row-') == count
        assert "&lt;b&gt;Sunday" in (await browser.get("/day", params={"day": today})).text
        assert (await browser.get("/day", params={"day": "1999-01-01"})).text.count('<li id="row-') == 0
        assert (await browser.get("/day", params={"day": "no"})).status_code == 404


async def test_the_figures_of_one_person_lead_to_their_rows_alone(tmp_path: Path) -> None:
    """Other people wrote on that day too; another person has none."""
    async with browsing(await settings_after(story, tmp_path)) as browser:
        page = (await browser.get(f"/person/days?platform=sms&id=%2B{ANN[1:]}")).text
        links = {unescape(one) for one in re.findall(r'href="(/day\?[^"]*kind=failed[^"]*)"', page)}
        today = next(one for one in links if time.strftime("%Y-%m-%d", time.gmtime()) in one)
        assert (await browser.get(today)).text.count('<li id="row-') == 1
        assert (await browser.get(today.replace("101", "102"))).text.count('<li id="row-') == 0


async def test_the_pictures_are_well_formed_and_described(tmp_path: Path) -> None:
    """Each has a title, a description, and a table with a row for each day; a person's page has their own."""
    async with browsing(await settings_after(story, tmp_path)) as browser:
        for path in ("/", f"/person/days?platform=sms&id=%2B{ANN[1:]}"):
            page = (await browser.get(path)).text
            pictures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
            assert len(pictures) == 5
            for picture in pictures:
                svg = ET.fromstring(re.search(r"<svg.*</svg>", picture, re.DOTALL)[0])  # type: ignore[index]  # noqa: S314
                named = set((svg.get("aria-labelledby") or "").split())
                assert named == {child.get("id") for child in svg if child.tag in {"title", "desc"}}
                assert len(re.findall(r'<th scope="row">', picture)) == 14
            assert "style=" not in page
        assert (await browser.get("/person/days?platform=sms&id=%2B1999")).status_code == 404


async def test_any_id_of_a_message_tells_its_whole_story(tmp_path: Path) -> None:
    """Arrival, model, parts, the provider's reports, in the order of time; found by ids of ours and of the provider."""
    async with browsing(await settings_after(story, tmp_path)) as browser:
        day = (await browser.get("/day", params={"day": time.strftime("%Y-%m-%d", time.gmtime()), "kind": "sent"})).text
        reply = re.search(r"/message\?id=(\w+)", day)
        assert reply
        trace = (await browser.get("/api/message", params={"id": reply[1]})).json()
        part = trace["parts"][0]
        in_logs = f"{trace['message']['platform']}-{trace['message']['id']}"
        ours = (trace["message"]["id"], trace["message"]["external_id"], in_logs)
        for sought in (*ours, part["id"], part["provider_id"]):
            assert (await browser.get("/api/message", params={"id": sought})).json() == trace
            page = unescape((await browser.get("/message", params={"id": f" {sought} "})).text)
            steps = ("arrived", "When do you open?", "planned", "accepted", "reports delivered")
            assert [step for step in steps if step not in page] == []
            order = [page.index(step) for step in steps]
            assert order == sorted(order)
            assert "llama, 1,200 tokens asked, whole after 2.00 s, $0.5" in page


@pytest.mark.parametrize(
    "sought", ["nothing", "0", "99999999999999999999999999", "²", "'; --", "\x00", "-1", "%", "fax-1"]
)
async def test_what_is_no_id_has_no_story(tmp_path: Path, sought: str) -> None:
    """It is not found, and nothing breaks."""
    async with browsing(await settings_after(nothing, tmp_path)) as browser:
        assert (await browser.get("/message", params={"id": sought})).status_code in {200, 404}
        assert (await browser.get("/api/message", params={"id": sought})).status_code in {404, 422}


async def test_a_failure_and_a_dead_letter_have_a_story(tmp_path: Path) -> None:
    """The reason is part of it; what nobody could be answered to is found as well."""
    async with browsing(await settings_after(fill, tmp_path)) as browser:
        overview = (await browser.get("/api/overview")).json()
        failed = unescape((await browser.get("/message", params={"id": overview["failed"][0]["id"]})).text)
        assert "30006" in failed
        for letter in overview["dead_letters"]:
            page = unescape((await browser.get("/message", params={"id": letter["id"]})).text)
            assert letter["error"] in page
