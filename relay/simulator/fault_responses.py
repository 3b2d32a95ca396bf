"""Applies faults to the simulated APIs: slow, missing, broken and error responses."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from relay.simulator.faults import Fault
from relay.simulator.world import World

log = logging.getLogger("simulator")

_TRANSPORT = "simulator.transport"
_HALF_A_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Ga"


class ConnectionCutMiddleware:
    """ASGI middleware that gives CutConnectionResponse the transport. It must be the outermost middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # uvicorn's receive is a method of its request cycle, the only object that refers to the transport.
            scope[_TRANSPORT] = getattr(getattr(receive, "__self__", None), "transport", None)
        await self._app(scope, receive, send)


class CutConnectionResponse(Response):
    """Closes the connection without a response."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = scope.get(_TRANSPORT)
        if transport is None:
            log.error("this server cannot cut a connection; the request gets an error instead")
            await super().__call__(scope, receive, send)
            return
        transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass


Accept = Callable[[], Awaitable[Response]]
Refuse = Callable[[Fault], Response]


async def apply_fault(world: World, fault: Fault | None, accept: Accept, refuse: Refuse) -> Response:
    """Respond as the fault demands. `accept` processes the request, `refuse` builds the provider's error."""
    if fault is None:
        return await accept()
    if fault.when == "before":
        if fault.effect != "slow":
            return _faulty_response(fault, None, refuse)
        await world.pause(fault.seconds)
        return await accept()
    answer = await accept()
    if fault.effect == "slow":
        await world.pause(fault.seconds)
        return answer
    return _faulty_response(fault, answer, refuse)


def _faulty_response(fault: Fault, answer: Response | None, refuse: Refuse) -> Response:
    if fault.effect == "cut":
        return CutConnectionResponse(status_code=502)
    if fault.effect == "broken":
        return Response(_HALF_A_PAGE, answer.status_code if answer else 200, media_type="text/html")
    return refuse(fault)
