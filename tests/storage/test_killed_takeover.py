"""A process that is killed in the middle of a takeover: it has happened as a whole, or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.storage.engine import open_transactions
from relay.storage.schema import audit, inbound, outbound
from tests.databases import sqlite_in
from tests.product.running_product import ROOT
from tests.storage.fixtures import ANN, answered, message, rows

CHILD = """
import asyncio, importlib, os, signal, sys
from messaging_database import MessagingDatabase
from relay.storage.engine import open_transactions

async def main(url, module, name):
    database = MessagingDatabase(open_transactions(url, 20), owner="console")
    await database.start()
    place = importlib.import_module(module)
    step = getattr(place, name)

    def killed(*arguments, **options):
        step(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(place, name, killed)
    await database.take_over("sms", "+12025550101", 3600, "this machine")

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("module", "name"),
    [
        *(("relay.storage.handover", "leave_open_messages"), ("relay.storage.handover", "cancel_parts")),
        ("relay.storage.audit", "record"),
    ],
)
async def test_a_takeover_that_is_killed_has_not_happened(tmp_path: Path, module: str, name: str) -> None:
    """The message still waits for the AI, its answer is still planned, nothing is in the log; the next one happens."""
    url = sqlite_in(tmp_path, "messaging.db")
    database = MessagingDatabase(open_transactions(url, 20), owner="sms")
    await database.start()
    await answered(database, "one", "two", user_id=ANN)
    await database.store_inbound(message(ANN, "and then?"), "")
    before = [await rows(database, table) for table in (inbound, outbound, audit)]
    command = [sys.executable, "-c", CHILD, url, module, name]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: ASYNC221
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert [await rows(database, table) for table in (inbound, outbound, audit)] == before
    assert await database.take_over(SMS, ANN, 3600, "this machine")
    user = await database.find_user(SMS, ANN)
    assert user is not None
    assert user.human_until is not None
    assert await rows(database, outbound, "state") == [("canceled",), ("canceled",)]
    await database.stop()
