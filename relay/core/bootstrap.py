"""First import of every program: without the requirements it ends the program with the command that installs them;
it makes all files that the program creates readable by their owner alone.

Uses only the standard library and the syntax of Python 3.8, so that it runs there.
"""

import importlib.util
import os
import sys
from pathlib import Path

NEEDED = (
    *("fastapi", "uvicorn", "httpx", "httpx_aiohttp", "sqlalchemy", "alembic", "pydantic", "dotenv"),
    *("phonenumbers", "twilio", "telegram", "telegramify_markdown", "prometheus_client", "jinja2", "rich", "psutil"),
)


def complaint(missing: "list[str]", version: "tuple[int, int]", folder: Path) -> "str | None":
    """The line to print when this Python cannot run the product, else None."""
    if version < (3, 11):
        return "This needs Python 3.11 or newer; this one is {}.{}.".format(*version)
    if not missing:
        return None
    if folder.name in ("site-packages", "dist-packages"):
        return f"Not installed for {sys.executable}: {', '.join(missing)}. Install sms-telegram-ai-relay again."
    windows = sys.platform == "win32"
    python = folder / ".venv" / ("Scripts/python.exe" if windows else "bin/python")
    program = Path(sys.argv[0]).name or "start_all_servers.py"
    enter = "" if Path.cwd() == folder else f'cd "{folder}"{";" if windows else " &&"} '
    shown = "Not installed for {}: {}.".format(sys.executable or "this Python", ", ".join(missing))
    if python.exists():
        return f"{shown} Run: {enter}{python.relative_to(folder)} {program}"
    if windows:
        return f"{shown} Run: {enter}py -m venv .venv; .venv\\Scripts\\python -m pip install -r requirements.lock"
    return f"{shown} Run: {enter}make setup"


def check() -> None:
    """End the program with one line when the requirements are missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    line = complaint(missing, (sys.version_info[0], sys.version_info[1]), Path(__file__).resolve().parents[2])
    if line:
        raise SystemExit(line)


check()
# Database, logs and spending hold names, numbers and conversations.
os.umask(0o077)
