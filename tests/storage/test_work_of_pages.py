"""The work of pages, status, clearing and forgetting does not grow with the finished messages, by steps of SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event

from benchmarks import past
from messaging_database import MessagingDatabase
from relay.channels.registry import PLATFORMS
from relay.channels.sms.spec import SMS
from relay.console import overview
from relay.console.daily import read_user_days
from relay.console.overview import Search
from relay.console.person import Address, read_person
from relay.core.messages import UserId, UserState
from relay.storage import audit, failures, listings, queries
from relay.storage.charges import SpendingReports
from relay.storage.daily_totals import Rows, day_totals, messages_between, parts_between
from relay.storage.history import clear_messages
from relay.storage.maintenance import export_user, forget_user
from relay.storage.search import find_messages, ids_between, newest_messages
from relay.storage.trace import read_trace
from relay.storage.transactions import Tx
from tests.databases import sqlite_in
from tests.settings import Settings
from tests.storage.fixtures import Opener

FEW, MANY = 1500, 6000
"""Both fill the pages, which are made short, and have as many a day; of each hundred one person has written."""

ROWS = 5

GAP_SECONDS = 600.0
NOW = datetime(2026, 11, 20, 2, tzinfo=UTC).timestamp()
"""A time of the day at which both have as many people of today, of whom the costs of today have a row each."""

WRITER, RARE = UserId("+4915110000000"), UserId("+4915110000010")
COMMON, RARER = past.vocabulary()[0], past.vocabulary()[200]

Reads = dict[str, Callable[[Connection], Any]]


def _pages(now: float, people: int) -> Reads:
    """What the pages read, by name; `people` is the number of a person who is found among them."""
    settings, spending = Settings(), SpendingReports()
    day = (now - 86_400, now)
    found = {"of a person": {"person": str(RARE)}, "with a code": {"code": "30005"}, "without one": {"code": "99999"}}
    searched = {COMMON, f"{COMMON} {RARER}", COMMON[:3], "10000000", "nowhere to be found"}
    return {
        "home": lambda c: overview._read(c, Search(), now, settings),
        **{f"search for {words}": partial(_searched, words=words, now=now) for words in searched},
        "status": lambda c: queries.status(c, SMS, PLATFORMS, now),
        "spending": lambda c: spending.read(c, SMS, now, 10),
        "figures of a day": lambda c: day_totals(c, PLATFORMS, *day),
        "messages of a day": lambda c: messages_between(c, Rows(*day, PLATFORMS), ROWS),
        "failures of a day": lambda c: parts_between(c, Rows(*day, PLATFORMS), ROWS, failed=True),
        "messages of a person's day": lambda c: messages_between(c, Rows(*day, [SMS], RARE), ROWS),
        "messages since a day": lambda c: newest_messages(c, PLATFORMS, ROWS, ids_between(c, now - 86_400, None)),
        "words until a day": lambda c: find_messages(
            c, PLATFORMS, COMMON, ROWS, ids=ids_between(c, None, now - 86_400), beginnings=False
        ),
        "a person who has written much": lambda c: read_person(c, Address(SMS, WRITER), None, now),
        "a person": lambda c: read_person(c, Address(SMS, RARE), None, now),
        "figures of a person": lambda c: read_user_days(c, SMS, RARE, now, settings),
        **{f"failures {name}": partial(_failed, chosen=chosen) for name, chosen in found.items()},
        **{kind: partial(failures.find, kind=kind, platforms=PLATFORMS, limit=ROWS) for kind in failures.KINDS},
        "codes": lambda c: failures.codes(c, "failed", PLATFORMS),
        "a story": lambda c: read_trace(c, PLATFORMS, f"old{1_000_000_000 + 2 * people}"),
        "export of a person": lambda c: export_user(c, SMS, RARE),
        "people of a rare state": lambda c: listings.list_all_users(c, PLATFORMS, "", ROWS, 0, UserState.BLOCKED),
        "audit": lambda c: audit.newest(c, ROWS),
        "clearing of a history": partial(_rolled_back, work=lambda tx: clear_messages(tx, SMS, RARE)),
        "forgetting of a person": partial(_rolled_back, work=lambda tx: forget_user(tx, SMS, RARE)),
    }


def _rolled_back(connection: Connection, work: Callable[[Tx], Any]) -> None:
    """Run what changes rows, which are there again afterwards."""
    with connection.begin_nested() as changes:
        Tx(connection, NOW).do(work)
        changes.rollback()


def _searched(connection: Connection, words: str, now: float) -> Any:
    return overview._read(connection, Search(words), now, Settings())


def _failed(connection: Connection, chosen: dict[str, Any]) -> Any:
    return failures.find(connection, "failed", PLATFORMS, ROWS, **chosen)


@pytest.fixture
def engines() -> Iterator[Callable[[str], Engine]]:
    made: list[Engine] = []

    def make(url: str) -> Engine:
        made.append(create_engine(url))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


def _work(engine: Engine, reads: Reads) -> dict[str, int]:
    """Steps of the virtual machine of each, once it has been read before."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    @event.listens_for(engine, "before_cursor_execute")
    def count(connection: Connection, *_: Any) -> None:
        raw: Any = connection.connection.dbapi_connection
        raw.set_progress_handler(step, 1)

    work = {}
    with engine.connect() as connection:
        for name, read in reads.items():
            read(connection)
            steps = 0
            read(connection)
            work[name] = steps
    return work


async def _filled(opener: Opener, url: str, size: int) -> MessagingDatabase:
    db = await opener(url)
    past.fill(url, size, size * GAP_SECONDS, now=NOW)
    return db


async def test_pages_take_as_many_steps_with_many_messages_of_the_past(
    tmp_path: Path, opener: Opener, engines: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every page; searches for people read all people, so they may grow with those."""
    for module, name in ((overview, "USERS_PER_PAGE"), (overview, "ROWS_PER_LIST"), (failures, "MAX_CODES")):
        monkeypatch.setattr(module, name, ROWS)
    work = []
    for size in (FEW, MANY):
        url = sqlite_in(tmp_path, f"{size}.db")
        await _filled(opener, url, size)
        work.append(_work(engines(url), _pages(NOW, size // past.MESSAGES_EACH - 1)))
    few, many = work
    people = (MANY - FEW) // past.MESSAGES_EACH
    allowed = {name: 60 * people if "search" in name or name == "failures of a person" else 150 for name in few}
    grown = {name: (few[name], many[name]) for name in few if many[name] > few[name] * 1.2 + allowed[name]}
    assert grown == {}
