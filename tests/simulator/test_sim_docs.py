"""docs/SIMULATOR.md keeps step with the code."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from relay.simulator.faults import Effect, Target
from relay.simulator.world import SimulatorOptions
from simulator import create_app
from tests.settings import Settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "SIMULATOR.md").read_text(encoding="utf-8")
PATHS = sorted(path for path in create_app(Settings()).openapi()["paths"] if path.startswith("/sim/"))


@pytest.mark.parametrize("path", PATHS)
def test_every_control_route_is_described(path: str) -> None:
    """By its path, or as a sister of the one before it."""
    short = path.removeprefix("/sim/telegram")
    assert path.replace("{fault_id}", "{id}") in PAGE or f"`{short}`" in PAGE


@pytest.mark.parametrize("word", [*get_args(Target), *get_args(Effect), *SimulatorOptions.model_fields])
def test_every_fault_and_option_is_described(word: str) -> None:
    """With its own name."""
    assert f"`{word}`" in PAGE
