"""The control API under /sim/, for tests and the page: people, messages, transcripts, faults, options."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse

from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.core.messages import Platform
from relay.simulator.control_bodies import (
    ButtonPress,
    ChatOnly,
    NewFault,
    NewGroup,
    NewPerson,
    OptionChanges,
    Reset,
    SmsText,
    TelegramText,
)
from relay.simulator.faults import is_applicable
from relay.simulator.people import AddressTaken
from relay.simulator.services import Simulator
from relay.simulator.telegram_phone import ComposedMessage, TargetNotFound
from relay.simulator.transcripts import Transcript
from relay.simulator.twilio_rules import is_phone_number
from relay.web.access import ADMIN
from relay.web.errors import ApiError

KEEP_ALIVE_SECONDS = 15.0
MAX_WAIT_SECONDS = 300.0

PlatformQuery = Annotated[Platform, Query(pattern=f"^({SMS}|{TELEGRAM})$")]
PersonQuery = Annotated[str, Query(min_length=1)]


def control_routes(simulator: Simulator) -> APIRouter:
    """All routes under /sim/, for loopback clients only."""
    routes = APIRouter(prefix="/sim", dependencies=[ADMIN], tags=["control"])
    _add_people(routes, simulator)
    _add_sms(routes, simulator)
    _add_telegram(routes, simulator)
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
            "number": simulator.twilio.number,
            "bot": simulator.bot.about(),
            "people": [asdict(person) for person in world.people.all],
            "groups": [asdict(group) for group in world.people.groups.values()],
        }

    @routes.post("/people", status_code=201, summary="Add a person.")
    async def add_person(body: NewPerson) -> dict[str, Any]:
        if body.phone_number is not None:
            _check_phone(body.phone_number)
        try:
            person = world.people.add(**body.model_dump())
        except AddressTaken as error:
            raise ApiError(409, str(error), "leave it out and one is made up") from None
        world.transcripts.announce({"type": "people"})
        return {"person": asdict(person)}

    @routes.post("/groups", status_code=201, summary="Add a Telegram group.")
    async def add_group(body: NewGroup) -> dict[str, Any]:
        try:
            group = world.people.add_group(body.title, chat_id=body.chat_id, members=body.members)
        except AddressTaken as error:
            raise ApiError(409, str(error), "leave chat_id out and one is made up") from None
        world.transcripts.announce({"type": "people"})
        return {"group": asdict(group)}


def _check_phone(number: str) -> None:
    if not is_phone_number(number):
        raise ApiError(422, "this is not a phone number", "write it as +12025550101")


# -- messages from people --------------------------------------------------------------------------------------------


def _add_sms(routes: APIRouter, simulator: Simulator) -> None:
    @routes.post("/sms/send", summary="A person texts the number.")
    async def send(body: SmsText) -> dict[str, Any]:
        known = simulator.world.people.find(body.sender)
        if known is None:
            _check_phone(body.sender)
            simulator.world.people.with_phone(body.sender)
            simulator.world.transcripts.announce({"type": "people"})
        sender = known.phone_number if known else body.sender
        sid, outcome = await simulator.twilio.receive_text(
            sender,
            body.body,
            media=body.media,
            sid=body.sid,
            unsigned=body.unsigned,
            opt_out_type=body.opt_out_type,
        )
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
            with _not_found_as_404():
                update_id, message_id = phones.edit(body.chat_id, body.edit_of, body.text)
        else:
            composed = ComposedMessage(
                body.text_or_caption, body.effective_kind, body.reply_to, body.thread, body.entities
            )
            if not composed.text and composed.kind in {"text", "channel_post"}:
                raise ApiError(422, "there is no text", "give text, or another kind")
            update_id, message_id = phones.write(body.chat_id, composed, body.sender)
        return {"update_id": update_id, "message_id": message_id}

    @routes.post("/telegram/raw", summary="Queue any update.")
    async def raw(body: dict[str, Any]) -> dict[str, Any]:
        return {"update_id": phones.raw(body), "message_id": None}

    @routes.post("/telegram/block", summary="A person blocks the bot.")
    async def block(body: ChatOnly) -> dict[str, Any]:
        with _not_found_as_404():
            return {"update_id": phones.set_blocked(body.chat_id, True)}

    @routes.post("/telegram/unblock", summary="A person unblocks the bot.")
    async def unblock(body: ChatOnly) -> dict[str, Any]:
        with _not_found_as_404():
            return {"update_id": phones.set_blocked(body.chat_id, False)}

    @routes.post("/telegram/press", summary="A person presses an inline button.")
    async def press(body: ButtonPress) -> dict[str, Any]:
        with _not_found_as_404():
            return {"update_id": phones.press(body.chat_id, body.message_id, body.data)}

    @routes.post("/telegram/stop", summary="A person stops a draft.")
    async def stop(body: ChatOnly) -> dict[str, Any]:
        with _not_found_as_404():
            return {"update_id": phones.stop_draft(body.chat_id)}

    @routes.post("/telegram/migrate", summary="A group becomes a supergroup.")
    async def migrate(body: ChatOnly) -> dict[str, Any]:
        with _not_found_as_404():
            update_id, new = phones.migrate(body.chat_id)
            return {"update_id": update_id, "new_chat_id": new}


@contextlib.contextmanager
def _not_found_as_404() -> Iterator[None]:
    """Turn TargetNotFound into a 404."""
    try:
        yield
    except TargetNotFound as error:
        raise ApiError(404, str(error), "GET /sim/people and /sim/transcript show what there is") from None


# -- transcripts -----------------------------------------------------------------------------------------------------


def _add_transcripts(routes: APIRouter, simulator: Simulator) -> None:
    transcripts = simulator.world.transcripts

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
        contains: str | None = None,
    ) -> dict[str, Any]:
        key, about = _key(simulator, platform, person)

        def is_done() -> bool:
            return simulator.world.stopping.is_set() or _answered(transcripts.get(platform, key), after, contains)

        await transcripts.wait_until(platform, key, is_done, timeout)
        reached = _answered(transcripts.get(platform, key), after, contains)
        return {**transcripts.snapshot(platform, key), "person": about, "reached": reached}

    @routes.get("/events", summary="All changes, as server-sent events.")
    async def events() -> Response:
        return StreamingResponse(
            _events(simulator), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )


def _answered(transcript: Transcript, after: int, contains: str | None) -> bool:
    more = transcript.outgoing()[after:]
    return any(contains in bubble.text for bubble in more) if contains else bool(more)


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
        return (person.phone_number if platform == SMS else str(person.chat_id)), asdict(person)
    if platform == SMS and is_phone_number(number):
        return number, _unassigned(number)
    if platform == TELEGRAM and re.fullmatch(r"\d{1,16}", text):
        return text, _unassigned(text)
    raise ApiError(404, "no person with this name, number or chat", "GET /sim/people lists them")


def _unassigned(address: str) -> dict[str, Any]:
    return {"id": None, "name": address}


async def _events(simulator: Simulator) -> AsyncIterator[str]:
    world = simulator.world
    with world.transcripts.subscribe() as subscriber:
        yield 'event: hello\ndata: {"simulated": true}\n\n'
        while not world.stopping.is_set():
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    event = await subscriber.next()
            except TimeoutError:
                yield ": keep-alive\n\n"
                continue
            yield f"data: {json.dumps(event)}\n\n"


# -- faults, options, state ------------------------------------------------------------------------------------------


def _add_faults(routes: APIRouter, simulator: Simulator) -> None:
    faults, transcripts = simulator.world.faults, simulator.world.transcripts

    @routes.get("/faults", summary="Faults that are switched on.")
    async def show() -> dict[str, Any]:
        return {"faults": [asdict(fault) for fault in faults.faults]}

    @routes.post("/faults", status_code=201, summary="Switch a fault on.")
    async def add(body: NewFault) -> dict[str, Any]:
        if not is_applicable(body.target, body.effect):
            raise ApiError(422, f"{body.effect} does not apply to {body.target}", "docs/SIMULATOR.md has the table")
        fault = faults.add(**body.model_dump())
        transcripts.announce({"type": "faults"})
        return {"fault": asdict(fault)}

    @routes.delete("/faults", summary="Switch all faults off.")
    async def clear() -> dict[str, int]:
        transcripts.announce({"type": "faults"})
        return {"removed": faults.remove()}

    @routes.delete("/faults/{fault_id}", summary="Switch one fault off.")
    async def remove(fault_id: int) -> dict[str, int]:
        if not (removed := faults.remove(fault_id)):
            raise ApiError(404, f"there is no fault {fault_id}", "a fault whose count is used up is removed by itself")
        transcripts.announce({"type": "faults"})
        return {"removed": removed}


def _add_state(routes: APIRouter, simulator: Simulator) -> None:
    world = simulator.world

    @routes.get("/options", summary="All options.")
    async def options() -> dict[str, Any]:
        return asdict(world.options)

    @routes.post("/options", summary="Change options.")
    async def change(body: OptionChanges) -> dict[str, Any]:
        world.options = replace(world.options, **body.model_dump(exclude_none=True))
        return asdict(world.options)

    @routes.post("/reset", summary="Reset all state.")
    async def reset(body: Reset | None = None) -> JSONResponse:
        simulator.reset(body.seed if body else None)
        return JSONResponse({"reset": True})

    @routes.get("/stats", summary="Calls, answers, webhooks, repetitions.")
    async def stats() -> dict[str, Any]:
        return world.stats.to_json(world.transcripts, len(simulator.updates.waiting))
