"""The WhatsApp channel within the SMS server: Twilio's webhook is the same, and the address of a message names it."""

from __future__ import annotations

from fastapi import APIRouter
from httpx import AsyncClient

from relay.channels.server import AnyServer, ChannelServer
from relay.channels.whatsapp.service import WhatsAppService, address
from relay.channels.whatsapp.settings import WhatsAppSettings
from relay.channels.whatsapp.spec import CHANNEL
from relay.core.messages import UserId
from relay.core.periodic import Periodic
from relay.web.errors import ApiError

routes = APIRouter()
"""None of its own: the SMS server hands over the messages from and to WhatsApp addresses."""


class WhatsAppServer(ChannelServer[WhatsAppSettings, WhatsAppService]):
    """The running WhatsApp channel."""

    channel = CHANNEL
    max_parts_key = "whatsapp_max_parts"

    def periodic(self) -> tuple[Periodic, ...]:
        return (self.service.reconciliation(self.database, self.pipeline.outbox.record_status),)

    def address(self, given: str) -> UserId:
        return address(given)

    def recipient(self, given: str) -> UserId:
        user_id = address(given)
        if user_id == self.settings.whatsapp_number:
            raise ApiError(422, "whatsapp_id is our own number", "give the number of the person")
        return user_id


def open_server(host: AnyServer, http: AsyncClient) -> WhatsAppServer:
    """The server of this channel, on the database and the account of its host."""
    service = WhatsAppService(host.settings, http)
    return WhatsAppServer(
        host.settings, host.database, service, http, host.metrics, host.build_prompt, host.attachments
    )
