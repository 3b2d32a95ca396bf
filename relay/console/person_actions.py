"""What an operator sets for one person: block, pause, limits, language, notes; each act is in the audit log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from relay.console.addresses import InForm, to_person, unknown_person
from relay.console.person import Address
from relay.console.services import ConsoleServices, Here
from relay.core.messages import BARRED, LANGUAGE
from relay.core.person_settings import MAX_NOTE, NOTE, PAUSED_UNTIL, PER_DAY, PER_MINUTE
from relay.storage import queries
from relay.texts.sentences import localize, offered_languages
from relay.web.access import ADMIN
from relay.web.errors import ApiError

HOUR = 3600.0
PAUSES = {1: "an hour", 8: "8 hours", 24: "a day", 168: "a week", 720: "30 days"}
"""How long an operator may want a person not answered, in hours."""

routes = APIRouter()


def languages() -> dict[str, str]:
    """The offered languages by code, each by its own name."""
    return {code: localize("language-name", code) for code in offered_languages()}


async def _set(
    request: Request, console: ConsoleServices, address: Address, changes: Mapping[str, Any], action: str, detail: str
) -> None:
    if await console.database.query(lambda c: queries.find_user(c, *address.key)) is None:
        raise unknown_person()
    await console.database.set_for_person(*address.key, changes, console.operator(request), action, detail)


@routes.post("/person/block", dependencies=[ADMIN], summary="Answer a person no more.")
async def block(request: Request, console: Here, address: InForm) -> Response:
    await _set(request, console, address, {BARRED: True}, "block", "")
    return to_person(address, "barred")


@routes.post("/person/unblock", dependencies=[ADMIN], summary="Answer a blocked or paused person again.")
async def unblock(request: Request, console: Here, address: InForm) -> Response:
    await _set(request, console, address, {BARRED: None, PAUSED_UNTIL: None}, "unblock", "")
    return to_person(address, "unbarred")


@routes.post("/person/pause", dependencies=[ADMIN], summary="Answer a person not before some hours are over.")
async def pause(
    request: Request, console: Here, address: InForm, hours: Annotated[int, Form(ge=1, le=max(PAUSES))]
) -> Response:
    await _set(request, console, address, {PAUSED_UNTIL: time.time() + hours * HOUR}, "pause", f"for {hours} h")
    return to_person(address, "paused")


@routes.post("/person/settings", dependencies=[ADMIN], summary="Limits, language and notes of a person.")
async def own_settings(
    request: Request,
    console: Here,
    address: InForm,
    language: Annotated[str, Form(max_length=20)] = "",
    per_minute: Annotated[int | None, Form(ge=1, le=10_000)] = None,
    per_day: Annotated[int | None, Form(ge=1, le=1_000_000)] = None,
    note: Annotated[str, Form(max_length=MAX_NOTE)] = "",
) -> Response:
    if language and language not in offered_languages():
        raise ApiError(422, "this language is not offered", f"choose one of {', '.join(offered_languages())}")
    changes = {LANGUAGE: language or None, PER_MINUTE: per_minute, PER_DAY: per_day, NOTE: note.strip() or None}
    shown = {"language": language, "a minute": per_minute, "a day": per_day, "note": "yes" if note.strip() else ""}
    detail = ", ".join(f"{name} {value}" for name, value in shown.items() if value) or "all as usual"
    await _set(request, console, address, changes, "settings", detail)
    return to_person(address, "saved")
