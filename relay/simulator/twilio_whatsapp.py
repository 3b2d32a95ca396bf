"""WhatsApp as Twilio passes it on: addresses with a scheme, fields of its own, and the window of 24 hours.

https://www.twilio.com/docs/whatsapp/key-concepts, https://www.twilio.com/docs/messaging/guides/webhook-request
"""

from __future__ import annotations

from relay.channels.sms.settings import SIMULATED_PHONE_NUMBER
from relay.channels.sms.spec import SMS
from relay.channels.whatsapp.settings import SIMULATED_WHATSAPP_NUMBER
from relay.channels.whatsapp.spec import WHATSAPP
from relay.core.messages import Platform
from relay.simulator.people import Person

SCHEME = f"{WHATSAPP}:"
WINDOW_SECONDS = 86_400.0
OUTSIDE_WINDOW = 63016
OWN_ADDRESSES = (SIMULATED_PHONE_NUMBER, f"{SCHEME}{SIMULATED_WHATSAPP_NUMBER}")


def channel_of(address: str) -> Platform:
    return WHATSAPP if address.startswith(SCHEME) else SMS


def bare(address: str) -> str:
    """The number of an address, without its scheme."""
    return address.removeprefix(SCHEME)


def addresses(channel: Platform, person: Person) -> tuple[str, str]:
    """The person's address on a channel, and ours."""
    if channel == WHATSAPP:
        return f"{SCHEME}{person.phone_number}", f"{SCHEME}{SIMULATED_WHATSAPP_NUMBER}"
    return person.phone_number, SIMULATED_PHONE_NUMBER


def fields(person: Person) -> dict[str, str]:
    """What a webhook about a WhatsApp message has besides the fields of a text."""
    return {"ProfileName": person.name, "WaId": person.phone_number.lstrip("+"), "MessageType": "text"}


def outside_window(person: Person, now: float) -> int | None:
    """The error of a message to a person who has not written within 24 hours; None when it is taken."""
    since = now - person.whatsapp_at if person.whatsapp_at is not None else WINDOW_SECONDS
    return OUTSIDE_WINDOW if since >= WINDOW_SECONDS else None
