"""Only a channel's own code compares a platform: the rest of the product asks the registry for properties."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.channels.registry import CHANNELS, PLATFORMS

ROOT = Path(__file__).resolve().parents[2]
CONSTANTS = {platform.upper() for platform in PLATFORMS}
ALLOWED_FOLDERS = ("relay/channels/", "relay/simulator/")
ALLOWED_FILES = {
    "simulator.py",
    *(f"{platform}_service.py" for platform in PLATFORMS),
    *(f"{channel.module}.py" for channel in CHANNELS),
}
"""The channels' programs and services, and the simulator, which plays their providers."""


def names_a_platform(node: ast.expr | ast.pattern) -> bool:
    """Whether an expression or a pattern is a platform's stored id, its constant, or a collection with one."""
    return any(
        (isinstance(inner, ast.Constant) and inner.value in PLATFORMS)
        or (isinstance(inner, ast.Name) and inner.id in CONSTANTS)
        or (isinstance(inner, ast.Attribute) and inner.attr in CONSTANTS)
        for inner in ast.walk(node)
    )


def comparisons(source: str) -> Iterator[int]:
    """The lines that compare with a platform's name: by operators, by membership, by `match`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare() if any(map(names_a_platform, (node.left, *node.comparators))):
                yield node.lineno
            case ast.match_case() if names_a_platform(node.pattern):
                yield node.pattern.lineno


def product_files() -> list[Path]:
    return [*ROOT.glob("*.py"), *(path for init in ROOT.glob("*/__init__.py") for path in init.parent.rglob("*.py"))]


def test_nothing_outside_the_channels_compares_with_a_platforms_name() -> None:
    """A condition on a platform would be one more file for the next channel."""
    wrong = {
        f"{name}:{line}"
        for path in product_files()
        if (name := path.relative_to(ROOT).as_posix()) not in ALLOWED_FILES and not name.startswith(ALLOWED_FOLDERS)
        for line in comparisons(path.read_text("utf-8"))
    }
    assert wrong == set()


def test_no_template_of_the_console_compares_with_a_platforms_name() -> None:
    """Pages iterate over the registry too."""
    pages = [*(ROOT / "relay/console").rglob("*.html"), *(ROOT / "relay/console").rglob("*.js")]
    assert pages
    quoted = {f"{quote}{platform}{quote}" for platform in PLATFORMS for quote in "\"'"}
    assert {path.name for path in pages if any(word in path.read_text("utf-8") for word in quoted)} == set()


@pytest.mark.parametrize(
    "source",
    [
        'platform == "sms"',
        "user.platform != spec.TELEGRAM",
        'platform in ("sms", "telegram")',
        "SMS is platform",
        'match platform:\n    case "sms":\n        pass',
    ],
)
def test_a_comparison_is_found_however_it_is_written(source: str) -> None:
    """The check itself can fail."""
    assert len(list(comparisons(source))) == 1
