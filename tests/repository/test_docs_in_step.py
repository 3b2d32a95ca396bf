"""What the documents name exists: files, links, settings, routes, commands, flags."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from relay.channels.registry import PLATFORMS
from tests.repository.route_walk import SERVERS, routes_of
from tests.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *(ROOT / "docs").rglob("*.md")]
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
PORTS = {"8033": "llm_server", "8040": "sms_server", "8041": "telegram_server", "8042": "admin_server",
         "8043": "simulator"}  # fmt: skip

MADE_LATER = re.compile(
    r"^(\.venv|\.env$|llm_spending\.json$|logs|build|.*\.(db|db-wal|db-shm|log|sqlite|bak|service|pem|gz)$|.*backup.*|/)",
    re.IGNORECASE,
)
"""Files that the product or its operator makes; the repository does not hold them."""

NOT_SETTINGS = {
    *(
        "NO_COLOR",
        "RELAY_SUPERVISED",
        "REQUIRE_BROWSER",
        "PYTHONPATH",
        "HTTPS_PROXY",
        "NO_PROXY",
    ),  # the environment's
    *("INTERNAL_TOKEN", "ADMIN_TOKEN"),
}
WHERE_TO_LOOK = ("*.py", "*.toml", "*.json", "*.html", "*.js", "*.sql", "*.yml", "*.yaml")

pages = pytest.mark.parametrize("page", PAGES, ids=NAMES)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_spans(text: str) -> Iterator[str]:
    """What stands between single backticks, outside of blocks."""
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def code_blocks(text: str) -> Iterator[str]:
    yield from re.findall(r"^```[a-z]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@cache
def words_of_the_code() -> frozenset[str]:
    found: set[str] = set()
    folders = [init.parent for init in ROOT.glob("*/__init__.py")] + [ROOT / "deploy"]
    files = [path for folder in folders for pattern in WHERE_TO_LOOK for path in folder.rglob(pattern)]
    for path in [*files, *ROOT.glob("*.py"), *ROOT.glob("*.json"), ROOT / "pyproject.toml"]:
        found.update(re.findall(r"\w+", path.read_text(encoding="utf-8", errors="replace")))
    return frozenset(found)


@pages
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file, and to a heading of it where one is named."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (heading and heading not in headings(path)):
            broken.append(target)
    assert broken == []


def headings(path: Path) -> set[str]:
    """The anchors that are made of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", text_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pages
def test_every_file_that_is_named_is_there(page: Path) -> None:
    """A path in backticks, with a folder or an ending that we use."""
    named = {
        span.strip("./")
        for span in code_spans(text_of(page))
        if re.fullmatch(r"\.?/?[\w.-]+(/[\w.-]+)*/?", span)
        and (span.endswith((".py", ".md", ".toml", ".json", ".lock", ".txt")) or span.split("/")[0] in FOLDERS)
    }
    missing = {
        name
        for name in named
        if not MADE_LATER.match(name) and not any((folder / name).exists() for folder in (ROOT, page.parent))
        and not list(ROOT.glob(f"relay/**/{name}")) and not list(ROOT.glob(f"*/{name}"))
    }  # fmt: skip
    assert missing == set()


FOLDERS = {"relay", "tests", "docs", "deploy", "benchmarks", "evals"}


@pages
def test_every_test_that_is_named_exists(page: Path) -> None:
    """`tests/folder/test_file.py::test_name`, as pytest takes it."""
    named = {span for span in code_spans(text_of(page)) if "::" in span}
    assert {name for name in named if not is_test(name)} == set()


def is_test(name: str) -> bool:
    file, _, test = name.partition("::")
    path = ROOT / file
    return path.is_file() and bool(re.search(rf"^(async )?def {re.escape(test)}\(", text_of(path), re.MULTILINE))


def test_every_promise_of_the_readme_has_its_proof() -> None:
    """A chapter of the guarantees for each, in the same order, with tests and with what is outside it."""
    listed = text_of(ROOT / "README.md").partition("## Guarantees")[2].partition("\n\nThe relay cannot")[0]
    promises = [" ".join(one.split()) for one in re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", listed).split("\n- ")[1:]]
    chapters = re.split(r"^## ", text_of(ROOT / "docs" / "GUARANTEES.md"), flags=re.MULTILINE)[1:]
    titles = [chapter.partition("\n")[0] for chapter in chapters]
    assert [promise[: len(title)] for promise, title in zip(promises, titles, strict=True)] == titles
    assert [title for title, chapter in zip(titles, chapters, strict=True) if "::test_" not in chapter] == []
    assert [title for title, chapter in zip(titles, chapters, strict=True) if "\nOutside: " not in chapter] == []


@pages
def test_every_setting_that_is_named_is_one(page: Path) -> None:
    """Names in capitals in code, as they would be written into .env or a shell."""
    known = {key.upper() for key in Settings.model_fields}
    spans = [*code_spans(text_of(page)), *code_blocks(text_of(page))]
    named = {
        match
        for span in spans
        for match in re.findall(r"(?<![\w$./-])([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)(?=[=`\s]|$)", span)
    }
    unknown = {name for name in named - known - NOT_SETTINGS if name.removesuffix("_FILE") not in known}
    assert {name for name in unknown if name not in words_of_the_code()} == set()


@pages
def test_every_name_of_the_code_that_is_mentioned_is_in_the_code(page: Path) -> None:
    """Settings, verbs, tables and fields in backticks: a word of the code with an underscore."""
    named = {span for span in code_spans(text_of(page)) if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+(\(\))?", span)}
    assert {name for name in named if name.removesuffix("()") not in words_of_the_code()} == set()


@cache
def known_routes() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    return tuple(
        (server, verb, route.pattern) for server in SERVERS for route in routes_of(server) for verb in route.verbs
    )


def is_route(path: str, *, server: str | None = None, verb: str | None = None) -> bool:
    clean = re.split(r"[?#]", path.replace("\\", ""))[0].rstrip(".,;:") or "/"
    return any(
        pattern.fullmatch(clean) and server in {None, its_server} and verb in {None, its_verb}
        for its_server, its_verb, pattern in known_routes()
    )


def test_every_call_of_a_text_is_defined_in_the_file_of_its_row() -> None:
    """The way of an SMS, which a newcomer follows file by file; a method of a base class is in the file of the base."""
    text = text_of(ROOT / "docs" / "SMS_IMPLEMENTATION_SUMMARY.md")
    rows = re.findall(r"^\| \d+ \| (.+) \| `([\w/]+\.py)` \|$", text, re.MULTILINE)
    assert len(rows) == 20
    calls = [(call, file) for names, file in rows for call in re.findall(r"`([\w.]+)`", names)]
    missing = {
        (call, file)
        for call, file in calls
        if not re.search(rf"^ *(async )?def {call.rpartition('.')[2]}\(", text_of(ROOT / file), re.MULTILINE)
        or not all(re.search(rf"^class {one}\b", text_of(ROOT / file), re.MULTILINE) for one in call.split(".")[:-1])
    }
    assert missing == set()


@pages
def test_every_route_that_is_named_exists(page: Path) -> None:
    """`GET /path`, and addresses with one of our ports."""
    text = text_of(page)
    wrong = {
        f"{verb} {path}"
        for verb, path in re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/[^\s`\"')|,]*)", text)
        if not is_route(path, verb=verb)
    }
    wrong |= {
        f"{port}{path}"
        for port, path in re.findall(r"(?:localhost|127\.0\.0\.1):(80\d\d)(/[^\s`\"')|,>]*)", text)
        if port in PORTS and not is_route(path, server=PORTS[port])
    }
    wrong |= {
        span
        for span in code_spans(text)
        if re.fullmatch(rf"/({'|'.join(PLATFORMS)})/[\w/{{}}-]+", span) and not is_route(span)
    }
    assert wrong == set()


@pages
def test_every_command_that_is_shown_can_be_run(page: Path) -> None:
    """Targets of make, programs, and the flags of the launcher."""
    text = "\n".join([*code_spans(text_of(page)), *code_blocks(text_of(page))])
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    flags = set(re.findall(r"--[a-z]+", launcher_help()))
    wrong = {f"make {name}" for name in re.findall(r"(?:^|[\s;&])make ([a-z-]+)", text) if name not in targets}
    wrong |= {name for name in re.findall(r"python3? ([\w/]+\.py)", text) if not (ROOT / name).exists()}
    for command in re.findall(r"start_all_servers\.py((?: --[a-z]+)+)", text):
        wrong |= set(command.split()) - flags
    # Debian has no "python", and another than that of .venv lacks the packages.
    wrong |= {
        line for block in code_blocks(text_of(page)) for line in re.findall(r"^python (?!-c).*", block, re.MULTILINE)
    }
    assert wrong == set()


GUIDES = [page for page in PAGES if "decisions" not in page.parts]
PASTED = re.compile(r"^ *(?:[$] +)?python3? +(?:-m +)?(\w+)(?:\.py)?\b", re.MULTILINE)


@pytest.mark.parametrize("page", GUIDES, ids=[str(page.relative_to(ROOT)) for page in GUIDES])
def test_a_command_that_is_pasted_runs_in_the_environment_that_make_created(page: Path) -> None:
    """Of our programs, none is started by a bare `python`: Debian has none, and the system's has no packages."""
    programs = {path.stem for path in ROOT.glob("*.py")} | {"relay", "tests", "benchmarks", "evals"}
    indented = re.findall(r"^ {4}\S.*$", text_of(page), re.MULTILINE)
    shown = "\n".join([*code_spans(text_of(page)), *code_blocks(text_of(page)), *indented])
    assert [name for name in PASTED.findall(shown) if name in programs] == []


@cache
def launcher_help() -> str:
    command = [sys.executable, "start_all_servers.py", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_layout_in_the_readme_is_the_tree() -> None:
    """Every program, every folder of relay/ and every other folder has its row, and no row is left over."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Project layout")[2].partition("\n\nHow")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    listed = {path for cell in cells for path in re.findall(r"`([^`]+)`", cell)}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    programs = {name for name in tracked if "/" not in name and name.endswith(".py")}
    folders = {f"{name.split('/')[0]}/" for name in tracked if "/" in name and not name.startswith((".", "relay/"))}
    inside = {
        "/".join(name.split("/")[:2]) + "/" for name in tracked if name.startswith("relay/") and name.count("/") > 1
    }
    assert listed - {"config.json", ".env.example", "faq.json", ".env"} == programs | folders | inside
