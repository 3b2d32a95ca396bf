"""Downloads: complete, in order, readable by a spreadsheet that runs nothing of it, and recorded."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.console.export_pages import _cell
from relay.storage import export
from tests.console.running import browsing, nothing, settings_after
from tests.console.sample_data import ALICE, SampleData, alice_asks

FORMULA = '=HYPERLINK("http://evil.example","click")'


async def many_people(database: MessagingDatabase) -> None:
    """Alice by SMS with one exchange, one whose name is a formula, and others on Telegram."""
    await alice_asks(database)
    sample = SampleData(database)
    await sample.register(TELEGRAM, "7001", FORMULA)
    for number in range(7002, 7006):
        await sample.register(TELEGRAM, str(number), f"Person, {number}")


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


async def test_everything_is_exported_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a row at the border of two batches nor the last one is lost or doubled; both forms have the same rows."""
    monkeypatch.setattr(export, "BATCH", 2)
    async with browsing(await settings_after(many_people, tmp_path)) as browser:
        people = rows_of((await browser.get("/export/people.csv")).content)
        as_json = (await browser.get("/export/people.json")).json()
        messages = (await browser.get("/export/messages.json")).json()
        assert [row["user_id"] for row in people] == [row["user_id"] for row in as_json]
        assert [row["user_id"] for row in as_json] == [ALICE, "7001", "7002", "7003", "7004", "7005"]
        assert [row["id"] for row in messages] == sorted({row["id"] for row in messages})
        assert [row["message"] for row in messages if "6 times" in row["message"]] == ["What is 6 times 7?"]
        log = (await browser.get("/audit")).text
        assert ("<strong>export" in log, "people.csv" in log) == (True, True)


async def test_a_spreadsheet_runs_nothing_that_people_wrote(tmp_path: Path) -> None:
    """A formula becomes text; numbers, negative ones and telephone numbers stay."""
    async with browsing(await settings_after(many_people, tmp_path)) as browser:
        people = {row["user_id"]: row for row in rows_of((await browser.get("/export/people.csv")).content)}
        assert people["7001"]["name"] == f"'{FORMULA}"
        assert (people[ALICE]["name"], people["7002"]["name"]) == ("Alice", "Person, 7002")
        in_json = {row["user_id"]: row for row in (await browser.get("/export/people.json")).json()}
        assert in_json["7001"]["name"] == FORMULA


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\uff0d1", "'\uff0d1"),
        ("\uff0b1", "'\uff0b1"),
        ("\uff20SUM(1)", "'\uff20SUM(1)"),
        (" =1+1", " '=1+1"),
        ("\t=1+1", "\t'=1+1"),
        ('"=1+1', "\"'=1+1"),
        ("hello;=1+1", "hello;'=1+1"),
        ('hello;"=1+1', "hello;\"'=1+1"),
        ("hello\t@SUM(1)", "hello\t'@SUM(1)"),
        ("hello\r\n-1+cmd|' /C calc'!A0", "hello\r\n'-1+cmd|' /C calc'!A0"),
        ("+1555+2", "'+1555+2"),
        ("+12025550147", "+12025550147"),
        ("-100200", "-100200"),
        ("+12025550147;-5", "+12025550147;-5"),
        ("a=b; c - d", "a=b; c - d"),
        ("Closed on Monday. 5 + 3 = 8", "Closed on Monday. 5 + 3 = 8"),
        ("\n" * 100_000 + "x", "\n" * 100_000 + "x"),
    ],
)
def test_where_a_cell_would_begin_with_a_formula_it_becomes_text(text: str, shown: str) -> None:
    """Also in spreadsheets that split by semicolons or tabs; telephone numbers and usual sentences stay as they are."""
    assert _cell(text) == shown


async def test_costs_and_an_empty_database(tmp_path: Path) -> None:
    """A row for each person and day; without any, a file that is valid all the same."""
    async with browsing(await settings_after(many_people, tmp_path)) as browser:
        costs = rows_of((await browser.get("/export/costs.csv")).content)
        assert {row["platform"] for row in costs} <= {SMS}
        refused = await browser.get("/export/everything.csv")
        assert refused.status_code == 422
    empty = tmp_path / "empty"
    empty.mkdir()
    async with browsing(await settings_after(nothing, empty)) as browser:
        assert (await browser.get("/export/messages.json")).json() == []
        assert rows_of((await browser.get("/export/messages.csv")).content) == []
