"""The SMS server: receives Twilio's webhooks, and serves the operator's routes of the SMS channel.

Routes, start and stop that all channels share are in relay.channels.server; everything specific to Twilio is in
sms_service, transactions in messaging_database.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (prints what to install when something is missing)

import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar, Protocol

from fastapi import APIRouter, FastAPI, Request, Response
from httpx import AsyncClient

from messaging_database import MessagingDatabase, open_database
from relay.channels.registry import settings_as
from relay.channels.server import ChannelServer, create_channel_app, run_channel
from relay.channels.sms.bills import ROUND_SECONDS, Bills
from relay.channels.sms.by_hand import plan_text
from relay.channels.sms.reconciliation import SOON
from relay.channels.sms.senders import addressee
from relay.channels.sms.settings import SmsSettings, credentials
from relay.channels.sms.spec import CHANNEL, SMS
from relay.channels.sms.texts import max_characters, system_prompt
from relay.channels.sms.throughput import segments_per_second
from relay.channels.sms.twilio_channel import TwilioChannel
from relay.channels.sms.twilio_messages import callback_base
from relay.channels.sms.webhook import Form, external_id, is_delivery, read_form
from relay.channels.spec import ChannelSpec
from relay.config.loading import load_settings
from relay.config.logs import REFUSALS
from relay.core.errors import PayloadError
from relay.core.messages import User, UserId
from relay.core.metrics import Metrics
from relay.core.parts import PlannedPart
from relay.core.periodic import Periodic
from relay.core.pipeline import Pipeline
from relay.core.store import Store
from relay.core.text import strip_controls
from relay.knowledge.assistant import Assistant
from relay.knowledge.preview import printed_prompt
from relay.llm.client import open_embed
from relay.media.reader import MediaReader
from relay.texts import ENGLISH
from relay.web.access import PUBLIC, why_not_direct
from relay.web.errors import ApiError
from relay.web.plain_routes import PlainRoute
from sms_service import SmsService

log = logging.getLogger("relay.sms.server")
refusals = logging.getLogger(REFUSALS)

# An empty document: the answer goes by the REST API, because a model may need longer than Twilio's 15 seconds.
EMPTY_TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response/>'

MAX_SHOWN_SPENDERS = 10
MAX_SHOWN_URL = 200
"""Characters of the URL of a refused webhook that are logged and shown."""

routes = APIRouter(route_class=PlainRoute)


class SmsServer(ChannelServer[SmsSettings, SmsService]):
    """The running SMS channel, for its routes."""

    channel = CHANNEL
    description = "Relays text messages over Twilio to the LLM server."
    max_parts_key = "sms_max_parts"

    async def start(self) -> None:
        _warn(self.settings)
        await super().start()

    def periodic(self) -> tuple[Periodic, ...]:
        bills = Bills(self.database, self.service.fetch_bill)
        return (
            self.service.reconciliation(self.database, self.pipeline.outbox.record_status),
            Periodic("sms-bills", ROUND_SECONDS, bills.once, first_after=SOON),
        )

    def links(self) -> dict[str, str]:
        return {"webhook": "/sms/webhook", **super().links()}

    async def own_status(self, common: Mapping[str, Any]) -> dict[str, Any]:
        cost, settings = common["cost"], self.settings
        report = await self.database.read_spending(SMS, MAX_SHOWN_SPENDERS)
        return {
            "cost": {**cost, "sms_usd_estimate": round(cost["segments"] * settings.sms_segment_usd, 4)},
            "spending": {**report, **_caps(report, settings)},
            "phone_number": settings.twilio_phone_number,
            "messaging_service_sid": settings.twilio_messaging_service_sid,
            "segments_per_second": segments_per_second(settings),
            "signatures_checked": settings.check_signatures,
            "delivery_reports_to": callback_base(settings),
        }

    def address(self, given: str) -> UserId:
        """Short codes and alphanumeric senders have a history too, although they are never answered."""
        return addressee(given, self.settings.default_region) or UserId(strip_controls(given).strip())

    def recipient(self, given: str) -> UserId:
        number = addressee(given, self.settings.default_region)
        if number is None:
            raise ApiError(422, "phone_number is not a phone number", "write it with + and country code: +12345678900")
        if number == self.settings.twilio_phone_number:
            raise ApiError(422, "phone_number is our own number", "give the number of the person")
        return number

    def all_parts(self, text: str) -> list[PlannedPart]:
        return plan_text(text)

    def require_reachable(self, user_id: UserId, user: User | None) -> None:
        if user is not None:  # a text may be sent to a number that never texted us
            super().require_reachable(user_id, user)


def create_app(
    settings: SmsSettings | None = None,
    *,
    open_database: Callable[[SmsSettings, str], MessagingDatabase] = open_database,
    open_service: Callable[[SmsSettings, AsyncClient], SmsService] = SmsService,
    reread: Callable[[], SmsSettings] | None = None,
) -> FastAPI:
    """The server as an ASGI app; it is opened when the app starts, not before.

    reread: loads the settings again when a question comes; None: instructions and knowledge folder stay those given.

    Raises SettingsError when the channel cannot work with these settings.
    """
    if settings is None:
        reread = partial(load_settings, settings_as(SmsSettings))
        settings = reread()
    credentials(settings)
    assistant = Assistant(settings, SMS, reread=reread)
    return create_channel_app(SmsServer, settings, routes, open_database, open_service, assistant, MediaReader)


def _caps(report: Mapping[str, Any], settings: SmsSettings) -> dict[str, Any]:
    """The caps on spending, and the setting by which no one is answered now, or None."""
    caps = settings.spending_caps
    spent = (
        ("sms_daily_usd", report["today"], caps.day),
        ("sms_monthly_usd", report["month"], caps.month),
    )
    reached = next((name for name, sums, cap in spent if cap is not None and sums["usd"] >= cap), None)
    return {"caps_usd": asdict(caps), "cap_reached": reached}


def _warn(settings: SmsSettings) -> None:
    """Log settings that are less safe, or do less, than an operator may expect."""
    if not settings.check_signatures and not settings.simulated:
        log.warning("validate_twilio_signature is off: anybody who finds this server can write in anybody's name")
    if callback_base(settings) is None:
        log.warning(
            "no delivery reports: set public_url to the https:// address under which Twilio reaches this server"
        )


# -- Twilio's webhooks -------------------------------------------------------------------------------------------------


@routes.post(
    "/sms/webhook",
    dependencies=[PUBLIC],
    summary="Where Twilio posts what people text.",
    description="Signed by Twilio. Answers an empty TwiML document as soon as the message is stored.",
)
async def receive_sms(request: Request) -> Response:
    sms = SmsServer.of(request)
    server: TwilioServer = sms
    body = await request.body()
    form = _authentic_form(request, sms, body)
    try:
        if form is not None and is_delivery(form):
            return await _record_delivery(request, form)
        server = _channel_of(request, form, "From")
        message = server.service.parse_inbound(form or read_form(body, request.headers.get("content-type", "")))
    except PayloadError as error:
        await _store_unread(server, form, body, error)
        return _twiml()
    if (confirmation := server.service.opt_out(message)) is not None:
        if confirmation:  # in the language that the person has chosen
            user = await server.database.find_user(message.platform, message.user_id)
            confirmation = server.service.opt_out(message, user) or []
        stored = await server.database.store_opt_out(message, "opted out", confirmation)
        server.pipeline.notify_outbox(message.user_id)
    else:
        stored = await server.database.store_inbound(message, body.decode("utf-8", "replace"))
    server.metrics.inbound.labels(server.channel.platform, "repeated" if stored is None else "stored").inc()
    server.pipeline.notify(message.user_id)
    return _twiml()


@routes.post(
    "/sms/delivery",
    dependencies=[PUBLIC],
    summary="Where Twilio reports whether our texts arrived.",
    description="Signed by Twilio. Reports may come early, late and twice.",
)
async def receive_delivery(request: Request) -> Response:
    form = _authentic_form(request, SmsServer.of(request), await request.body())
    return await _record_delivery(request, form or Form(()))


async def _record_delivery(request: Request, form: Form) -> Response:
    """Store a delivery status; one that cannot be parsed is counted, and answered 200 so that Twilio logs no error."""
    server: TwilioServer = SmsServer.of(request)
    try:
        server = _channel_of(request, form, "To")
        event = server.service.parse_delivery(form, request.query_params.get("part"))
        person = server.address(form.one("To"))
    except PayloadError as error:
        log.warning("a delivery report cannot be used: %s", error)
        server.metrics.delivery.labels(server.channel.platform, "not understood").inc()
        return _twiml()
    fresh = await server.pipeline.outbox.record_status(event)
    server.metrics.delivery.labels(server.channel.platform, event.state if fresh else "repeated").inc()
    if fresh and person:
        server.pipeline.notify_outbox(person)  # the status may decide the outcome that the next part waits for
    return _twiml()


class TwilioServer(Protocol):
    """The server of a channel whose messages and status callbacks come to these webhooks."""

    channel: ClassVar[ChannelSpec]
    database: Store
    metrics: Metrics
    pipeline: Pipeline

    @property
    def service(self) -> TwilioChannel: ...

    def address(self, given: str) -> UserId: ...


def _channel_of(request: Request, form: Form | None, field: str) -> TwilioServer:
    """The server of the channel that the scheme of the person's address names, "whatsapp:+1..."; without one, SMS.

    Raises PayloadError when the field came with different values.
    """
    scheme = form.one(field).strip().partition(":")[0].lower() if form else ""
    found: TwilioServer | None = request.app.state.servers.get(scheme)
    return found or SmsServer.of(request)


async def _store_unread(server: TwilioServer, form: Form | None, body: bytes, error: PayloadError) -> None:
    """Store a body that cannot be parsed as a dead letter; the same bytes are stored once."""
    log.warning("an inbound message cannot be understood: %s", error)
    server.metrics.inbound.labels(server.channel.platform, "not understood").inc()
    try:
        name = external_id(form) if form is not None else ""
    except PayloadError:
        name = ""
    name = name or f"unread-{hashlib.sha256(body).hexdigest()[:32]}"
    await server.database.store_dead_letter(server.channel.platform, name, body.decode("utf-8", "replace"), str(error))


def _twiml() -> Response:
    return Response(EMPTY_TWIML, media_type="text/xml")


def _authentic_form(request: Request, server: SmsServer, body: bytes) -> Form | None:
    """The form of an authentic webhook; None when it is no form. Raises ApiError 403 when it is not authentic."""
    try:
        form = read_form(body, request.headers.get("content-type", ""))
    except PayloadError:
        form = None
    signature = request.headers.get("x-twilio-signature")
    settings = server.settings
    if settings.check_signatures or (settings.simulated and signature is not None):
        header = request.headers.get("x-twilio-webhooks-signature-settings", "")
        url = _signed_url(request, settings)
        if not server.service.signatures.valid(url, form or Form(()), signature, header, body):
            refusals.warning(
                "refused a webhook that is not authentic: is %s exactly the URL that is set at Twilio?",
                ascii(url)[:MAX_SHOWN_URL],
            )
            raise _forged(settings, url, signed=signature is not None)
    elif settings.simulated and (reason := why_not_direct(request)):
        raise ApiError(
            403,
            "in try-out mode unsigned messages are taken from this machine only",
            f"{reason}: call http://localhost directly, or configure a Twilio account",
        )
    return form


def _signed_url(request: Request, settings: SmsSettings) -> str:
    """The URL that Twilio called and signed; behind a tunnel the request names another host."""
    raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw_path.decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    base = settings.public_url or f"{request.scope['scheme']}://{request.headers.get('host', '')}"
    return f"{base}{path}?{query}" if query else f"{base}{path}"


def _forged(settings: SmsSettings, url: str, *, signed: bool) -> ApiError:
    error = "the signature does not match" if signed else "the request carries no X-Twilio-Signature"
    ours = re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w.~-]*)*(\?[\w=&.-]*)?", url, re.ASCII)
    if not ours or len(url) > MAX_SHOWN_URL:
        url = f"http://127.0.0.1:{settings.sms_server_port}/sms/webhook"  # no part of a foreign URL goes into a command
    hint = (
        "Twilio signs the URL that it calls with the auth token: the webhook of the number must be the URL of this "
        f"command, and public_url our address on the internet. To send a signed message by hand: "
        f"{signed_command(settings, url)}"
    )
    return ApiError(403, error, hint)


def signed_command(settings: SmsSettings, url: str) -> str:
    """A command that sends a signed message; it reads the secret from the environment and holds no double quote.

    JSON would show a double quote with a backslash, and the command could not be copied as it is printed.
    """
    secret, digest, extra = "TWILIO_AUTH_TOKEN", "sha1", ""
    if settings.twilio_shared_key is not None:
        secret, digest = "TWILIO_SHARED_KEY", "sha256"
        extra = "-H X-Twilio-Webhooks-Signature-Settings:algorithm=HMAC_SHA256 "
    signed = f"'{url}Bodytest messageFrom+12345678900'"
    signature = f"$(printf %s {signed} | openssl dgst -{digest} -hmac ${secret} -binary | base64)"
    return f"curl '{url}' -d From=%2B12345678900 -d 'Body=test message' {extra}-H X-Twilio-Signature:{signature}"


def _example_prompt(settings: SmsSettings) -> str:
    return system_prompt("Alice", max_characters(settings.sms_max_segments, ENGLISH))


def main() -> None:
    """Run the server until a signal."""
    kind = settings_as(SmsSettings)
    if not printed_prompt(kind, SMS, _example_prompt, open_embed):
        run_channel(CHANNEL, partial(create_app, reread=partial(load_settings, kind)))


if __name__ == "__main__":
    main()
