"""What both simulated APIs share: errors, forms, lengths, faults (slow, missing, broken and error responses)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from relay.simulator.faults import Fault
from relay.simulator.world import World

log = logging.getLogger("simulator")

_TRANSPORT = "simulator.transport"
_HALF_A_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Ga"


class ApiRefusal(Exception):
    """A request that a provider answers with an error, in the shape of its API."""

    def response(self) -> Response:
        raise NotImplementedError


def utf16_units(text: str) -> int:
    """Length in UTF-16 units: Telegram's unit of entities, and the strict reading of Twilio's "characters"."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


async def read_form(request: Request) -> list[tuple[str, str]]:
    """The fields of a form, urlencoded or multipart, without the content of files. Raises HTTPException 400."""
    async with request.form() as form:
        return [(name, value if isinstance(value, str) else "") for name, value in form.multi_items()]


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


Work = Callable[[], Awaitable[Response]]
RefusalOf = Callable[[Fault], ApiRefusal]


async def respond(world: World, fault: Fault | None, work: Work, refusal_of: RefusalOf) -> Response:
    """Respond as the fault demands. `work` processes the request; a ApiRefusal becomes its response."""
    if fault and fault.when == "before":
        if fault.effect != "slow":
            return _faulty_response(fault, 200, refusal_of)
        await world.pause(fault.seconds)
    try:
        response = await work()
    except ApiRefusal as error:
        response = error.response()
    if fault and fault.when == "after":
        if fault.effect != "slow":
            return _faulty_response(fault, response.status_code, refusal_of)
        await world.pause(fault.seconds)
    return response


def _faulty_response(fault: Fault, status: int, refusal_of: RefusalOf) -> Response:
    if fault.effect == "cut":
        return CutConnectionResponse(status_code=502)
    if fault.effect == "broken":
        return Response(_HALF_A_PAGE, status, media_type="text/html")
    return refusal_of(fault).response()
