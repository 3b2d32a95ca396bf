"""Twilio's REST API as far as this product uses it; twilio_rules validates the requests."""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from relay.channels.sms.settings import SmsSettings
from relay.config.settings import Settings
from relay.simulator.fault_responses import apply_fault
from relay.simulator.faults import Fault
from relay.simulator.twilio_messages import API_VERSION, TextMessage, paged
from relay.simulator.twilio_network import TwilioNetwork
from relay.simulator.twilio_rules import TEXTS, TwilioRefusal, check_message, code_for
from relay.simulator.world import World
from relay.web.access import PUBLIC
from relay.web.token_guard import same_secret

_ACCOUNT = "/{account_sid}"
_ONE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADBwIAMCbHYQAAAABJRU5ErkJggg=="
)
Form = list[tuple[str, str]]


def error_response(refusal: TwilioRefusal, headers: dict[str, str] | None = None) -> Response:
    body = {
        "code": refusal.code,
        "message": refusal.message,
        "more_info": f"https://www.twilio.com/docs/errors/{refusal.code}",
        "status": refusal.status,
    }
    return JSONResponse(body, refusal.status, headers=headers)


def _faulty(fault: Fault) -> Response:
    code = fault.code or code_for(fault.status)
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return error_response(TwilioRefusal(code, fault.status, TEXTS.get(code)), headers)


async def read_form(request: Request) -> Form:
    """The fields of a form body; invalid UTF-8 is replaced."""
    body = (await request.body()).decode("utf-8", "replace")
    return parse_qsl(body, keep_blank_values=True)


class TwilioApi:
    """Handles the requests: checks credentials and account, applies faults, runs the operation."""

    def __init__(self, world: World, network: TwilioNetwork) -> None:
        self._world = world
        self._network = network

    def _authenticate(self, request: Request, account_sid: str) -> None:
        settings: Settings = self._world.settings
        token = settings.group(SmsSettings).twilio_auth_token
        wanted = f"{settings.group(SmsSettings).twilio_account_sid}:{token.get_secret_value() if token else ''}"
        if not same_secret(_basic(request), wanted):
            raise TwilioRefusal(20003)
        if account_sid != settings.group(SmsSettings).twilio_account_sid:
            raise TwilioRefusal(20404)

    async def answer(
        self, request: Request, account_sid: str, method: str, text: str, work: Callable[[], Response]
    ) -> Response:
        """Run `work` for an authenticated request; a TwilioRefusal becomes Twilio's JSON error."""

        async def accept() -> Response:
            try:
                return work()
            except TwilioRefusal as refusal:
                return error_response(refusal)

        try:
            self._authenticate(request, account_sid)
        except TwilioRefusal as refusal:
            self._world.stats.count_call(f"twilio.{method}", refusal.status)
            challenge = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if refusal.status == 401 else None
            return error_response(refusal, challenge)
        response = await apply_fault(self._world, self._world.faults.match("twilio", method, text), accept, _faulty)
        self._world.stats.count_call(f"twilio.{method}", response.status_code)
        return response

    def create(self, form: Form) -> Response:
        params, media = dict(form), [value for name, value in form if name == "MediaUrl"]
        check_message(params, media, [self._network.number])
        message = self._network.accept(
            params["To"],
            params.get("Body", ""),
            media=media,
            callback=params.get("StatusCallback", ""),
            service_sid=params.get("MessagingServiceSid") or None,
        )
        return JSONResponse(message.to_json(), 201)

    def redact(self, sid: str, form: Form) -> Response:
        """Remove the text from the log, not from the phone. Only an empty Body is allowed."""
        message = self._network.messages.get(sid)
        if dict(form).get("Body", "") != "":
            raise TwilioRefusal(20001, 400, "A message can be redacted, not changed")
        message.body, message.updated = "", self._world.clock()
        return JSONResponse(message.to_json())

    def delete(self, sid: str) -> Response:
        self._network.messages.delete(sid)
        return Response(status_code=204)

    def fetch(self, sid: str) -> Response:
        message: TextMessage = self._network.messages.get(sid)
        return JSONResponse(message.to_json())

    def page(self, request: Request, account_sid: str) -> Response:
        return JSONResponse(self._network.messages.page(f"/{API_VERSION}/Accounts/{account_sid}", request.query_params))

    def account(self) -> Response:
        return JSONResponse(
            {
                "sid": self._network.account_sid,
                "friendly_name": "Simulated account",
                "status": "active",
                "type": "Full",
                "owner_account_sid": self._network.account_sid,
                "uri": f"/{API_VERSION}/Accounts/{self._network.account_sid}.json",
            }
        )

    def numbers(self) -> Response:
        path = f"/{API_VERSION}/Accounts/{self._network.account_sid}/IncomingPhoneNumbers.json"
        return JSONResponse(paged("incoming_phone_numbers", [self._number()], path, {}, 0, 50, 1))

    def _number(self) -> dict[str, Any]:
        return {
            "sid": "PN" + "51" * 16,
            "account_sid": self._network.account_sid,
            "phone_number": self._network.number,
            "friendly_name": "Simulated number",
            "capabilities": {"sms": True, "mms": True, "voice": False, "fax": False},
            "sms_url": self._world.options.twilio_webhook_url,
            "sms_method": "POST",
            "sms_fallback_url": "",
            "status_callback": "",
            "status": "in-use",
            "api_version": API_VERSION,
        }


def _basic(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def twilio_routes(api: TwilioApi) -> APIRouter:
    """The REST API's routes, with HTTP basic authentication."""
    routes = APIRouter(prefix=f"/{API_VERSION}/Accounts", dependencies=[PUBLIC], tags=["Twilio"])
    _add_messages(routes, api)
    _add_account(routes, api)
    return routes


def _add_messages(routes: APIRouter, api: TwilioApi) -> None:
    @routes.post(f"{_ACCOUNT}/Messages.json", summary="Send a text message.")
    async def create(request: Request, account_sid: str) -> Response:
        form = await read_form(request)
        text = dict(form).get("Body", "")
        return await api.answer(request, account_sid, "messages.create", text, functools.partial(api.create, form))

    @routes.get(f"{_ACCOUNT}/Messages.json", summary="List messages, newest first.")
    async def page(request: Request, account_sid: str) -> Response:
        work = functools.partial(api.page, request, account_sid)
        return await api.answer(request, account_sid, "messages.list", "", work)

    @routes.get(f"{_ACCOUNT}/Messages/{{sid}}.json", summary="Fetch one message.")
    async def fetch(request: Request, account_sid: str, sid: str) -> Response:
        return await api.answer(request, account_sid, "messages.fetch", "", functools.partial(api.fetch, sid))

    @routes.post(f"{_ACCOUNT}/Messages/{{sid}}.json", summary="Redact one message.")
    async def redact(request: Request, account_sid: str, sid: str) -> Response:
        form = await read_form(request)
        return await api.answer(request, account_sid, "messages.update", "", functools.partial(api.redact, sid, form))

    @routes.delete(f"{_ACCOUNT}/Messages/{{sid}}.json", summary="Delete one message.")
    async def delete(request: Request, account_sid: str, sid: str) -> Response:
        return await api.answer(request, account_sid, "messages.delete", "", functools.partial(api.delete, sid))

    @routes.get(f"{_ACCOUNT}/Messages/{{sid}}/Media/{{media}}", summary="A picture that a person sent.")
    async def media(request: Request, account_sid: str, sid: str, media: str) -> Response:
        return await api.answer(request, account_sid, "media", f"{sid} {media}", _pixel)


def _pixel() -> Response:
    return Response(_ONE_PIXEL, media_type="image/png")


def _add_account(routes: APIRouter, api: TwilioApi) -> None:
    @routes.get("/{account_sid}.json", summary="The account.")
    async def account(request: Request, account_sid: str) -> Response:
        return await api.answer(request, account_sid, "account", "", api.account)

    @routes.get(f"{_ACCOUNT}/IncomingPhoneNumbers.json", summary="The account's numbers.")
    async def numbers(request: Request, account_sid: str) -> Response:
        return await api.answer(request, account_sid, "numbers", "", api.numbers)
