"""The settings of the WhatsApp channel."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from relay.channels.sms.settings import SmsSettings, missing_credentials
from relay.config.types import PhoneNumber

SIMULATED_WHATSAPP_NUMBER = "+15550100001"


class WhatsAppSettings(SmsSettings):
    """The account at Twilio is that of the SMS channel."""

    whatsapp_number: PhoneNumber = None
    """Our WhatsApp sender at Twilio in E.164 format: +12345678900. Without one, WhatsApp is not answered."""
    whatsapp_max_parts: Annotated[int, Field(ge=1, le=40)] = 6
    """Maximum number of messages per answer."""
    whatsapp_answer_tokens: Annotated[int, Field(ge=32, le=1_000_000)] = 1500
    """Maximum number of tokens of an answer; the model is asked for no more."""
    whatsapp_message_usd: Annotated[float, Field(ge=0, le=10)] = 0.005
    """Twilio's price of one message, in either direction; answers within 24 hours cost nothing else."""

    def simulated_values(self) -> dict[str, Any]:
        """The simulator plays WhatsApp where a number is set."""
        number = SIMULATED_WHATSAPP_NUMBER if self.whatsapp_number else None
        return {**super().simulated_values(), "whatsapp_number": number}


def missing(settings: WhatsAppSettings) -> tuple[str, ...]:
    """The settings without which WhatsApp is not answered; empty when all are there."""
    own = () if settings.whatsapp_number else ("whatsapp_number",)
    return (*own, *missing_credentials(settings))
