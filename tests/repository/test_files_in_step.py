"""Lock files, Makefile and the fixed names of this repository."""

from __future__ import annotations

import ast
import os
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

EXPECTED = (
    *("llm_server.py", "sms_server.py", "telegram_server.py", "admin_server.py", "simulator.py"),
    *("start_all_servers.py", "messaging_database.py", "sms_service.py", "telegram_service.py"),
    *("config.json", ".env.example", "requirements.txt", "requirements.lock", "requirements-dev.txt"),
    *("requirements-dev.lock", "requirements-setup.lock", "pyproject.toml", "Makefile", "README.md", "CHANGELOG.md"),
    *("docs/SMS_SETUP_GUIDE.md", "docs/QUICKSTART_SMS.md", "docs/TELEGRAM_SETUP_GUIDE.md", "docs/SETTINGS.md"),
    *("docs/QUICKSTART_TELEGRAM.md", "docs/SMS_IMPLEMENTATION_SUMMARY.md", "docs/MESSAGING_OVERVIEW.md", ".ci/run"),
)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_that_the_docs_mention_exists(name: str) -> None:
    """Its name and its place stay."""
    assert (ROOT / name).is_file()


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))


def asked_for(name: str) -> set[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines if not line.startswith("-"))
    return {canonical(match[0]) for match in found if match}


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_every_requirement_is_locked(name: str) -> None:
    """`make lock` was run after the last change."""
    assert asked_for(f"{name}.txt") - {canonical(pin) for pin in pins(f"{name}.lock")} == set()


def test_every_package_that_the_product_imports_is_locked_for_it() -> None:
    """What only the tests bring along is missing on a new machine."""
    packages = [init.parent for init in ROOT.glob("*/__init__.py")]
    files = [*ROOT.glob("*.py"), *(path for package in packages for path in package.rglob("*.py"))]
    ours = {path.stem for path in ROOT.glob("*.py")} | {package.name for package in packages}
    imported = {
        name.partition(".")[0]
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    locked = {canonical(name) for name in pins("requirements.lock")}
    brought_by = packages_distributions()
    missing = {
        name
        for name in imported - ours - sys.stdlib_module_names
        if locked.isdisjoint(canonical(distribution) for distribution in brought_by.get(name, []))
    }
    assert missing == set()


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_tests_run_on_the_very_versions_that_the_product_runs_on() -> None:
    """So that installing for tests also installs the product."""
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-setup.lock"])
def test_every_locked_version_has_its_hash_and_no_address(name: str) -> None:
    """What is installed is what was locked, wherever it is fetched from."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text)
    assert [block for block in blocks if "==" in block.partition("\n")[0] and "--hash=sha256:" not in block] == []
    assert "://" not in text


def test_every_target_of_the_makefile_says_what_it_does() -> None:
    """`make help` lists them all."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert declared
    described = set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))
    assert set(declared[1].split()) == described


def test_the_script_of_continuous_integration_can_be_run() -> None:
    """It is executable, and fails at the first failure."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")
