"""The server of one channel: opened and closed in mirrored order, with the routes that every channel has.

A channel derives its own ChannelServer, which overrides what differs, and passes it to `create_channel_app` together
with the routes that only this channel has, such as its webhook. The module of a hosted channel has both for its host
instead: `routes`, and `open_server(host, http)`, which builds its ChannelServer on the host's database.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, Generic, Self, TypeAlias, TypeVar

from fastapi import APIRouter, FastAPI, Request
from httpx import AsyncClient

from relay.channels.admin_api import admin_routes, channel_status, sent_parts
from relay.channels.registry import BY_PLATFORM, CHANNELS, served, settings_as
from relay.channels.spec import ChannelSpec
from relay.config.settings import Settings
from relay.core import shutdown
from relay.core.attachments import AttachmentReader, no_attachments
from relay.core.broadcaster import Broadcaster
from relay.core.channel import Channel
from relay.core.errors import StorageError
from relay.core.http_client import open_http_client
from relay.core.message_index import indexing
from relay.core.messages import SILENT_STATES, Platform, User, UserId, UserState
from relay.core.metrics import Metrics
from relay.core.parts import PlannedPart
from relay.core.periodic import Periodic
from relay.core.pipeline import Pipeline
from relay.core.prompt import PromptBuilder, channel_prompt
from relay.core.retention import retention
from relay.core.store import Store
from relay.core.takeover import Channels, ending_takeovers
from relay.core.text import is_blank
from relay.llm.client import LlmClient
from relay.storage import queries
from relay.web.access import is_trusted
from relay.web.app import add_common_routes, add_routes, build_app
from relay.web.errors import ApiError
from relay.web.serve import run_server

SettingsT = TypeVar("SettingsT", bound=Settings)
ServiceT = TypeVar("ServiceT", bound=Channel)

AnyServer: TypeAlias = "ChannelServer[Any, Any]"

FILES_ROUND_SECONDS = 3600.0
"""How often files of attachments that are old are deleted."""

CONNECTIONS_PER_ANSWER = 4
"""Connections for each of max_concurrent_answers: a request to the model, its typing indicator, a part, one to spare.

With fewer, parts would wait for a model that is slow, and fail.
"""


class ChannelServer(Generic[SettingsT, ServiceT]):
    """The running channel: database, service and pipeline, for its routes. The constructor opens nothing.

    channel: the channel that is served. description: of the app, for /docs.
    max_parts_key: the setting that limits the parts of an operator's message.
    """

    channel: ClassVar[ChannelSpec]
    description: ClassVar[str] = ""
    max_parts_key: ClassVar[str] = ""

    def __init__(
        self,
        settings: SettingsT,
        database: Store,
        service: ServiceT,
        http: AsyncClient,
        metrics: Metrics,
        build_prompt: PromptBuilder = channel_prompt,
        attachments: AttachmentReader = no_attachments,
    ) -> None:
        self.settings = settings
        self.database = database
        self.service = service
        self.metrics = metrics
        self.build_prompt = build_prompt
        self.attachments = attachments
        self.model = LlmClient(http, settings, max_tokens=self.channel.max_answer_tokens(settings))
        build_prompt.search_by_meaning(database, self.model.embed)
        everywhere = all_channels(settings)
        self.pipeline = Pipeline(
            database, service, self.model, settings, metrics, build_prompt, attachments, channels=everywhere
        )

    @classmethod
    def of(cls, request: Request) -> Self:
        """The running server of this class's channel."""
        server: Self = request.app.state.servers[cls.channel.platform]
        return server

    async def start(self) -> None:
        """Start the workers; the database was started before."""
        await self.pipeline.start()
        platform, terms = self.channel.platform, self.channel.broadcast_terms(self.settings)
        ending = ending_takeovers(self.database, platform, self.pipeline.notify_outbox)
        broadcaster = Broadcaster(self.database, platform, terms, self.pipeline.outbox)
        self._periodic = (ending, broadcaster.periodic(), *self.periodic())
        for task in self._periodic:
            task.start()

    async def stop(self) -> None:
        """The reverse of `start`, within the time budget of relay.core.shutdown."""
        for task in self._periodic:
            await task.stop()
        await self.pipeline.stop()

    async def prune_attachments(self) -> None:
        """Delete the files of attachments that are too old, or that no message has any more. Raises StorageError."""
        await self.attachments.prune(await self.database.query(queries.kept_contents))

    # -- additions of a channel ----------------------------------------------------------------------------------------

    def periodic(self) -> tuple[Periodic, ...]:
        """What runs again and again beside the pipeline."""
        return ()

    def facts(self) -> dict[str, Any]:
        """Facts for the home page of the server, public."""
        return {}

    def links(self) -> dict[str, str]:
        return {"status": f"/{self.channel.platform}/status", "health": "/health", "routes": "/docs"}

    async def own_readiness(self) -> dict[str, Any]:
        """Further facts for /ready; a false "ready" makes the server not ready.

        error: in the words of the provider, which are added to "reason" for our own programs and the operator alone.
        """
        return {}

    async def own_status(self, common: Mapping[str, Any]) -> dict[str, Any]:
        """Further facts for the status route; a key of `common` that is repeated replaces the common value."""
        del common
        return {}

    # -- addresses and texts of an operator ---------------------------------------------------------------------------

    def address(self, given: str) -> UserId:
        """The stored form of an address as an operator wrote it. Raises ApiError 422."""
        raise NotImplementedError

    def recipient(self, given: str) -> UserId:
        """The same for an address that a message is to be sent to."""
        return self.address(given)

    def plan(self, text: str) -> list[PlannedPart]:
        """The parts of a message written by an operator. Raises ApiError 422 when it is blank or takes too many."""
        if is_blank(text):
            raise ApiError(422, "the message is empty", "put some text into message")
        parts = self.all_parts(text)
        if self.max_parts_key and len(parts) > (most := getattr(self.settings, self.max_parts_key)):
            hint = f"shorten it, send it in several messages, or raise {self.max_parts_key}"
            raise ApiError(422, f"the message would take more than {most} {self.channel.title} messages", hint)
        return parts

    def all_parts(self, text: str) -> list[PlannedPart]:
        """The parts of a message written by an operator, even if they are too many."""
        return self.service.plan(text)

    def unknown(self, user_id: UserId) -> ApiError:
        """The response when no user has this address."""
        hint = f"GET /{self.channel.platform}/status lists the users"
        return ApiError(404, f"no user {user_id} is known", hint)

    def require_reachable(self, user_id: UserId, user: User | None) -> None:
        """Raise ApiError 404 when the user never wrote, 409 when nothing may be sent to them now."""
        if user is None:
            raise self.unknown(user_id)
        if user.state in SILENT_STATES:
            why = {UserState.STOPPED: "has opted out", UserState.BLOCKED: "has blocked the bot"}.get(user.state)
            until = "send START" if user.state is UserState.STOPPED else "write again"
            raise ApiError(409, f"{user_id} {why or f'is {user.state}'}", f"nothing can be sent until they {until}")

    # -- routes of every channel ---------------------------------------------------------------------------------------

    async def home(self) -> dict[str, Any]:
        ready = (await self.readiness())["ready"]
        return {
            "server": f"{self.channel.title} server",
            "status": "ok" if ready else "trouble",
            "about": self.channel.about,
            "links": self.links(),
            **self.facts(),
            "simulated": self.settings.simulated,
        }

    async def readiness(self) -> dict[str, Any]:
        """Ready means that the database is writable; an outage of model or provider loses nothing."""
        try:
            await self.database.check()
            database = "ok"
        except StorageError:
            database = "cannot be written now"
        own, knowledge = await self.own_readiness(), await self.build_prompt.knowledge()
        return {
            **({} if database == "ok" else {"reason": f"the database {database}"}),
            "database": database,
            **self._database_warning(),
            "sending_paused": self.pipeline.outbox.pause.reason is not None,
            "sending_outage": self.pipeline.outbox.circuit.status() is not None,
            **({"passages_of_documents": knowledge.passages} if knowledge.passages else {}),
            **({"documents_not_used": len(knowledge.problems)} if knowledge.problems else {}),
            **own,
            "ready": database == "ok" and own.get("ready", True),
            "simulated": self.settings.simulated,
        }

    def _database_warning(self) -> dict[str, str]:
        return {"database_warning": self.database.warning} if self.database.warning else {}

    async def status(self, limit: int, offset: int) -> dict[str, Any]:
        """Figures, a page of the users, the model's health and the newest failures."""
        figures = await self.database.query(lambda c: channel_status(c, self.channel, limit, offset, time.time()))
        common = {
            **figures,
            "limit": limit,
            "offset": offset,
            **self._database_warning(),
            "sending_paused": self.pipeline.outbox.pause.reason,
            "sending_outage": self.pipeline.outbox.circuit.status(),
            "countries_held": self.pipeline.outbox.holds.status(),
            "model": await self.model.health(),
            "knowledge": asdict(await self.build_prompt.knowledge()),
            "simulated": self.settings.simulated,
        }
        return {**common, **await self.own_status(common)}

    async def send(
        self,
        given: str,
        text: str,
        topic: str | None = None,
        *,
        takeover: bool = False,
        media: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Give an operator's message to the outbox, committed on return. Raises ApiError when it cannot be sent.

        topic: of the chat; None where it has none. takeover: a person answers this user from now on, and the AI is
        silent for takeover_hours. media: URLs of pictures that go with the first part.
        """
        user_id, parts = self.recipient(given), self.plan(text)
        parts[0] = replace(parts[0], media=media)
        self.require_reachable(user_id, await self.database.find_user(self.channel.platform, user_id))
        seconds = self.settings.takeover_hours * 3600 if takeover else None
        reply_id = await self.database.plan_message(
            self.channel.platform, user_id, parts, topic, takeover_seconds=seconds
        )
        self.pipeline.notify_outbox(user_id)
        sent = await self.database.query(lambda c: sent_parts(c, self.channel, reply_id))
        return {**sent, self.channel.address_key: user_id, "simulated": self.settings.simulated}

    async def clear_history(self, given: str) -> dict[str, Any]:
        user_id = self.address(given)
        removed = await self.database.clear_history(self.channel.platform, user_id)
        if removed is None:
            raise self.unknown(user_id)
        return {self.channel.address_key: user_id, "removed": removed}

    async def release(self, given: str) -> dict[str, Any]:
        user_id = self.address(given)
        if not await self.database.release_user(self.channel.platform, user_id):
            hint = f"GET /{self.channel.platform}/status shows the state of everybody"
            raise ApiError(409, f"{user_id} is not paused", hint)
        return {self.channel.address_key: user_id, "released": True}


def all_channels(settings: Settings) -> Channels:
    """How an operator's reply becomes parts on any channel, and on which channels operators may reply."""

    def plan(platform: Platform, text: str) -> list[PlannedPart]:
        return BY_PLATFORM[platform].plan_by_hand(settings, text)

    return Channels(plan, frozenset(channel.platform for channel in CHANNELS if channel.has_replies))


def connections_for(settings: Settings) -> int:
    """How many connections a channel may need at the same time."""
    return max(100, CONNECTIONS_PER_ANSWER * settings.max_concurrent_answers)


def create_channel_app(
    kind: type[ChannelServer[SettingsT, ServiceT]],
    settings: SettingsT,
    routes: APIRouter,
    open_database: Callable[[SettingsT, str], Store],
    open_service: Callable[[SettingsT, AsyncClient], ServiceT],
    build_prompt: PromptBuilder = channel_prompt,
    open_attachments: Callable[[SettingsT, AsyncClient], AttachmentReader] = lambda settings, http: no_attachments,  # noqa: ARG005
) -> FastAPI:
    """The app of one channel and of those that it hosts, as far as their credentials are set.

    Database and service are opened when the app starts, not before. `app.state.servers` has the server of `kind` and
    those of the hosted channels, by platform.
    """
    hosted = [one for one in served(settings) if one.host is kind.channel]
    modules = [import_module(channel.module) for channel in hosted]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_http_client(max_connections=connections_for(settings), proxied=settings.proxied) as http:
            database = open_database(settings, f"{kind.channel.platform}_server")
            app.state.use_login = database.use_login
            attachments = open_attachments(settings, http)
            service = open_service(settings, http)
            host = kind(settings, database, service, http, app.state.metrics, build_prompt, attachments)
            servers: list[AnyServer] = [host, *(module.open_server(host, http) for module in modules)]
            app.state.servers = {server.channel.platform: server for server in servers}
            app.state.measure = partial(_measure, servers)
            await host.database.start()
            for server in servers:
                await server.start()
            pruning = (
                retention(host.database, settings.keep_days),
                indexing(host.database.index_messages),
                Periodic("attachments", FILES_ROUND_SECONDS, host.prune_attachments, first_after=0),
            )
            for task in pruning:
                task.start()
            yield
            for task in pruning:
                await task.stop()
            await asyncio.gather(*(server.stop() for server in servers))
            await host.database.stop(settings.stop_seconds * shutdown.DATABASE)

    app = build_app(f"{kind.channel.title} server", settings, lifespan, description=kind.description)
    add_routes(app, routes, *(module.routes for module in modules), *map(admin_routes, (kind.channel, *hosted)))
    add_common_routes(app, ready_of_all)
    return app


async def ready_of_all(request: Request) -> dict[str, Any]:
    """The facts of /ready: those of the host; ready when all channels of the program are, else with a reason."""
    found = [await server.readiness() for server in request.app.state.servers.values()]
    first = next((one for one in found if not one["ready"]), found[0])
    state = {**found[0], **{key: first[key] for key in ("ready", "reason", "error") if key in first}}
    if (error := state.pop("error", None)) and await is_trusted(request):
        state["reason"] += f": {error}"
    return state


async def _measure(servers: Sequence[AnyServer]) -> None:
    """Set the gauges of the queues; while the database is away they keep their last values."""
    now = time.time()
    for server in servers:
        platform, metrics = server.channel.platform, server.metrics
        with suppress(StorageError):
            depth, oldest, unsent = await server.database.query(partial(queries.backlog, platform=platform))
            metrics.queue_depth.labels(platform).set(depth)
            metrics.oldest.labels(platform).set(max(0.0, now - oldest) if oldest is not None else 0.0)
            metrics.unsent.labels(platform).set(unsent)


def run_channel(channel: ChannelSpec, create_app: Callable[[Any], FastAPI]) -> None:
    """Run the program of one channel until a signal."""
    run_server(f"{channel.platform}_server", settings_as(channel.settings), create_app, channel.port)
