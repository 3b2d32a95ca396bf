"""Twilio's REST API as far as this product uses it; twilio_rules validates the requests."""

from __future__ import annotations

import base64
import re
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from relay.channels.sms.settings import SIMULATED_ACCOUNT_SID, SIMULATED_AUTH_TOKEN, SIMULATED_PHONE_NUMBER
from relay.simulator.faults import Fault
from relay.simulator.provider_api import read_form, respond
from relay.simulator.sent_files import SAMPLE
from relay.simulator.twilio_messages import ACCOUNT_PATH, API_VERSION, paged, rfc2822
from relay.simulator.twilio_network import TwilioNetwork
from relay.simulator.twilio_rules import TEXTS, TwilioRefusal, check_message, code_for, send_at
from relay.simulator.twilio_services import MessagingServices, Operation, set_webhook
from relay.simulator.twilio_whatsapp import OWN_ADDRESSES
from relay.simulator.world import World
from relay.web.access import PUBLIC
from relay.web.app import add_routes
from relay.web.token_guard import same_secret

STORE_PATH = "/media.twiliocdn.com"
NUMBER_SID = "PN" + "51" * 16
_AUTHORIZATION = "Basic " + base64.b64encode(f"{SIMULATED_ACCOUNT_SID}:{SIMULATED_AUTH_TOKEN}".encode()).decode()


def _authenticate(request: Request) -> None:
    """Raises TwilioRefusal."""
    if not same_secret(request.headers.get("authorization", ""), _AUTHORIZATION):
        raise TwilioRefusal(20003)
    if request.path_params.get("account_sid", SIMULATED_ACCOUNT_SID) != SIMULATED_ACCOUNT_SID:
        raise TwilioRefusal(20404)


def _fault_error(fault: Fault) -> TwilioRefusal:
    code = fault.code or code_for(fault.status)
    return TwilioRefusal(code, fault.status, TEXTS.get(code), retry_after=fault.retry_after)


class TwilioApi:
    """The operations of the REST API on the message log, and their routes."""

    def __init__(self, world: World, network: TwilioNetwork) -> None:
        self._world = world
        self._network = network
        self._services = MessagingServices(world)

    def routes(self) -> APIRouter:
        """The routes, with HTTP basic authentication; `method` is what a fault can name."""
        routes = APIRouter(prefix=f"/{API_VERSION}/Accounts/{{account_sid}}", dependencies=[PUBLIC], tags=["Twilio"])
        store = APIRouter(tags=["Twilio"])
        store.get(f"{STORE_PATH}/{{file}}", dependencies=[PUBLIC], summary="Twilio's store of media.")(self.stored)

        def add(verb: str, path: str, method: str, operation: Operation, summary: str) -> None:
            async def answer(request: Request) -> Response:
                return await self._answer(request, method, operation)

            in_path = {"in": "path", "required": True, "schema": {"type": "string"}}
            parameters = [{"name": name, **in_path} for name in re.findall(r"{(\w+)}", routes.prefix + path)]
            extra = {"parameters": parameters}
            routes.add_api_route(path, answer, methods=[verb], name=method, summary=summary, openapi_extra=extra)

        add("POST", "/Messages.json", "messages.create", self.create, "Send a text message.")
        add("GET", "/Messages.json", "messages.list", self.list, "List messages, newest first.")
        add("GET", "/Messages/{sid}.json", "messages.fetch", self.fetch, "Fetch one message.")
        add("POST", "/Messages/{sid}.json", "messages.update", self.update, "Redact or cancel one message.")
        add("DELETE", "/Messages/{sid}.json", "messages.delete", self.delete, "Delete one message.")
        add("POST", "/Messages/{sid}/Feedback.json", "feedback", self.feedback, "Confirm that a message was of use.")
        add("GET", "/Messages/{sid}/Media.json", "media.list", self.list_media, "The media of one message.")
        add("GET", "/Messages/{sid}/Media/{media}", "media", self.media, "A picture that a person sent.")
        add("GET", ".json", "account", self.account, "The account.")
        add("GET", "/Balance.json", "balance", self.balance, "The account's balance.")
        add("GET", "/IncomingPhoneNumbers.json", "numbers", self.numbers, "The account's numbers.")
        add("POST", "/IncomingPhoneNumbers/{sid}.json", "numbers.update", self.update_number, "Set a number's webhook.")
        add_routes(store, routes)
        add_routes(store, self._services.routes(self._answer))
        return store

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
        check_message(params, media, OWN_ADDRESSES)
        message = self._network.accept(
            params["To"],
            params.get("Body", ""),
            media=media,
            callback=params.get("StatusCallback", ""),
            service_sid=params.get("MessagingServiceSid") or None,
            send_at=send_at(params),
        )
        return JSONResponse(message.to_json(), 201)

    async def list(self, request: Request) -> Response:
        return JSONResponse(self._network.messages.page(request.query_params))

    async def fetch(self, request: Request) -> Response:
        return JSONResponse(self._network.messages[request.path_params["sid"]].to_json())

    async def update(self, request: Request) -> Response:
        """Cancel a scheduled message, or remove the text from the log, not from the phone. No other text is allowed."""
        message = self._network.messages[request.path_params["sid"]]
        params = dict(await read_form(request))
        if params.get("Status") == "canceled":
            self._network.cancel(message)
        elif params.get("Body", "") != "":
            raise TwilioRefusal(20001, 400, "A message can be redacted, not changed")
        else:
            message.body, message.updated = "", self._world.clock()
        return JSONResponse(message.to_json())

    async def feedback(self, request: Request) -> Response:
        message = self._network.messages[request.path_params["sid"]]
        outcome = dict(await read_form(request)).get("Outcome", "confirmed")
        now = rfc2822(self._world.clock())
        times = {"date_created": now, "date_updated": now}
        uri = f"{ACCOUNT_PATH}/Messages/{message.sid}/Feedback.json"
        about = {"account_sid": SIMULATED_ACCOUNT_SID, "message_sid": message.sid, "outcome": outcome, "uri": uri}
        return JSONResponse({**about, **times}, 201)

    async def list_media(self, request: Request) -> Response:
        message = self._network.messages[request.path_params["sid"]]
        path = f"{ACCOUNT_PATH}/Messages/{message.sid}/Media"
        items = [
            {
                "sid": f"ME{number:032x}",
                "account_sid": SIMULATED_ACCOUNT_SID,
                "parent_sid": message.sid,
                "content_type": content_type,
                "date_created": rfc2822(message.bubble.at),
                "date_updated": rfc2822(message.bubble.at),
                "uri": f"{path}/ME{number:032x}.json",
            }
            for number, content_type in enumerate(message.bubble.media)
        ]
        return JSONResponse(paged("media_list", items, f"{path}.json", {}, 0, 50, len(items)))

    async def delete(self, request: Request) -> Response:
        message = self._network.messages[request.path_params["sid"]]
        del self._network.messages[message.sid]
        return Response(status_code=204)

    async def media(self, request: Request) -> Response:
        """Redirect to the store, as Twilio does."""
        files = self._network.messages[request.path_params["sid"]].bubble.sent_files
        try:
            number = int(request.path_params["media"].removeprefix("ME"), 16)
        except ValueError:
            raise TwilioRefusal(20404) from None
        file_id = files[number] if number < len(files) else SAMPLE.id
        return RedirectResponse(f"{STORE_PATH}/{file_id}", 307)

    async def stored(self, request: Request, file: str) -> Response:
        """The content of a medium. Like Twilio's store it takes signed addresses, and refuses other credentials."""
        found = self._world.files.find(file)
        if "authorization" in request.headers or found is None:
            status = 400 if found else 404
            return Response("<Error><Code>InvalidArgument</Code></Error>", status, media_type="text/xml")
        fault = self._world.faults.match("twilio", "media.store", found.name)

        async def work() -> Response:
            return found.response()

        return await respond(self._world, fault, work, _fault_error)

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

    async def balance(self, _: Request) -> Response:
        return JSONResponse({"account_sid": SIMULATED_ACCOUNT_SID, "balance": "100.00", "currency": "USD"})

    async def numbers(self, _: Request) -> Response:
        path = f"{ACCOUNT_PATH}/IncomingPhoneNumbers.json"
        return JSONResponse(paged("incoming_phone_numbers", [self._number()], path, {}, 0, 50, 1))

    async def update_number(self, request: Request) -> Response:
        """Set where people's texts are posted, its fragment with Twilio's retries included."""
        if request.path_params["sid"] != NUMBER_SID:
            raise TwilioRefusal(20404)
        if url := dict(await read_form(request)).get("SmsUrl"):
            set_webhook(self._world, url)
        return JSONResponse(self._number())

    def _number(self) -> dict[str, Any]:
        return {
            "sid": NUMBER_SID,
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
