"""The pages of broadcasts: a text is previewed by channel, started once, watched, stopped and continued."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi import Path as PathParameter
from fastapi.responses import Response
from sqlalchemy import Connection, Row

from relay.channels.registry import PLATFORMS, KnownPlatform, served
from relay.channels.spec import ChannelSpec
from relay.config import weekly_times
from relay.config.settings import Settings
from relay.console.addresses import redirect
from relay.console.services import ConsoleServices, Here
from relay.core.broadcast import Audience, caps_of, plan_for
from relay.core.messages import Platform, UserId, db_safe
from relay.core.parts import PlannedPart
from relay.core.placeholders import has_name, unknown_placeholders
from relay.core.text import timestamp
from relay.storage import broadcasts, charges
from relay.web.access import ADMIN
from relay.web.errors import ApiError

DAY = 86_400.0
MAX_TEXT = 8000
MAX_ID = 2**63 - 1
SHOWN = 10
LIVE_SECONDS = 1.0
"""How often the page looks how far they are."""

LATELY_SECONDS = DAY
FINAL_SECONDS = 3 * DAY
"""After it the provider reports nothing more about a broadcast."""

KEPT_FINAL_SECONDS = 3600.0
MAX_SAMPLE = 1000
"""How many people's names the estimated cost of a text with {name} is computed from."""

DAYTIME = "Mon-Sun 8:00-21:00"
"""When marketing may be texted in the United States (TCPA, 47 CFR 64.1200(c)(1)), and what people expect elsewhere."""

WITHIN_DAYS = {
    0: "at any time",
    1: "in the last day",
    7: "in the last week",
    30: "in the last 30 days",
    365: "in the last year",
}
"""Since when its people must have written, in days."""

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class BroadcastDraft:
    """What an operator wants to send: the text, the channels, and within how many days its people must have written.

    hours: when each person may get it, in the form of relay.config.weekly_times; at any time when empty.
    """

    text: str
    platforms: tuple[Platform, ...]
    days: int
    hours: str

    def wrote_after(self, now: float) -> float | None:
        return now - self.days * DAY if self.days else None


@dataclass(frozen=True, slots=True)
class ChannelPreview:
    """What a draft would do on one channel. seconds: how long it takes. problem: why it cannot be sent there.

    excluded: how many people do not get it, by the reason. over: the caps that it would exceed. segments: of one
    person's text, on average. waiting: for about how many people the hours have not begun, which they do for the first
    at `first` and for the last at `last`. parts: what a person reads; nameless_parts: one without a name, where that
    differs.
    """

    platform: Platform
    title: str
    people: int = 0
    excluded: Mapping[str, int] | None = None
    segments: float = 0.0
    parts: Sequence[PlannedPart] = ()
    nameless_parts: Sequence[PlannedPart] = ()
    usd: float = 0.0
    seconds: float = 0.0
    waiting: int = 0
    first: str | None = None
    last: str | None = None
    over: Sequence[str] = ()
    sent_lately: bool = False
    problem: str = ""


def preview(
    connection: Connection, channel: ChannelSpec, settings: Settings, draft: BroadcastDraft, now: float
) -> ChannelPreview:
    """The preview of one channel: people, exclusions, the parts as people see them, and the estimated cost."""
    audience = channel.audience(settings, draft.wrote_after(now))
    try:
        texts = _texts_read(connection, channel, settings, draft.text, audience, now)
    except ValueError as error:
        return ChannelPreview(channel.platform, channel.title, problem=str(error))
    counted = broadcasts.count_audience(connection, audience, now)
    people, segments = counted.pop(None, 0), mean(sum(part.segments for part in parts) for _, parts in texts)
    prefixes = broadcasts.numbers_by_prefix(connection, audience, now)
    usd = segments * sum(count * channel.text_usd(settings, address) for address, count in prefixes)
    waiting = _waiting(channel, settings, draft.hours, prefixes, now)
    spent = charges.spending(connection, channel.platform, UserId(""), now)
    return ChannelPreview(
        channel.platform,
        channel.title,
        people,
        {reason: count for reason, count in counted.items() if reason},
        segments,
        texts[0][1],
        next((parts for name, parts in texts if name is None and texts[0][0] is not None), ()),
        usd,
        people * segments / channel.broadcast_per_second(settings),
        sum(waiting.values()),
        timestamp(min(waiting, default=None)),
        timestamp(max(waiting, default=None)),
        [reason for reason, sofar, cap in caps_of(channel.caps(settings), spent) if sofar + usd > cap],
        broadcasts.sent_lately(connection, channel.platform, draft.text, now - LATELY_SECONDS),
    )


def _waiting(
    channel: ChannelSpec, settings: Settings, hours: str, people: Iterable[tuple[str, int]], now: float
) -> Counter[float]:
    """How many people wait for these hours, by when these begin. people: addresses, and how many are like each."""
    begin: Counter[float] = Counter()
    for address, count in people:
        begin[channel.hours_begin(settings, hours, UserId(address), now)] += count
    del begin[now]
    return begin


def _texts_read(
    connection: Connection, channel: ChannelSpec, settings: Settings, text: str, audience: Audience, now: float
) -> list[tuple[str | None, Sequence[PlannedPart]]]:
    """What a sample of the people read, with their names, people with a name first. Raises ValueError."""
    plan = partial(channel.plan_for, settings)
    usual = plan(text, None)
    if not has_name(text):
        return [(None, usual)]
    names = broadcasts.sample_of_names(connection, audience, now, MAX_SAMPLE)
    named = [(name, plan_for(plan, text, name)) for name in sorted(filter(None, names))]
    return [*named, *[(None, usual)] * names.count(None)] or [(None, usual)]


async def _draft(
    text: Annotated[str, Form(max_length=MAX_TEXT)] = "",
    platform: Annotated[list[KnownPlatform], Form(max_length=20)] = [],  # noqa: B006 (FastAPI copies it)
    days: Annotated[int, Form(ge=0, le=3660)] = 0,
    hours: Annotated[str, Form(max_length=200)] = "",
) -> BroadcastDraft:
    try:
        weekly_times.spans(hours)
    except ValueError as error:
        raise ApiError(422, f"these are no hours: {hours}", f"they {error}") from None
    # Browsers submit line breaks as CR LF.
    return BroadcastDraft(db_safe(text).replace("\r\n", "\n").strip(), tuple(dict.fromkeys(platform)), days, hours)


Drafted = Annotated[BroadcastDraft, Depends(_draft)]
BroadcastId = Annotated[int, PathParameter(ge=1, le=MAX_ID)]


async def _previews(console: ConsoleServices, draft: BroadcastDraft) -> list[ChannelPreview]:
    now, settings = time.time(), console.settings
    channels = [channel for channel in served(settings) if channel.platform in draft.platforms]
    if not draft.text or not channels:
        what = "choose a channel" if draft.text else "write the text"
        raise ApiError(422, f"nothing can be sent yet: {what}", "go back, and the form is as you left it")
    return await console.database.query(lambda c: [preview(c, one, settings, draft, now) for one in channels])


async def _newest(console: ConsoleServices) -> dict[str, Any]:
    now = time.time()

    def count(connection: Connection, row: Row[Any]) -> dict[str, Any]:
        key = (row.id, row.updated_at)
        kept = console.deliveries.get(key, now)
        if kept is not None:
            return kept
        final = KEPT_FINAL_SECONDS if now - row.updated_at > FINAL_SECONDS else 0.0
        return console.deliveries.put(key, broadcasts.deliveries(connection, row), now, row.planned, final)

    rows = await console.database.query(lambda c: broadcasts.newest(c, PLATFORMS, SHOWN, count))
    return {"broadcasts": rows, "most_counted": broadcasts.MAX_COUNTED, "time": timestamp(now)}


def offered_hours(settings: Settings) -> dict[str, str]:
    """The hours that the form offers, with their words."""
    zone = settings.timezone
    offered = {DAYTIME: "from 8:00 to 21:00"}
    if settings.business_hours:
        offered[settings.business_hours] = f"in business hours: {settings.business_hours}"
    theirs = f"each person's own time, or {zone}"
    return {**{hours: f"{words}, {theirs}" for hours, words in offered.items()}, "": "at any time"}


@routes.get("/broadcasts", dependencies=[ADMIN], summary="Messages to many people: a form, and how far they are.")
async def broadcasts_page(request: Request, console: Here) -> Response:
    settings = console.settings
    form = {"channels": served(settings), "within": WITHIN_DAYS, "hours": offered_hours(settings)}

    async def read() -> dict[str, Any]:
        return {**await _newest(console), **form}

    return await console.show_live(request, "broadcasts", read, LIVE_SECONDS)


@routes.post("/broadcasts/preview", dependencies=[ADMIN], summary="What a text to many would do; nothing is sent.")
async def preview_page(console: Here, draft: Drafted) -> Response:
    return _shown(console, draft, await _previews(console, draft), secrets.token_hex(16))


def _shown(
    console: ConsoleServices, draft: BroadcastDraft, previews: Sequence[ChannelPreview], form: str, problem: str = ""
) -> Response:
    now = time.time()
    about: dict[str, Any] = {"within": WITHIN_DAYS, "problem": problem, "time": timestamp(now)}
    about["zone"] = console.settings.timezone
    about["unknown"] = unknown_placeholders(draft.text)
    return console.pages.show(
        "broadcast_preview.html", status=409 if problem else 200, draft=draft, previews=previews, form=form, **about
    )


@routes.post("/broadcasts", dependencies=[ADMIN], summary="Start what was previewed, once for each preview.")
async def start(
    request: Request,
    console: Here,
    draft: Drafted,
    form: Annotated[str, Form(min_length=16, max_length=64)],
    beyond_caps: Annotated[bool, Form()] = False,
) -> Response:
    previews = [one for one in await _previews(console, draft) if one.people and not one.problem]
    if not previews:
        return _shown(console, draft, await _previews(console, draft), form, "Nobody would get it.")
    if not beyond_caps and any(one.over for one in previews):
        why = "It would exceed a cap on spending. Confirm below that it is sent all the same."
        return _shown(console, draft, previews, form, why)
    shared = {"text": draft.text, "wrote_after": draft.wrote_after(time.time()), "beyond_caps": beyond_caps}
    chosen = [
        {"platform": one.platform, "people": one.people, "usd": one.usd, "hours": draft.hours, **shared}
        for one in previews
    ]
    await console.database.start_broadcasts(form, console.operator(request), chosen)
    return redirect("/broadcasts")


@routes.post("/broadcasts/{broadcast_id}/stop", dependencies=[ADMIN], summary="Stop a message to many.")
async def stop(request: Request, console: Here, broadcast_id: BroadcastId) -> Response:
    await console.database.stop_broadcast(broadcast_id, "stopped by you", console.operator(request))
    return redirect("/broadcasts")


@routes.post("/broadcasts/{broadcast_id}/resume", dependencies=[ADMIN], summary="Go on with the people who are left.")
async def resume(
    request: Request, console: Here, broadcast_id: BroadcastId, beyond_caps: Annotated[bool, Form()] = False
) -> Response:
    await console.database.resume_broadcast(broadcast_id, console.operator(request), beyond_caps=beyond_caps)
    return redirect("/broadcasts")
