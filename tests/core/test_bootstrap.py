"""What the first import of every program sets for its whole process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

WRITE_EVERYTHING = """
import relay.core.bootstrap

import asyncio, json, logging, sqlite3
from pathlib import Path
from relay.channels.registry import AllSettings
from relay.config.logs import setup_logging
from relay.llm.gateway.spend import SpendTracker
from relay.storage.engine import open_transactions

async def write() -> None:
    transactions = open_transactions("sqlite:///messages.db", 60)
    await transactions.prepare()
    reader = sqlite3.connect("messages.db")
    reader.execute("SELECT * FROM users")  # -wal and -shm exist as long as a connection has used them
    setup_logging(AllSettings(log_dir="logs"), "sms_server")
    logging.getLogger("relay").warning("a line")
    spending = SpendTracker(Path("llm_spending.json"), lambda: 1_800_000_000)
    spending.add(0.25)
    files = [path for path in Path().rglob("*") if path.is_file()]
    print(json.dumps({str(path): oct(path.stat().st_mode & 0o777) for path in files}))
    transactions.close()
    reader.close()

asyncio.run(write())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are those of the folder there")
def test_database_logs_and_spending_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    """Although the shell that started the program would let every local user read new files."""
    written = subprocess.run(
        [sys.executable, "-c", WRITE_EVERYTHING],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        umask=0o022,
        capture_output=True,
        check=True,
        text=True,
    )
    files = {"messages.db", "messages.db-wal", "messages.db-shm", "logs/sms_server.log", "llm_spending.json"}
    assert json.loads(written.stdout) == dict.fromkeys(files, "0o600")
