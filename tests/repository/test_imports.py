"""Which folder may import which, and the other rules of this repository that can be read from the code itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from relay.channels.registry import CHANNELS, FOLDERS

ROOT = Path(__file__).resolve().parents[2]

MAY_IMPORT: dict[str, set[str]] = {
    "relay": set(),
    "relay.config": set(),
    "relay.texts": {"relay.config"},
    "relay.core": {"relay.config", "relay.texts"},
    "relay.storage": {"relay.core", "relay.config"},
    "relay.web": {"relay.core", "relay.config"},
    "relay.llm": {"relay.core", "relay.config", "relay.texts"},
    "relay.channels": {
        "relay.core",
        "relay.config",
        "relay.web",
        "relay.llm.client",
        "relay.storage.listings",
        "relay.storage.queries",
        "relay.channels",
    },
    "relay.knowledge": {"relay.core", "relay.config"},
    "relay.alerts": {"relay.core", "relay.config", "relay.storage"},
    "relay.media": {"relay.core", "relay.config"},
    "relay.launcher": {
        "relay.config",
        "relay.core.errors",
        "relay.core.messages",
        "relay.core.retry",
        "relay.channels.registry",
        "relay.channels.spec",
        "relay.llm.checks",
    },
    # A program of its own, which the launcher starts like a server and never imports.
    "relay.launcher.tunnel": {
        "relay.channels.registry",
        "relay.channels.spec",
        "relay.config",
        "relay.core",
        "relay.launcher",
        "relay.web",
    },
    "relay.console": {
        "relay.alerts",
        "relay.core",
        "relay.config",
        "relay.texts",
        "relay.web",
        "relay.storage.listings",
        "relay.storage.queries",
        "relay.storage.search",
        "relay.storage.broadcasts",
        "relay.storage.operators_database",
        "relay.storage.charges",
        "relay.storage.daily_totals",
        "relay.storage.trace",
        "relay.storage.export",
        "relay.channels.registry",
        "relay.channels.spec",
        "relay.launcher.control",
        "relay.launcher.outages",
        "relay.llm.checks",
        "relay.llm.client",
    },
    "relay.simulator": {
        "relay.core.messages",
        "relay.core.http_client",
        "relay.core.retry",
        "relay.config",
        "relay.web",
        "relay.channels.sms.spec",
        "relay.channels.sms.settings",
        "relay.channels.telegram.spec",
        "relay.channels.telegram.settings",
        "relay.channels.whatsapp.spec",
        "relay.channels.whatsapp.settings",
        "relay.channels.registry",
    },
    "messaging_database": {"relay.storage", "relay.channels.registry", "relay.core", "relay.config"},
    "sms_service": {"relay.channels.sms", "relay.core", "relay.config", "relay.texts"},
    "telegram_service": {"relay.channels.telegram", "relay.core", "relay.config", "relay.texts"},
    "llm_server": {
        "relay.channels.registry",
        "relay.knowledge",
        "relay.llm",
        "relay.web",
        "relay.core",
        "relay.config",
    },
    "sms_server": {
        "messaging_database",
        "sms_service",
        "relay.channels",
        "relay.channels.sms",
        "relay.knowledge",
        "relay.texts",
        "relay.media",
        "relay.llm.client",
        "relay.web",
        "relay.core",
        "relay.config",
    },
    "telegram_server": {
        "messaging_database",
        "telegram_service",
        "relay.channels",
        "relay.channels.telegram",
        "relay.knowledge",
        "relay.media",
        "relay.llm.client",
        "relay.web",
        "relay.core",
        "relay.config",
    },
    "admin_server": {
        "relay.channels.registry",
        "messaging_database",
        "relay.console",
        "relay.media",
        "relay.storage.listings",
        "relay.storage.queries",
        "relay.web",
        "relay.core",
        "relay.config",
    },
    "simulator": {"relay.channels.registry", "relay.simulator", "relay.web", "relay.core", "relay.config"},
    "start_all_servers": {"relay.channels.registry", "relay.launcher", "relay.core", "relay.config"},
}
"""Every folder below relay/ and every module at the top, and what each may import besides itself.

A name stands for all modules in the folder; `relay.channels` does not include the channels' own folders.
"""

for name, channel in zip(FOLDERS, CHANNELS, strict=True):
    row = {"relay.channels.spec", "relay.core", "relay.config", "relay.texts", "relay.web", "relay.llm.client"}
    host = {f"relay.channels.{channel.host.platform}"} if channel.host else set()  # a hosted channel is thin over it
    MAY_IMPORT[f"relay.channels.{name}"] = row | host
    if channel.module == f"relay.channels.{name}.server":
        # A program like those at the top, only that it lies in the channel's folder.
        MAY_IMPORT[channel.module] = row | {"messaging_database", "relay.channels", f"relay.channels.{name}"}

LARGEST_SHARE = 0.25
"""No folder may hold more of the product's lines: then it is more than one concern."""

SERVERS_OF_CHANNELS = tuple(channel.module for channel in CHANNELS if channel.host is None)
PROGRAMS = ("llm_server", *SERVERS_OF_CHANNELS, "admin_server", "simulator", "start_all_servers")

NEVER: dict[str, tuple[set[str], str]] = {
    "fastapi": (
        {
            "messaging_database",
            "sms_service",
            "telegram_service",
            "relay.channels.telegram.ingest",
            "relay.channels.telegram.polling",
            "start_all_servers",
        },
        "they know nothing of HTTP servers",
    ),
    "sqlalchemy": (
        {
            "llm_server",
            "sms_service",
            "telegram_service",
            "relay.channels.telegram.ingest",
            "relay.channels.telegram.polling",
            "simulator",
            "start_all_servers",
        },
        "they read and write no row",
    ),
    "twilio": ({"telegram_service", "telegram_server", "llm_server"}, "that is the other channel's"),
    "telegram": ({"sms_service", "sms_server", "llm_server"}, "that is the other channel's"),
}
"""A package, the modules that never load it (not even through others), and why."""

INSIDE_FUNCTIONS: dict[str, str] = {
    "messaging_database": "its commands need a parser and telephone numbers, 8 MB that no server needs",
    "relay.storage.revisions": "Alembic costs 10 MB and a quarter of a second, and is needed only to migrate",
}
"""Modules that may import inside a function, and why."""

UNUSED_BY_SERVERS = {
    "alembic": "needed only to migrate",
    "sqlalchemy.orm": "rows are read and written with SQLAlchemy Core",
    "sqlalchemy.dialects.postgresql": "loaded by an engine that connects to one",
}
"""What would cost every server memory and time at its start, and why it has no use for it."""

VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def source_files() -> list[Path]:
    packages = [path.parent for path in ROOT.glob("*/__init__.py")]
    inside = [path for package in packages for path in package.rglob("*.py")]
    return sorted([*ROOT.glob("*.py"), *inside])


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def modules() -> dict[str, ast.Module]:
    return {module_name(path): parsed(path) for path in source_files()}


@cache
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All nodes of a module; most of the rules read them."""
    return tuple(ast.walk(tree))


def folder(module: str) -> str:
    """The row of MAY_IMPORT that holds for a module: the longest one that is a prefix of its name."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in MAY_IMPORT), parts[0])


def top_level(name: str) -> str:
    return name.partition(".")[0]


def imported_names(tree: ast.Module) -> Iterator[str]:
    """Dotted names of everything imported anywhere in a module, `from a import b` as a.b."""
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def own_imports(module: str) -> frozenset[str]:
    """The modules of this repository that a module imports."""
    found = set()
    for name in imported_names(modules()[module]):
        parts = name.split(".")
        candidates = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        own = next((candidate for candidate in candidates if candidate in modules()), None)
        if own is not None and own != module:
            found.add(own)
    return frozenset(found)


@cache
def loaded_by(module: str) -> frozenset[str]:
    """The module and everything of ours that it loads, through others too."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting.extend(own_imports(current))
    return frozenset(seen)


def test_every_folder_has_its_row() -> None:
    """The rules below cover the whole product, and name nothing that is gone."""
    assert {folder(module) for module in modules()} == set(MAY_IMPORT)


@pytest.mark.parametrize("importer", MAY_IMPORT)
def test_a_folder_imports_only_what_its_row_allows(importer: str) -> None:
    """One direction: programs import channels, channels import the core, the core imports the settings."""
    allowed = MAY_IMPORT[importer]
    wrong = {
        f"{module} imports {imported}"
        for module in modules()
        if folder(module) == importer
        for imported in own_imports(module)
        if folder(imported) != importer and not {imported, folder(imported)} & allowed
    }
    assert wrong == set()


def test_no_folder_holds_more_than_a_quarter_of_the_product() -> None:
    """A drawer that takes everything is no layout."""
    lines: Counter[str] = Counter()
    for path in source_files():
        parts = path.relative_to(ROOT).parts
        lines["/".join(parts[:2]) if len(parts) > 1 else parts[0]] += len(path.read_text("utf-8").splitlines())
    assert {name for name, count in lines.items() if count > LARGEST_SHARE * lines.total()} == set()


@pytest.mark.parametrize(
    ("package", "importer"),
    [(package, importer) for package, (modules_without, _) in NEVER.items() for importer in sorted(modules_without)],
)
def test_a_module_never_loads_what_is_not_its_business(package: str, importer: str) -> None:
    """Not even through another module."""
    loaders = {
        module
        for module in loaded_by(importer)
        if any(top_level(name) == package for name in imported_names(modules()[module]))
    }
    assert loaders == set(), NEVER[package][1]


def test_there_are_no_import_cycles() -> None:
    """No module loads itself through others."""
    cycles = {
        tuple(sorted((module, other)))
        for module in modules()
        for other in own_imports(module)
        if module in loaded_by(other)
    }
    assert cycles == set()


def test_imports_stand_at_the_top_of_their_module() -> None:
    """None inside a function: what a module needs is seen at once."""
    inside = {
        f"{module}:{inner.lineno}"
        for module, tree in modules().items()
        if module not in INSIDE_FUNCTIONS
        for node in nodes(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(node)
        if isinstance(inner, (ast.Import, ast.ImportFrom))
    }
    assert inside == set()


def test_no_module_only_passes_on_what_others_define() -> None:
    """One name, one home."""
    passing_on = {
        module
        for module, tree in modules().items()
        if any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in tree.body)
        and all(
            isinstance(node, (ast.Import, ast.ImportFrom))
            or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
            for node in tree.body
        )
    }
    assert passing_on == set()


def test_every_module_opens_with_what_it_is() -> None:
    """What it does; a word or two would not say it."""
    silent = {module for module, tree in modules().items() if len((ast.get_docstring(tree) or "").split()) < 5}
    assert silent == set()


def test_no_module_has_a_name_that_says_nothing() -> None:
    """A name says what the module does."""
    assert {module for module in modules() if VAGUE.intersection(module.split(".")[-1].split("_"))} == set()


def test_every_test_says_what_it_shows() -> None:
    """One line under its name."""
    silent = {
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in nodes(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    }
    assert silent == set()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_can_be_read_by_an_old_python_up_to_the_line_that_says_what_to_install(program: str) -> None:
    """Its own syntax is old, and the first module of ours that it imports is the one that checks."""
    source = (ROOT / f"{program.replace('.', '/')}.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    own = [name for node in imports[:2] for name in imported_names(ast.Module([node], []))]
    assert own[-1] == "relay.core.bootstrap"
    ast.parse((ROOT / "relay" / "core" / "bootstrap.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_importing_every_program_reads_no_configuration_and_opens_nothing(tmp_path: Path) -> None:
    """In a folder with a broken config.json nothing is said, made or left running."""
    (tmp_path / "config.json").write_text("{broken")
    code = f"import threading\nimport {', '.join(PROGRAMS)}\nprint(threading.active_count())"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_no_server_loads_what_it_has_no_use_for() -> None:
    """Neither by itself nor through a library that takes whatever is installed."""
    servers = ", ".join(program for program in PROGRAMS if program != "start_all_servers")
    code = f"import {servers}, sys\nprint(*(name for name in {list(UNUSED_BY_SERVERS)} if sys.modules.get(name)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr, done.returncode) == ([], "", 0)
