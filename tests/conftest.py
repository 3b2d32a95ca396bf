"""Shared fixtures: free ports, a copy of the product, a clean environment, empty databases."""

from __future__ import annotations

import gc
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, create_engine

from tests.databases import commit_without_the_disk, empty, migrated, share_compiled_statements, sqlite_in
from tests.ports import Ports
from tests.running_postgresql import Postgresql, running_postgresql
from tests.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
# What is imported and collected stays; each full collection of garbage would traverse all of it (a tenth of the time).
gc.disable()
# How long an example takes says how busy the machine is. Where a change has to pass, every run tries the same examples.
# Many examples, with random seeds, are the task of `make fuzz`.
settings.register_profile(
    "relay",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    max_examples=50,
)
settings.register_profile("fuzz", settings.get_profile("relay"), max_examples=200)
# `make test-fast` tries few examples of each property.
settings.register_profile("fast", settings.get_profile("relay"), max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "relay"))

SLOW_FIXTURES = frozenset({"postgresql", "project_folder", "product_environ", "free_port"})
SLOW_FOLDERS = tuple(
    f"tests/{name}"
    for name in (
        *("browser/", "chaos/", "console/", "crash/", "machines/", "product/", "repository/", "simulator/"),
        *("channels/test_contract", "channels/sms/test_sms_server", "channels/telegram/test_telegram_server"),
        *("config/test_logs", "core/test_bootstrap", "knowledge/test_documents", "launcher/test_launcher"),
        *("llm/test_llm_clients", "llm/test_llm_embeddings", "llm/test_llm_protocols", "media/test_media_reader"),
        *("storage/test_commands", "storage/test_counters_add_up", "storage/test_indexes", "storage/test_migrations"),
        *("storage/test_message_search", "storage/test_storage_trouble", "storage/test_work_of_pages"),
        *("texts/test_sentences", "web/test_clients_that_leave", "web/test_local_clients", "web/test_web"),
    )
)
"""Their tests start processes or browsers, use large packages, read the whole product, or fill large tables."""
SERVERS_IN_TESTS = frozenset({"running", "running_sms_server", "running_telegram_server", "writing"})
"""What runs a whole server inside a test; the tests of a module that imports it are slow as well."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where slow tests are left out, the modules that have no others are not even imported."""
    name = collection_path.relative_to(ROOT).as_posix() + "/" * collection_path.is_dir()
    return True if config.option.markexpr == "not slow" and name.startswith(SLOW_FOLDERS) else None


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark as slow what `make test-fast` leaves out, and run files with real processes first.

    They take longest and wait most: at the end, one worker would run the last of them while the others are idle.
    """
    with_processes = {item.path for item in items if item.get_closest_marker("processes")}
    items.sort(key=lambda item: item.path not in with_processes)
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
        if (
            item.get_closest_marker("processes")
            or item.get_closest_marker("campaign")
            or SERVERS_IN_TESTS.intersection(vars(item.module))
            or item.nodeid.startswith(SLOW_FOLDERS)
            or SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ()))
            or "postgresql" in {value for value in parameters if isinstance(value, str)}
        ):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Exempt what was imported and collected from garbage collection, which begins here."""
    gc.collect()
    gc.freeze()
    gc.enable()


commit_without_the_disk()
share_compiled_statements()

PORT_KEYS = tuple(key for key in Settings.model_fields if key.endswith("_port"))


@pytest.fixture
def free_port() -> Iterator[Callable[[], int]]:
    """A port on which nothing listens, kept for this test; a new one with each call."""
    ports = Ports()
    yield ports.take
    ports.give_back()


@pytest.fixture
def project_folder(tmp_path: Path) -> Path:
    """A copy of the product without settings, databases or logs of the developer; compiled, as far as the original is.

    Times are copied too: bytecode is valid for the time and size of its source.
    """
    folder = tmp_path / "project"
    folder.mkdir()
    for program in ROOT.glob("*.py"):
        shutil.copy2(program, folder)
    for package in ("__pycache__", *(found.parent.name for found in ROOT.glob("*/__init__.py"))):
        if (ROOT / package).exists():
            shutil.copytree(ROOT / package, folder / package)
    for name in ("requirements.lock", "faq.json"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def product_environ(free_port: Callable[[], int]) -> dict[str, str]:
    """An environment for real processes: none of our settings, and a free port for each server."""
    known = {key.upper() for key in Settings.model_fields}
    clean = {
        key: value for key, value in os.environ.items() if key not in known and key.removesuffix("_FILE") not in known
    }
    return {**clean, **{key.upper(): str(free_port()) for key in PORT_KEYS}, "NO_COLOR": "1"}


@pytest.fixture
def wait_for_health() -> Callable[..., None]:
    """Wait until a server answers GET /health; fails after `seconds`."""

    def wait(port: int | str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
                    if answer.status == 200:
                        return
            except (OSError, urllib.error.URLError):
                time.sleep(0.02)  # another process: there is no event to await
        pytest.fail(f"no server became healthy on port {port} within {seconds} s")

    return wait


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """One for all tests that only need databases on it."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def sweeper(postgresql: Postgresql) -> Iterator[Engine]:
    """A connection to the migrated PostgreSQL that empties it between the tests."""
    engine = create_engine(migrated(postgresql.url), isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return sqlite_in(tmp_path)


@pytest.fixture
def postgresql_url(sweeper: Engine) -> str:
    empty(sweeper)
    return sweeper.url.render_as_string(hide_password=False)
