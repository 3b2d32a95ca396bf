"""Twilio's Messaging Services as far as a relay needs them: where the texts to their numbers are posted.

https://www.twilio.com/docs/messaging/api/service-resource
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from relay.channels.sms.settings import SIMULATED_ACCOUNT_SID
from relay.simulator.provider_api import read_form
from relay.simulator.twilio_rules import TwilioRefusal
from relay.simulator.world import SimulatorOptions, World
from relay.web.access import PUBLIC

Operation = Callable[[Request], Awaitable[Response]]
Answer = Callable[[Request, str, Operation], Awaitable[Response]]

_PATH = "/v1/Services/{sid}"
_FIELDS = {"InboundRequestUrl": "inbound_request_url", "InboundMethod": "inbound_method"}


def set_webhook(world: World, url: str) -> None:
    """Have people's texts posted to a URL, whose fragment is Twilio's. Raises TwilioRefusal."""
    try:
        world.options = SimulatorOptions(**{**world.options.model_dump(), "twilio_webhook_url": url})
    except ValidationError:
        raise TwilioRefusal(21402) from None


class MessagingServices:
    """Every Messaging Service that is asked for exists; each defers to its number's webhook until that is changed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._services: dict[str, dict[str, Any]] = {}
        self._number_url: str | None = None

    def routes(self, answer: Answer) -> APIRouter:
        """The routes; `answer` authenticates a request, runs an operation and counts it."""
        routes = APIRouter(dependencies=[PUBLIC], tags=["Twilio"])

        @routes.get(_PATH, summary="A Messaging Service.")
        async def fetch(request: Request, sid: str) -> Response:  # noqa: ARG001 (read from the path by the operation)
            return await answer(request, "services.fetch", self._fetch)

        @routes.post(_PATH, summary="Set where texts to a Messaging Service are posted.")
        async def update(request: Request, sid: str) -> Response:  # noqa: ARG001 (as above)
            return await answer(request, "services.update", self._update)

        return routes

    async def _fetch(self, request: Request) -> Response:
        return JSONResponse(self._service(request.path_params["sid"]))

    async def _update(self, request: Request) -> Response:
        service, form = self._service(request.path_params["sid"]), dict(await read_form(request))
        service |= {_FIELDS[name]: value for name, value in form.items() if name in _FIELDS}
        if "UseInboundWebhookOnNumber" in form:
            service["use_inbound_webhook_on_number"] = form["UseInboundWebhookOnNumber"] == "true"
        self._number_url = self._number_url or self._world.options.twilio_webhook_url
        defers = service["use_inbound_webhook_on_number"]
        set_webhook(self._world, self._number_url if defers else service["inbound_request_url"])
        return JSONResponse(service)

    def _service(self, sid: str) -> dict[str, Any]:
        unset = {"inbound_request_url": "", "inbound_method": "POST", "use_inbound_webhook_on_number": True}
        about = {"sid": sid, "account_sid": SIMULATED_ACCOUNT_SID, "friendly_name": "Simulated service"}
        return self._services.setdefault(sid, about | unset)
