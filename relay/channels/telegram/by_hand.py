"""The parts of a text that an operator writes: Markdown, formatted and split like the answers of the model."""

from __future__ import annotations

from relay.channels.telegram.entities import plan
from relay.channels.telegram.settings import TelegramSettings
from relay.core.parts import PlannedPart
from relay.core.text import is_blank


def plan_text(settings: TelegramSettings, text: str) -> list[PlannedPart]:
    """All parts, up to one more than `telegram_max_parts`."""
    return plan(text, settings.telegram_max_parts + 1)


def plan_by_hand(settings: TelegramSettings, text: str) -> list[PlannedPart]:
    """The same within `telegram_max_parts`. Raises ValueError."""
    if is_blank(text):
        raise ValueError("it is empty")
    parts = plan_text(settings, text)
    if len(parts) > settings.telegram_max_parts:
        raise ValueError(f"it would take more than {settings.telegram_max_parts} messages")
    return parts
