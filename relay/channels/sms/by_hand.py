"""The parts of a text that an operator writes: sent as it is, cut and numbered when it is long."""

from __future__ import annotations

from relay.channels.sms.segments import MESSAGE_LIMIT, split
from relay.channels.sms.settings import SmsSettings
from relay.channels.sms.spelling import clean_sms, in_gsm_letters
from relay.core.parts import PlannedPart
from relay.core.text import is_blank


def plan_text(text: str) -> list[PlannedPart]:
    """The text without rendering, in as many parts as needed; an empty list when it is blank."""
    text = in_gsm_letters(clean_sms(text))
    return [] if is_blank(text) else split(text, MESSAGE_LIMIT)


def plan_by_hand(settings: SmsSettings, text: str) -> list[PlannedPart]:
    """The same within `sms_max_parts`. Raises ValueError."""
    parts = plan_text(text)
    if not parts:
        raise ValueError("it is empty")
    if len(parts) > settings.sms_max_parts:
        raise ValueError(f"it would take more than {settings.sms_max_parts} texts")
    return parts
