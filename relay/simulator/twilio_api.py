"""Twilio's REST API as far as this product uses it; twilio_rules validates the requests."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from relay.channels.sms.settings import SIMULATED_ACCOUNT_SID, SIMULATED_AUTH_TOKEN, SIMULATED_PHONE_NUMBER
from relay.simulator.faults import Fault
from relay.simulator.provider_api import picture, read_form, respond
from relay.simulator.twilio_messages import ACCOUNT_PATH, API_VERSION, paged
from relay.simulator.twilio_network import TwilioNetwork
from relay.simulator.twilio_rules import TEXTS, TwilioRefusal, check_message, code_for
from relay.simulator.world import World
from relay.web.access import PUBLIC
from relay.web.token_guard import same_secret

_AUTHORIZATION = "Basic " + base64.b64encode(f"{SIMULATED_ACCOUNT_SID}:{SIMULATED_AUTH_TOKEN}".encode()).decode()

Operation = Callable[[Request], Awaitable[Response]]


def _authenticate(request: Request) -> None:
    """Raises TwilioRefusal."""
    if not same_secret(request.headers.get("authorization", ""), _AUTHORIZATION):
        raise TwilioRefusal(20003)
    if request.path_params["account_sid"] != SIMULATED_ACCOUNT_SID:
        raise TwilioRefusal(20404)


def _fault_error(fault: Fault) -> TwilioRefusal:
    code = fault.code or code_for(fault.status)
    return TwilioRefusal(code, fault.status, TEXTS.get(code), retry_after=fault.retry_after)


class TwilioApi:
    """The operations of the REST API on the message log, and their routes."""

    def __init__(self, world: World, network: TwilioNetwork) -> None:
        self._world = world
        self._network = network

    def routes(self) -> APIRouter:
        """The routes, with HTTP basic authentication; `method` is what a fault can name."""
        routes = APIRouter(prefix=f"/{API_VERSION}/Accounts/{{account_sid}}", dependencies=[PUBLIC], tags=["Twilio"])

        def add(verb: str, path: str, method: str, operation: Operation, summary: str) -> None:
            async def answer(request: Request) -> Response:
                return await self._answer(request, method, operation)

            routes.add_api_route(path, answer, methods=[verb], name=method, summary=summary)

        add("POST", "/Messages.json", "messages.create", self.create, "Send a text message.")
        add("GET", "/Messages.json", "messages.list", self.list, "List messages, newest first.")
        add("GET", "/Messages/{sid}.json", "messages.fetch", self.fetch, "Fetch one message.")
        add("POST", "/Messages/{sid}.json", "messages.update", self.redact, "Redact one message.")
        add("DELETE", "/Messages/{sid}.json", "messages.delete", self.delete, "Delete one message.")
        add("GET", "/Messages/{sid}/Media/{media}", "media", self.media, "A picture that a person sent.")
        add("GET", ".json", "account", self.account, "The account.")
        add("GET", "/IncomingPhoneNumbers.json", "numbers", self.numbers, "The account's numbers.")
        return routes

    async def _answer(self, request: Request, method: str, operation: Operation) -> Response:
        """Run the operation for an authenticated request, under the first fault that matches, and count it."""
        try:
            _authenticate(request)
            text = dict(await read_form(request)).get("Body", "")
            fault = self._world.faults.match("twilio", method, text)
            response = await respond(self._world, fault, lambda: operation(request), _fault_error)
        except TwilioRefusal as refusal:
            response = refusal.response()
        self._world.count_call(f"twilio.{method}", response.status_code)
        return response

    async def create(self, request: Request) -> Response:
        form = await read_form(request)
        params, media = dict(form), [value for name, value in form if name == "MediaUrl"]
        check_message(params, media, [SIMULATED_PHONE_NUMBER])
        message = self._network.accept(
            params["To"],
            params.get("Body", ""),
            media=media,
            callback=params.get("StatusCallback", ""),
            service_sid=params.get("MessagingServiceSid") or None,
        )
        return JSONResponse(message.to_json(), 201)

    async def list(self, request: Request) -> Response:
        return JSONResponse(self._network.messages.page(request.query_params))

    async def fetch(self, request: Request) -> Response:
        return JSONResponse(self._network.messages[request.path_params["sid"]].to_json())

    async def redact(self, request: Request) -> Response:
        """Remove the text from the log, not from the phone. Only an empty Body is allowed."""
        message = self._network.messages[request.path_params["sid"]]
        if dict(await read_form(request)).get("Body", "") != "":
            raise TwilioRefusal(20001, 400, "A message can be redacted, not changed")
        message.body, message.updated = "", self._world.clock()
        return JSONResponse(message.to_json())

    async def delete(self, request: Request) -> Response:
        message = self._network.messages[request.path_params["sid"]]
        del self._network.messages[message.sid]
        return Response(status_code=204)

    async def media(self, _: Request) -> Response:
        return picture()

    async def account(self, _: Request) -> Response:
        about = {
            "sid": SIMULATED_ACCOUNT_SID,
            "friendly_name": "Simulated account",
            "status": "active",
            "type": "Full",
            "owner_account_sid": SIMULATED_ACCOUNT_SID,
            "uri": f"{ACCOUNT_PATH}.json",
        }
        return JSONResponse(about)

    async def numbers(self, _: Request) -> Response:
        number: dict[str, Any] = {
            "sid": "PN" + "51" * 16,
            "account_sid": SIMULATED_ACCOUNT_SID,
            "phone_number": SIMULATED_PHONE_NUMBER,
            "friendly_name": "Simulated number",
            "capabilities": {"sms": True, "mms": True, "voice": False, "fax": False},
            "sms_url": self._world.options.twilio_webhook_url,
            "sms_method": "POST",
            "sms_fallback_url": "",
            "status_callback": "",
            "status": "in-use",
            "api_version": API_VERSION,
        }
        path = f"{ACCOUNT_PATH}/IncomingPhoneNumbers.json"
        return JSONResponse(paged("incoming_phone_numbers", [number], path, {}, 0, 50, 1))
