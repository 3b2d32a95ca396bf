"""Real processes that are killed, stopped and woken while they answer: nothing lost, nothing doubled, all in order."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from sqlalchemy import update

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.core.messages import UserId, UserState
from relay.storage.schema import users
from tests.conftest import ROOT
from tests.storage.fixtures import Opener, counted, history, message, miscounted_users, prompted, recounted

PEOPLE = [UserId(f"+1202555030{n}") for n in range(5)]
EXCHANGES = 4
PROGRAM = ROOT / "tests" / "storage" / "relay_process.py"

pytestmark = pytest.mark.campaign

Start = Callable[[str], Awaitable[asyncio.subprocess.Process]]


class RelayProcesses:
    """One database, one transcript, and the processes that work on them."""

    def __init__(self, url: str, transcript: Path, db: MessagingDatabase) -> None:
        self.db = db
        self.file = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else None
        self._url = url
        self.transcript = transcript
        self._processes: list[asyncio.subprocess.Process] = []

    async def start(self, owner: str) -> asyncio.subprocess.Process:
        command = [sys.executable, str(PROGRAM), self._url, owner, str(self.transcript)]
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        self._processes.append(process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return process

    def sent(self) -> list[str]:
        return self.transcript.read_text().splitlines()

    async def has_sent(self, lines: int) -> None:
        async with asyncio.timeout(120):
            while len(self.sent()) < lines:  # noqa: ASYNC110 (another process: there is no event to await)
                await asyncio.sleep(0.01)

    async def at_rest(self) -> None:
        """Nothing is open any more, neither message nor part."""
        async with asyncio.timeout(120):
            while await _open(self.db):  # noqa: ASYNC110 (likewise)
                await asyncio.sleep(0.02)

    def by_person(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for line in self.sent():
            _, person, text = line.split(" ", 2)
            found[person].append(text)
        return found

    async def close(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _open(db: MessagingDatabase) -> float:
    counts = await counted(db)
    done = counts.get("messages", 0) >= 2 * EXCHANGES * len(PEOPLE)
    return not done or sum(counts.get(f"part:{state}", 0) for state in ("planned", "sending", "unknown"))


EXPECTED = [f"{exchange} {half}" for exchange in range(EXCHANGES) for half in ("a", "b")]


@pytest.fixture
async def relays(database_url: str, opener: Opener, tmp_path: Path) -> AsyncIterator[RelayProcesses]:
    transcript = tmp_path / "transcript.txt"
    transcript.touch()
    relays = RelayProcesses(database_url, transcript, await opener(database_url, owner="sms@webhooks"))
    yield relays
    await relays.close()


async def _all_users_write(db: MessagingDatabase) -> None:
    for exchange in range(EXCHANGES):
        for person in PEOPLE:
            await db.store_inbound(message(person, str(exchange)), "")


async def _all_is_well(relays: RelayProcesses) -> None:
    assert relays.by_person() == dict.fromkeys(PEOPLE, EXPECTED)
    assert len(await history(relays.db)) == 2 * EXCHANGES * len(PEOPLE)
    for person in PEOPLE:
        texts = [text for exchange in range(EXCHANGES) for text in (str(exchange), f"{exchange} a{exchange} b")]
        assert [text for _, text in await prompted(relays.db, EXCHANGES, user_id=person)] == texts
    assert {**await recounted(relays.db)}.items() <= (await counted(relays.db)).items()
    assert await miscounted_users(relays.db) == []


async def test_a_process_that_is_killed_again_and_again_loses_and_doubles_nothing(relays: RelayProcesses) -> None:
    """Kill -9 in the middle of the work, twice; each restart continues at once what the last process held."""
    await _all_users_write(relays.db)
    for kills in range(1, 3):
        process = await relays.start("sms@one")
        await relays.has_sent(kills * 12)
        process.kill()
        await process.wait()
    await relays.start("sms@one")
    await relays.at_rest()
    await _all_is_well(relays)


def _put_to_sleep(process: asyncio.subprocess.Process, relays: RelayProcesses) -> None:
    """SIGSTOP, but not at the counter of the provider, and not while it writes to an SQLite file.

    Nobody can take SQLite's lock from a process that is stopped, and nobody can keep one that was stopped between its
    last look at the lease and the send from sending when it wakes up.
    """
    _stop(process)
    while not (_counter_is_free(relays.transcript) and (relays.file is None or _is_free(relays.file))):
        process.send_signal(signal.SIGCONT)
        _stop(process)


def _stop(process: asyncio.subprocess.Process) -> None:
    """Return when the process is stopped: until then it may still take the lock that is looked at next."""
    process.send_signal(signal.SIGSTOP)
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.001)  # the kernel gives no event for the child of another thread's watcher


def _counter_is_free(transcript: Path) -> bool:
    with transcript.open() as counter:
        try:
            fcntl.flock(counter, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _is_free(file: Path) -> bool:
    with closing(sqlite3.connect(file, timeout=0.5, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
        return True


async def test_of_three_processes_one_dies_and_one_sleeps_past_its_lease(relays: RelayProcesses) -> None:
    """The third takes over what the others held; the sleeper wakes up and sends nothing twice."""
    sleeper, victim, _ = await asyncio.gather(*(relays.start(f"sms@{name}") for name in ("a", "b", "c")))
    writing = asyncio.create_task(_all_users_write(relays.db))
    await relays.has_sent(8)
    _put_to_sleep(sleeper, relays)
    victim.kill()
    await writing
    await relays.at_rest()
    sleeper.send_signal(signal.SIGCONT)
    await relays.db.store_inbound(message(PEOPLE[0], "late"), "")
    await relays.has_sent(2 * EXCHANGES * len(PEOPLE) + 2)
    assert relays.by_person()[PEOPLE[0]][-2:] == ["late a", "late b"]
    assert {person: texts[: len(EXPECTED)] for person, texts in relays.by_person().items()} == dict.fromkeys(
        PEOPLE, EXPECTED
    )


RECIPIENTS = [UserId(f"+120255504{n:02}") for n in range(40)]


async def test_a_broadcast_that_is_killed_again_and_again_reaches_each_person_once(relays: RelayProcesses) -> None:
    """Kill -9 while it is planned and sent, three times; each restart goes on with those who are left.

    The hours of half of them begin two seconds later.
    """
    for person in RECIPIENTS:
        await relays.db.store_opt_out(message(person, "hi"), "not answered here")
    rows = update(users).values(state=UserState.ACTIVE)
    await relays.db._write(lambda tx: tx.run(rows))
    values = {"platform": SMS, "text": "closed", "wrote_after": None, "beyond_caps": False, "people": 40, "usd": 0.0}
    values["hours"] = str(time.time() + 2)
    await relays.db.start_broadcasts("a form", "this machine", [values])
    for kills in range(1, 4):
        process = await relays.start("sms@one")
        await relays.has_sent(kills * 8)
        process.kill()
        await process.wait()
    await relays.start("sms@one")
    await relays.has_sent(len(RECIPIENTS))
    async with asyncio.timeout(120):
        while await relays.db.running_broadcast(SMS) or await relays.db.has_open_parts(SMS):  # noqa: ASYNC110 (likewise)
            await asyncio.sleep(0.02)
    assert relays.by_person() == {person: ["closed"] for person in RECIPIENTS}
