"""The parts of a text that an operator writes: Markdown, with WhatsApp's marks, cut and numbered when it is long."""

from __future__ import annotations

from dataclasses import replace

from relay.channels.sms.segments import split
from relay.channels.whatsapp.formatting import to_whatsapp
from relay.channels.whatsapp.settings import WhatsAppSettings
from relay.core.parts import PlannedPart
from relay.core.text import is_blank, strip_controls

MESSAGE_LIMIT = 1600  # https://www.twilio.com/docs/whatsapp/api: "Body"


def plan_by_hand(settings: WhatsAppSettings, text: str) -> list[PlannedPart]:
    """At most `whatsapp_max_parts` parts, each billed as one message. Raises ValueError."""
    text = to_whatsapp(strip_controls(text)).strip()
    if is_blank(text):
        raise ValueError("it is empty")
    parts = split(text, MESSAGE_LIMIT)
    if len(parts) > settings.whatsapp_max_parts:
        raise ValueError(f"it would take more than {settings.whatsapp_max_parts} messages")
    return [replace(part, segments=1) for part in parts]
