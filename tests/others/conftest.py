"""Fixtures of the tests with other people's Twilio; without `make others` they are skipped."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.others.node_programs import MODULES, Start, node, wait_until_it_answers
from tests.ports import Ports


@pytest.fixture
def start() -> Iterator[Start]:
    found = node() if MODULES.is_dir() else None
    if found is None:
        pytest.skip("make others installs what this needs, by npm")
    ports, running = Ports(), []

    def run(script: str, *arguments: str) -> str:
        port = ports.take()
        ports.give_back()  # Node does not share it
        command = [found, str(MODULES / script), *(word.replace("PORT", str(port)) for word in arguments)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        running.append(process)
        wait_until_it_answers(url := f"http://127.0.0.1:{port}", process)
        return url

    try:
        yield run
    finally:
        for process in running:
            process.kill()
            process.wait()
