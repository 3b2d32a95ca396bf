"""What all pages of the console use: the settings, the templates, the database, and who acts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.responses import Response

from relay.config.settings import Settings
from relay.console.kept import Kept
from relay.console.live import LiveStreams, wants_stream
from relay.console.login import operator_of
from relay.console.pages import HEADERS, Pages
from relay.storage.operators_database import OperatorsDatabase
from relay.web.token_guard import TokenGuard

T = TypeVar("T")


class NotDone(Exception):
    """What an operator wanted was not done. The text is a sentence for them, `hint` the reason or the advice."""

    def __init__(self, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ConsoleServices:
    """The services that the program opens at start, in `app.state.console`, as far as every page uses them."""

    settings: Settings
    pages: Pages
    database: OperatorsDatabase
    guard: TokenGuard | None
    streams: LiveStreams
    deliveries: Kept[dict[str, Any]] = field(default_factory=Kept, kw_only=True)
    """How many people of a broadcast got it, by its id and its last change."""

    def operator(self, request: Request) -> str:
        """Who acts, for the audit log."""
        token = self.settings.admin_token
        return operator_of(request, token.get_secret_value() if token else None)

    async def show_live(
        self, request: Request, template: str, read: Callable[[], Awaitable[dict[str, Any]]], every: float
    ) -> Response:
        """The page of this template, or its live part: as a stream, or alone."""
        live = f"{template}_live.html"
        if not wants_stream(request):
            return self.pages.show_live(request, f"{template}.html", live, **await read())

        async def part() -> str:
            return self.pages.part(live, await read())

        return await self.streams.open(part, every, HEADERS)


async def _services(request: Request) -> ConsoleServices:
    console: ConsoleServices = request.app.state.console
    return console


Here = Annotated[ConsoleServices, Depends(_services)]
