"""Writes docs/SETTINGS.md and .env.example: `python -m relay.launcher.settings_docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from relay.channels.registry import CHANNELS, AllSettings
from relay.config.docs import COMMON_CHAPTERS, Chapter, env_example, settings_page
from relay.config.settings import Settings


def _chapters() -> Iterator[Chapter]:
    """The common chapters, and one for each channel that brings settings of its own."""
    yield from COMMON_CHAPTERS
    known = set(Settings.model_fields)
    for channel in CHANNELS:
        own = [key for key in channel.settings.model_fields if key not in known]
        known.update(own)
        if own:
            yield Chapter(own[0], *channel.chapter)


CHAPTERS = tuple(_chapters())


def main() -> None:
    folder = Path(__file__).resolve().parents[2]
    texts = {
        "docs/SETTINGS.md": settings_page(AllSettings, CHAPTERS),
        ".env.example": env_example(AllSettings, CHAPTERS),
    }
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{name} was updated\n")


if __name__ == "__main__":
    main()
