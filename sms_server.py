"""The SMS server: takes Twilio's webhooks in, starts the relay, and shows and steers it by HTTP.

It owns the routes, the start and the stop. What Twilio means is the SMS service's knowledge, what is stored the
database's; how a message is answered and sent happens in `relay`.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (says in one line what to install when something is missing)

import hashlib
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from httpx import AsyncClient
from pydantic import BaseModel, Field

from messaging_database import MessagingDatabase, open_database
from relay.channels.admin_api import Desk, Limit, Offset
from relay.channels.registry import settings_as
from relay.channels.sms.settings import SmsSettings
from relay.channels.sms.spec import CHANNEL, SMS
from relay.channels.sms.webhook import Form, normal_number, read_form
from relay.config.settings import load_settings
from relay.core import shutdown
from relay.core.errors import PayloadError
from relay.core.http_client import open_http_client
from relay.core.messages import SILENT_STATES, PlannedPart, UserId, UserState
from relay.core.metrics import Metrics
from relay.core.pipeline import Relay
from relay.core.text import without_controls
from relay.llm.client import LlmClient
from relay.web.access import ADMIN, PUBLIC, is_direct_from_this_machine
from relay.web.app import add_common_routes, build_app
from relay.web.errors import ApiError
from relay.web.serve import run_server
from sms_service import SmsService, callback_base, credentials, external_id, is_delivery

log = logging.getLogger("relay.sms.server")

# An empty document: the answer goes by the REST API, because a model may need longer than Twilio's 15 seconds.
EMPTY_TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response/>'

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the routes need, made at the start of the server."""

    settings: SmsSettings
    database: MessagingDatabase
    service: SmsService
    relay: Relay
    desk: Desk
    metrics: Metrics


def create_app(
    settings: SmsSettings | None = None,
    *,
    open_database: Callable[[SmsSettings, str], MessagingDatabase] = open_database,
    open_service: Callable[[SmsSettings, AsyncClient], SmsService] = SmsService,
) -> FastAPI:
    """The server as an ASGI app; its rooms are opened when it starts, and not before.

    Raises SettingsError when it could not do its work with these settings.
    """
    settings = settings or load_settings(settings_as(SmsSettings))
    credentials(settings)
    lifespan = partial(_lifespan, open_database=open_database, open_service=open_service)
    app = build_app("SMS server", settings, lifespan, description="Relays text messages over Twilio to the LLM server.")
    app.include_router(routes)

    async def ready() -> dict[str, Any]:
        return {**await _rooms(app).desk.readiness(), "simulated": _rooms(app).settings.simulated}

    add_common_routes(app, ready)
    return app


@asynccontextmanager
async def _lifespan(
    app: FastAPI,
    open_database: Callable[[SmsSettings, str], MessagingDatabase],
    open_service: Callable[[SmsSettings, AsyncClient], SmsService],
) -> AsyncIterator[None]:
    settings: SmsSettings = app.state.settings
    _warn(settings)
    http = open_http_client()
    database = open_database(settings, "sms_server")
    service, model = open_service(settings, http), LlmClient(http, settings)
    relay_ = Relay(database, service, model, settings, app.state.metrics)
    desk = Desk(CHANNEL, database, relay_, model)
    app.state.rooms = Rooms(settings, database, service, relay_, desk, app.state.metrics)
    await database.start()
    await relay_.start()
    yield
    await relay_.stop()
    await database.stop(settings.stop_seconds * shutdown.DATABASE)
    await http.aclose()


def _warn(settings: SmsSettings) -> None:
    """Say at the start what works less well than the operator may think."""
    if not settings.check_signatures and not settings.simulated:
        log.warning("validate_twilio_signature is off: anybody who finds this server can write in anybody's name")
    if callback_base(settings) is None:
        log.warning(
            "no delivery reports: set public_url to the https:// address under which Twilio reaches this server"
        )


def _rooms(app: FastAPI) -> Rooms:
    rooms: Rooms = app.state.rooms
    return rooms


# -- what everybody may see --------------------------------------------------------------------------------------------


@routes.head("/", dependencies=[PUBLIC], include_in_schema=False)
@routes.get("/", dependencies=[PUBLIC], summary="What this server is, and whether it works.")
async def home(request: Request) -> dict[str, Any]:
    rooms = _rooms(request.app)
    readiness = await rooms.desk.readiness()
    return {
        "server": "SMS server",
        "status": "ok" if readiness["ready"] else "trouble",
        "about": "People text a number, and an AI answers.",
        "links": {"webhook": "/sms/webhook", "status": "/sms/status", "health": "/health", "routes": "/docs"},
        "simulated": rooms.settings.simulated,
    }


# -- Twilio's webhooks -------------------------------------------------------------------------------------------------


@routes.post(
    "/sms/webhook",
    dependencies=[PUBLIC],
    summary="Where Twilio posts what people text.",
    description="Signed by Twilio. Answers an empty TwiML document as soon as the message is stored.",
)
async def receive_sms(request: Request) -> Response:
    rooms = _rooms(request.app)
    body = await request.body()
    form = _proven_form(request, rooms, body)
    try:
        if form is not None and is_delivery(form):
            return await _take_delivery(request, rooms, form)
        message = rooms.service.parse_inbound(form or read_form(body, request.headers.get("content-type", "")))
    except PayloadError as error:
        await _keep_unread(rooms, form, body, error)
        return _twiml()
    stored = await rooms.database.store_inbound(message, body.decode("utf-8", "replace"))
    rooms.metrics.inbound.labels(SMS, "repeated" if stored is None else "stored").inc()
    rooms.relay.notify(message.user_id)
    return _twiml()


@routes.post(
    "/sms/delivery",
    dependencies=[PUBLIC],
    summary="Where Twilio reports whether our texts arrived.",
    description="Signed by Twilio. Reports may come early, late and twice.",
)
async def receive_delivery(request: Request) -> Response:
    rooms = _rooms(request.app)
    form = _proven_form(request, rooms, await request.body())
    return await _take_delivery(request, rooms, form or Form(()))


async def _take_delivery(request: Request, rooms: Rooms, form: Form) -> Response:
    """Keep a report; one that cannot be understood is counted, and answered 200 so that Twilio logs no error."""
    try:
        event = rooms.service.parse_delivery(form, request.query_params.get("part"))
        person = normal_number(form.one("To"), rooms.settings.default_region)
    except PayloadError as error:
        log.warning("a delivery report cannot be used: %s", error)
        rooms.metrics.delivery.labels(SMS, "not understood").inc()
        return _twiml()
    fresh = await rooms.relay.outbox.record_status(event)
    rooms.metrics.delivery.labels(SMS, event.state if fresh else "repeated").inc()
    if fresh and person is not None:
        rooms.relay.send_soon(person)  # the status may decide the outcome that the next part waits for
    return _twiml()


async def _keep_unread(rooms: Rooms, form: Form | None, body: bytes, error: PayloadError) -> None:
    """Keep what cannot be parsed where the operator sees it; the same bytes twice are kept once."""
    log.warning("an inbound message cannot be understood: %s", error)
    rooms.metrics.inbound.labels(SMS, "not understood").inc()
    try:
        name = external_id(form) if form is not None else ""
    except PayloadError:
        name = ""
    name = name or f"unread-{hashlib.sha256(body).hexdigest()[:32]}"
    await rooms.database.store_dead_letter(SMS, name, body.decode("utf-8", "replace"), str(error))


def _twiml() -> Response:
    return Response(EMPTY_TWIML, media_type="text/xml")


def _proven_form(request: Request, rooms: Rooms, body: bytes) -> Form | None:
    """The form of a webhook that may be believed; None when it is no form. Raises ApiError 403 for all others."""
    try:
        form = read_form(body, request.headers.get("content-type", ""))
    except PayloadError:
        form = None
    signature = request.headers.get("x-twilio-signature")
    settings = rooms.settings
    if settings.check_signatures or (settings.simulated and signature is not None):
        header = request.headers.get("x-twilio-webhooks-signature-settings", "")
        url = _signed_url(request, settings)
        if not rooms.service.signatures.valid(url, form or Form(()), signature, header, body):
            log.warning("refused an unproven webhook: is %s, to the letter, what Twilio was told?", ascii(url)[:300])
            raise _unproven(settings, url, signed=signature is not None)
    elif settings.simulated and not is_direct_from_this_machine(request):
        raise ApiError(
            403,
            "in try-out mode unsigned messages are taken from this machine only",
            "call http://localhost directly, not through a proxy or tunnel, or configure a Twilio account",
        )
    return form


def _signed_url(request: Request, settings: SmsSettings) -> str:
    """What Twilio was told to call, to the letter: behind a tunnel our own idea of the host would be wrong."""
    raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw_path.decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    base = settings.public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"
    return f"{base}{path}?{query}" if query else f"{base}{path}"


def _unproven(settings: SmsSettings, url: str, *, signed: bool) -> ApiError:
    error = "the signature does not match" if signed else "the request carries no X-Twilio-Signature"
    if not re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w.~-]*)*(\?[\w=&.-]*)?", url, re.ASCII):
        url = f"http://127.0.0.1:{settings.sms_server_port}/sms/webhook"  # never a stranger's words in a command
    hint = (
        f"Twilio signs the URL {url} with the auth token: the webhook of the number must be this URL, and public_url "
        f"our address on the internet. To send a signed message by hand: {signed_command(settings, url)}"
    )
    return ApiError(403, error, hint)


def signed_command(settings: SmsSettings, url: str) -> str:
    """A command that sends a signed message; it reads the secret from the environment and holds no double quote.

    JSON would show a double quote with a backslash, and the command could not be copied as it is printed.
    """
    secret, digest, extra = "TWILIO_AUTH_TOKEN", "sha1", ""
    if settings.twilio_shared_key is not None:
        secret, digest = "TWILIO_SHARED_KEY", "sha256"
        extra = "-H X-Twilio-Webhooks-Signature-SmsSettings:algorithm=HMAC_SHA256 "
    signed = f"'{url}Bodytest messageFrom+12345678900'"
    signature = f"$(printf %s {signed} | openssl dgst -{digest} -hmac ${secret} -binary | base64)"
    return f"curl '{url}' -d From=%2B12345678900 -d 'Body=test message' {extra}-H X-Twilio-Signature:{signature}"


# -- what the operator may do ------------------------------------------------------------------------------------------


@routes.get("/sms/status", dependencies=[ADMIN], summary="Figures, people, cost and errors.")
async def status(request: Request, limit: Limit = 50, offset: Offset = 0) -> dict[str, Any]:
    rooms = _rooms(request.app)
    settings = rooms.settings
    common = await rooms.desk.status(limit, offset)
    cost = common["cost"]
    return {
        **common,
        "cost": {**cost, "sms_usd_estimate": round(cost["segments"] * settings.sms_segment_usd, 4)},
        "simulated": settings.simulated,
        "phone_number": settings.twilio_phone_number,
        "messaging_service_sid": settings.twilio_messaging_service_sid,
        "signatures_checked": settings.check_signatures,
        "delivery_reports_to": callback_base(settings),
    }


class Message(BaseModel):
    """What to send, and to whom."""

    phone_number: str = Field(description="A phone number, preferably as +12345678900.")
    message: str = Field(description="Plain text; it is sent unchanged.")


@routes.post(
    "/sms/send",
    dependencies=[ADMIN],
    status_code=202,
    summary="Text somebody.",
    description="It goes through the outbox. The response has its id and the state of its parts.",
)
async def send(request: Request, message: Message) -> dict[str, Any]:
    rooms = _rooms(request.app)
    person = _recipient(rooms.settings, message.phone_number)
    planned = _planned(rooms, message.message)
    user = await rooms.database.find_user(SMS, person)
    if user is not None and user.state in SILENT_STATES:
        raise _unwilling(person, user.state)
    sent = await rooms.desk.send(person, planned)
    return {**sent, "phone_number": person, "simulated": rooms.settings.simulated}


def _recipient(settings: SmsSettings, written: str) -> UserId:
    number = normal_number(written, settings.default_region)
    if number is None:
        raise ApiError(422, "phone_number is not a phone number", "write it with + and country code: +12345678900")
    if number == settings.twilio_phone_number:
        raise ApiError(422, "phone_number is our own number", "give the number of the person")
    return number


def _planned(rooms: Rooms, text: str) -> list[PlannedPart]:
    planned = rooms.service.plan_text(text)
    most = rooms.settings.sms_max_parts
    if not planned:
        raise ApiError(422, "the message is empty", "put some text into message")
    if len(planned) > most:
        raise ApiError(
            422,
            f"the message would take {len(planned)} texts, and the most is {most}",
            "shorten it, send it in several messages, or raise sms_max_parts",
        )
    return planned


def _unwilling(person: UserId, state: UserState) -> ApiError:
    if state is UserState.STOPPED:
        return ApiError(409, f"{person} has opted out", "nothing can be sent until they text START")
    return ApiError(409, f"{person} is {state}", "nothing can be sent until they text us again")


@routes.delete("/sms/user/{phone_number}/history", dependencies=[ADMIN], summary="Forget a conversation.")
async def clear_history(request: Request, phone_number: str) -> dict[str, Any]:
    rooms = _rooms(request.app)
    person = _known_address(rooms.settings, phone_number)
    removed = await rooms.database.clear_history(SMS, person)
    if removed is None:
        raise ApiError(
            404, f"nobody is known under {person}", "write it like +12345678900; GET /sms/status lists the people"
        )
    return {"phone_number": person, "removed": removed}


@routes.post(
    "/sms/user/{phone_number}/release",
    dependencies=[ADMIN],
    summary="Resume answering somebody who was taken for a machine.",
)
async def release(request: Request, phone_number: str) -> dict[str, Any]:
    rooms = _rooms(request.app)
    person = _known_address(rooms.settings, phone_number)
    if not await rooms.database.release_user(SMS, person):
        raise ApiError(409, f"{person} is not paused", "GET /sms/status shows the state of everybody")
    return {"phone_number": person, "released": True}


def _known_address(settings: SmsSettings, written: str) -> UserId:
    """Short codes and names have a history too, although they are never answered."""
    return normal_number(written, settings.default_region) or UserId(without_controls(written).strip())


def main() -> None:
    """Run the server until a signal."""
    run_server("sms_server", settings_as(SmsSettings), create_app, lambda settings: settings.sms_server_port)


if __name__ == "__main__":
    main()
