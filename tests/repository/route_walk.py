"""Finds every route of every server, however it was included."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import FastAPI

from relay.channels.registry import CHANNELS
from relay.web.access import admin, internal, public
from tests.settings import Settings

SERVERS = (
    "llm_server",
    *(channel.module for channel in CHANNELS if channel.host is None),
    "admin_server",
    "simulator",
)
CLASSES = {public: "public", internal: "internal", admin: "admin"}


@dataclass(frozen=True, slots=True)
class Found:
    """One route of one server: its verbs, its path, and the classes that it names."""

    server: str
    verbs: tuple[str, ...]
    path: str
    classes: tuple[str, ...]

    @property
    def address(self) -> str:
        """A path that leads to it, each parameter filled with something harmless."""
        return re.sub(r"\{[^}]*\}", "1", self.path)

    @property
    def pattern(self) -> re.Pattern[str]:
        """What an address of this route looks like; in docs, a parameter may be written in braces or capitals."""
        return re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(self.path)))


@cache
def make_app(server: str, settings: frozenset[tuple[str, Any]] = frozenset()) -> FastAPI:
    """The app of one server in try-out mode with these settings on top, and all that it may host; not started."""
    simulated = Settings(simulated=True).for_simulator().model_copy(update={"whatsapp_number": "+15550100001"})
    app = importlib.import_module(server).create_app(simulated.model_copy(update=dict(settings)))
    assert isinstance(app, FastAPI)
    return app


def routes_of(server: str) -> list[Found]:
    """All routes of a server, the hidden ones included."""
    return [
        Found(server, tuple(sorted(route.methods or ())), route.path, _classes(route))
        for route in _walk(make_app(server).routes)
    ]


def _walk(routes: Any) -> Iterator[Any]:
    for route in routes:
        inner = getattr(route, "effective_candidates", None)
        if inner is None:
            yield route
        else:
            yield from _walk(inner())


def _classes(route: Any) -> tuple[str, ...]:
    dependant = getattr(route, "dependant", None)
    asked = [one.call for one in dependant.dependencies] if dependant else []
    return tuple(CLASSES[call] for call in asked if call in CLASSES)
