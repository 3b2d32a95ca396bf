"""Routes whose endpoint maps a request to a response, called without the layers that they do not use.

Between our middleware and an endpoint FastAPI has five layers: error handlers twice, an exit stack, the search for the
route, and parameters. Together they take as long as storing a message, or all that the LLM server does to a request.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

Respond = Callable[[Request], Coroutine[Any, Any, Response]]


class PlainRoute(APIRoute):
    """A route whose endpoint maps a request to a response, with access classes as its only dependencies."""

    def get_route_handler(self) -> Respond:
        guards = [dependency.dependency for dependency in self.dependencies if dependency.dependency is not None]

        async def respond(request: Request) -> Response:
            for guard in guards:
                await guard(request)
            response: Response = await self.endpoint(request)
            return response

        return respond


class PlainRoutes:
    """Middleware that calls the PlainRoute of a path; what that raises goes to the error handlers of the app.

    Every other request goes on: those for other routes, with another method, or for a path with parameters. It has to
    be the innermost middleware, and all routes have to be there at the first request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._routes: dict[tuple[str, str], tuple[PlainRoute, Respond]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope.get("root_path"):
            await self._app(scope, receive, send)
            return
        if self._routes is None:
            self._routes = _plain_routes(scope["app"])
        found = self._routes.get((scope["method"], scope["path"]))
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"], respond = found
        request = Request(scope, receive, send)
        try:
            response = await respond(request)
        except Exception as error:  # noqa: BLE001 (one without a handler is raised again)
            response = await _handled(request, error)
        await response(scope, receive, send)


def _plain_routes(app: FastAPI) -> dict[tuple[str, str], tuple[PlainRoute, Respond]]:
    """The routes by method and path."""
    plain = [route for route in app.routes if isinstance(route, PlainRoute) and "{" not in route.path]
    return {
        (method, route.path): (route, route.get_route_handler()) for route in plain for method in route.methods or ()
    }


async def _handled(request: Request, error: Exception) -> Response:
    """The response of the app's handler for the class of this error. Raises the error when there is none."""
    handlers = request.app.exception_handlers
    handler = next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)
    if handler is None:
        raise error
    response: Response = await handler(request, error)
    return response
