"""First import of every program: says in one line what to run when the requirements are not installed; starts light.

Uses nothing but the standard library, and no syntax newer than Python 3.8, so that it can speak at all.
"""

import gc
import importlib.util
import sys
from pathlib import Path

NEEDED = (
    *("fastapi", "uvicorn", "httpx", "httpx_aiohttp", "sqlalchemy", "alembic", "pydantic", "dotenv"),
    *("phonenumbers", "twilio", "telegram", "telegramify_markdown", "prometheus_client", "jinja2", "rich", "psutil"),
)

LEFT_OUT = ("httpx._main", "pydantic.v1", "watchfiles")
"""What libraries load when it can be had, and nothing here uses; together 5 MB and a tenth of every start.

httpx's command line (with rich and pygments), the old pydantic (FastAPI asks whether a model is one of its), and the
watcher of uvicorn's --reload. Each of these libraries goes on without.
"""
COLLECTOR_AT_REST = gc.get_threshold()
"""What `relay.web.serve.serve` goes back to when all is loaded."""
COLLECTOR_AT_START = (10_000, 10, 10)


def complaint(missing: "list[str]", version: "tuple[int, int]", folder: Path) -> "str | None":
    """The one line to print when this Python cannot run the product, or None when it can."""
    if version < (3, 11):
        return "This needs Python 3.11 or newer; this one is {}.{}.".format(*version)
    if not missing:
        return None
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


def start_light() -> None:
    """Leave out what nobody uses, and let the garbage collector wait: modules and classes are no garbage."""
    for name in LEFT_OUT:
        # To the import system, None is a module that cannot be found; one that was loaded before stays.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    gc.set_threshold(*COLLECTOR_AT_START)


check()
start_light()
