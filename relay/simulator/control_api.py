"""The control API under /sim/, for tests and the page: people, messages, transcripts, faults, options."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from relay.channels.sms.settings import SIMULATED_PHONE_NUMBER
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.channels.whatsapp.settings import WhatsAppSettings
from relay.channels.whatsapp.spec import WHATSAPP
from relay.core.messages import Platform
from relay.simulator.control_bodies import (
    ButtonPress,
    ChatOnly,
    GuestText,
    InlineText,
    NewGroup,
    NewPerson,
    Reset,
    SmsText,
    TelegramText,
)
from relay.simulator.faults import FaultSpec
from relay.simulator.services import Simulator
from relay.simulator.telegram_phone import TelegramPhones
from relay.simulator.twilio_rules import is_phone_number
from relay.simulator.world import SimulatorOptions, World
from relay.web.access import ADMIN
from relay.web.errors import ApiError

MAX_WAIT_SECONDS = 300.0

PlatformQuery = Annotated[Platform, Query(pattern=f"^({SMS}|{WHATSAPP}|{TELEGRAM})$")]
PersonQuery = Annotated[str, Query(min_length=1)]


def control_routes(simulator: Simulator) -> APIRouter:
    """All routes under /sim/, for loopback clients only."""
    routes = APIRouter(prefix="/sim", dependencies=[ADMIN], tags=["control"])
    _add_people(routes, simulator)
    _add_sms(routes, simulator)
    _add_telegram(routes, simulator)
    _add_inline(routes, simulator.telegram)
    _add_files(routes, simulator.world)
    _add_transcripts(routes, simulator)
    _add_faults(routes, simulator)
    _add_state(routes, simulator)
    return routes


# -- people ----------------------------------------------------------------------------------------------------------


def _add_people(routes: APIRouter, simulator: Simulator) -> None:
    world = simulator.world

    @routes.get("/people", summary="All people, the number, the bot.")
    async def people() -> dict[str, Any]:
        return {
            "simulated": True,
            "number": SIMULATED_PHONE_NUMBER,
            "whatsapp_number": world.settings.group(WhatsAppSettings).whatsapp_number,
            "bot": simulator.bot.about(),
            "console_url": world.settings.console_url,
            "people": [asdict(person) for person in world.people.all],
            "groups": [asdict(group) for group in world.people.groups.values()],
        }

    @routes.post("/people", status_code=201, summary="Add a person.")
    async def add_person(body: NewPerson) -> dict[str, Any]:
        if body.phone_number is not None:
            _check_phone(body.phone_number)
        return {"person": asdict(world.people.add(**body.model_dump()))}

    @routes.post("/groups", status_code=201, summary="Add a Telegram group.")
    async def add_group(body: NewGroup) -> dict[str, Any]:
        return {"group": asdict(world.people.add_group(**body.model_dump()))}


def _check_phone(number: str) -> None:
    if not is_phone_number(number):
        raise ApiError(422, "this is not a phone number", "write it as +12025550101")


# -- messages from people --------------------------------------------------------------------------------------------


def _add_sms(routes: APIRouter, simulator: Simulator) -> None:
    @routes.post("/sms/send", summary="A person texts the number, or writes on WhatsApp.")
    async def send(body: SmsText) -> dict[str, Any]:
        known = simulator.world.people.find(body.sender)
        if known is None:
            _check_phone(body.sender)
        details = body.model_dump(exclude={"sender"})
        sid, outcome = await simulator.twilio.receive_text(known.phone_number if known else body.sender, **details)
        return {
            "message_sid": sid,
            "webhook_status": outcome.status,
            "webhook_body": outcome.body,
            "error": outcome.error,
        }


def _add_telegram(routes: APIRouter, simulator: Simulator) -> None:
    phones = simulator.telegram

    @routes.post("/telegram/send", summary="A person writes, or edits their message.")
    async def send(body: TelegramText) -> dict[str, Any]:
        if body.edit_of is not None:
            update_id, message_id = phones.edit(body.chat_id, body.edit_of, body.text)
        elif not (body.text or body.caption) and body.kind in {"text", "channel_post"}:
            raise ApiError(422, "there is no text", "give text, or another kind")
        else:
            update_id, message_id = phones.write(body)
        return {"update_id": update_id, "message_id": message_id}

    @routes.post("/telegram/raw", summary="Queue any update.")
    async def raw(body: dict[str, Any]) -> dict[str, Any]:
        return {"update_id": phones.raw(body), "message_id": None}

    @routes.post("/telegram/block", summary="A person blocks the bot.")
    async def block(body: ChatOnly) -> dict[str, Any]:
        return {"update_id": phones.set_blocked(body.chat_id, True)}

    @routes.post("/telegram/unblock", summary="A person unblocks the bot.")
    async def unblock(body: ChatOnly) -> dict[str, Any]:
        return {"update_id": phones.set_blocked(body.chat_id, False)}

    @routes.post("/telegram/press", summary="A person presses an inline button.")
    async def press(body: ButtonPress) -> dict[str, Any]:
        return {"update_id": phones.press(body.chat_id, body.message_id, body.data, body.sender)}

    @routes.post("/telegram/stop", summary="A person stops a draft.")
    async def stop(body: ChatOnly) -> dict[str, Any]:
        return {"update_id": phones.stop_draft(body.chat_id)}

    @routes.post("/telegram/migrate", summary="A group becomes a supergroup.")
    async def migrate(body: ChatOnly) -> dict[str, Any]:
        update_id, new = phones.migrate(body.chat_id)
        return {"update_id": update_id, "new_chat_id": new}


def _add_inline(routes: APIRouter, phones: TelegramPhones) -> None:
    @routes.post("/telegram/inline", summary="A person writes behind the bot's name in another chat.")
    async def inline(body: InlineText) -> dict[str, Any]:
        update_id, query = phones.query(body.chat_id, body.text)
        return {"update_id": update_id, "query": query}

    @routes.get("/telegram/inline/{query}", summary="What the bot offers there.")
    async def results(query: str) -> dict[str, Any]:
        return {"results": phones.results(query)}

    @routes.post("/telegram/guest", summary="A person mentions the bot in a group without it.")
    async def guest(body: GuestText) -> dict[str, Any]:
        update_id, message_id = phones.guest(body.chat_id, body.text, body.sender)
        return {"update_id": update_id, "message_id": message_id}


# -- files -----------------------------------------------------------------------------------------------------------


def _add_files(routes: APIRouter, world: World) -> None:
    @routes.post("/files", status_code=201, summary="Put a file on the phones, to be sent; the body is its content.")
    async def upload(request: Request, name: Annotated[str, Query(max_length=200)] = "") -> dict[str, Any]:
        media_type = request.headers.get("content-type", "").partition(";")[0] or "application/octet-stream"
        file = world.files.add(await request.body(), media_type, name)
        return {"file": file.id, "media_type": media_type, "size": len(file.content)}

    @routes.get("/files/{file}", summary="A file that was put on the phones.")
    async def download(file: str) -> Response:
        found = world.files.find(file)
        if found is None:
            raise ApiError(404, "there is no such file", "files are forgotten at a reset")
        return found.response()


# -- transcripts -----------------------------------------------------------------------------------------------------


def _add_transcripts(routes: APIRouter, simulator: Simulator) -> None:
    world, transcripts = simulator.world, simulator.world.transcripts

    @routes.get("/telegram/files/{file_id}", summary="A file that the bot sent.")
    async def file(file_id: str) -> Response:
        sent = simulator.chats.files.get(file_id)
        if sent is None:
            raise ApiError(404, f"there is no file {file_id}", "the messages in GET /sim/transcript name their files")
        return Response(sent.content, media_type="text/plain; charset=utf-8")

    @routes.get("/transcript", summary="The transcript of a person.")
    async def transcript(platform: PlatformQuery, person: PersonQuery) -> dict[str, Any]:
        key, about = _key(simulator, platform, person)
        return {**transcripts.snapshot(platform, key), "person": about, "reached": True}

    @routes.get("/wait", summary="The transcript, as soon as it has grown.")
    async def wait(
        platform: PlatformQuery,
        person: PersonQuery,
        after: Annotated[int, Query(ge=0)] = 0,
        timeout: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)] = 10.0,  # noqa: ASYNC109 (a query parameter)
        contains: str = "",
    ) -> dict[str, Any]:
        key, about = _key(simulator, platform, person)

        def reached() -> bool:
            return any(contains in bubble.text for bubble in transcripts.get(platform, key).outgoing()[after:])

        await transcripts.wait_until(platform, key, lambda: world.stopping.is_set() or reached(), timeout)
        return {**transcripts.snapshot(platform, key), "person": about, "reached": reached()}

    @routes.get("/events", summary="All changes, as server-sent events.", response_class=EventSourceResponse)
    async def events() -> AsyncIterator[ServerSentEvent]:
        with transcripts.subscribe() as queue:
            yield ServerSentEvent(event="hello", data={"simulated": True})
            while not world.stopping.is_set():
                yield ServerSentEvent(data=await queue.get())


def _key(simulator: Simulator, platform: Platform, text: str) -> tuple[str, dict[str, Any]]:
    """The key of a transcript and the JSON of its owner. Raises ApiError 404.

    An unassigned number or chat id is valid: its first message may be about to arrive.
    """
    people = simulator.world.people
    text = text.strip()
    if platform == TELEGRAM and re.fullmatch(r"-\d{1,16}", text):
        group = people.groups.get(int(text))
        return text, asdict(group) if group else _unassigned(text)
    number = text if text.startswith("+") else f"+{text}"  # a plus sign in a query arrives as a blank
    person = people.find(text) or people.find(number)
    if person is not None:
        return (str(person.chat_id) if platform == TELEGRAM else person.phone_number), asdict(person)
    if platform != TELEGRAM and is_phone_number(number):
        return number, _unassigned(number)
    if platform == TELEGRAM and re.fullmatch(r"\d{1,16}", text):
        return text, _unassigned(text)
    raise ApiError(404, "no person with this name, number or chat", "GET /sim/people lists them")


def _unassigned(address: str) -> dict[str, Any]:
    return {"id": None, "name": address}


# -- faults, options, state ------------------------------------------------------------------------------------------


def _add_faults(routes: APIRouter, simulator: Simulator) -> None:
    faults, transcripts = simulator.world.faults, simulator.world.transcripts

    @routes.get("/faults", summary="Faults that are switched on, and what the latest ones struck.")
    async def show() -> dict[str, Any]:
        return {"faults": faults.faults, "strikes": list(faults.strikes)}

    @routes.post("/faults", status_code=201, summary="Switch a fault on.")
    async def add(body: FaultSpec) -> dict[str, Any]:
        fault = faults.add(body)
        transcripts.announce("faults")
        return {"fault": fault}

    @routes.delete("/faults", summary="Switch all faults off.")
    async def clear() -> dict[str, int]:
        transcripts.announce("faults")
        return {"removed": faults.remove()}

    @routes.delete("/faults/{fault_id}", summary="Switch one fault off.")
    async def remove(fault_id: int) -> dict[str, int]:
        if not (removed := faults.remove(fault_id)):
            raise ApiError(404, f"there is no fault {fault_id}", "a fault whose count is used up is removed by itself")
        transcripts.announce("faults")
        return {"removed": removed}


def _add_state(routes: APIRouter, simulator: Simulator) -> None:
    world = simulator.world

    @routes.get("/options", summary="All options.")
    async def options() -> SimulatorOptions:
        return world.options

    @routes.post("/options", summary="Change options.")
    async def change(body: SimulatorOptions) -> SimulatorOptions:
        if not body.model_fields_set:
            raise ApiError(422, "there is no option to change", "name at least one; GET /sim/options shows them")
        world.options = world.options.model_copy(update=body.model_dump(exclude_unset=True))
        return world.options

    @routes.post("/reset", summary="Reset all state.")
    async def reset(body: Reset | None = None) -> dict[str, bool]:
        simulator.reset(body.seed if body else None)
        return {"reset": True}

    @routes.get("/stats", summary="Calls, answers, webhooks, repetitions.")
    async def stats() -> dict[str, Any]:
        return {**world.stats(), "waiting_updates": len(simulator.updates.waiting)}
