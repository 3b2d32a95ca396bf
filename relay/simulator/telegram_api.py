"""The Bot API's route /bot{token}/{method}: authentication, faults, and the JSON envelope of every answer."""

from __future__ import annotations

import base64
import inspect
import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from relay.channels.telegram.settings import TelegramSettings
from relay.simulator.fault_responses import apply_fault
from relay.simulator.faults import Fault
from relay.simulator.telegram_methods import BotApi
from relay.simulator.telegram_params import BotError, Params, read_params
from relay.simulator.world import World
from relay.web.access import PUBLIC
from relay.web.token_guard import same_secret

_REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_ONE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADBwIAMCbHYQAAAABJRU5ErkJggg=="
)


def _answer(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON in ASCII, as Telegram writes it; lone surrogates are escaped."""
    return Response(json.dumps(body, separators=(",", ":")), status, headers, "application/json")


def _failed(error: BotError) -> Response:
    wait = error.parameters.get("retry_after")
    return _answer(error.to_json(), error.status, {"Retry-After": str(wait)} if wait is not None else None)


def _faulty(fault: Fault) -> Response:
    if fault.status == 429:
        wait = 1 if fault.retry_after is None else fault.retry_after
        return _failed(BotError(429, f"Too Many Requests: retry after {wait}", retry_after=wait))
    return _failed(BotError(fault.status, _REASONS.get(fault.status, "Error")))


class TelegramApi:
    """Handles Bot API calls: checks the token, applies faults, runs the method."""

    def __init__(self, world: World, bot: BotApi) -> None:
        self._world = world
        self._bot = bot

    def is_token(self, token: str) -> bool:
        wanted = self._world.settings.group(TelegramSettings).telegram_bot_token
        return wanted is not None and same_secret(token, wanted.get_secret_value())

    async def call(self, request: Request, token: str, method: str) -> Response:
        if not self.is_token(token):
            response = _failed(BotError(401, "Unauthorized"))
        elif method.lower() not in self._bot.methods:
            response = _failed(BotError(404, "Not Found: method not found"))
        else:
            response = await self._run(request, method)
        name = method if method.lower() in self._bot.methods else "(no such method)"
        self._world.stats.count_call(f"telegram.{name}", response.status_code)
        return response

    async def _run(self, request: Request, method: str) -> Response:
        try:
            params = await read_params(request)
            text = _searchable(params)
        except BotError as error:
            return _failed(error)

        async def accept() -> Response:
            try:
                result: Any = self._bot.methods[method.lower()](params)
                return _answer({"ok": True, "result": await result if inspect.isawaitable(result) else result})
            except BotError as error:
                return _failed(error)

        return await apply_fault(self._world, self._world.faults.match("telegram", method, text), accept, _faulty)


def _searchable(params: Params) -> str:
    return f"{params.text('chat_id')} {params.text('text')}"


def telegram_routes(api: TelegramApi) -> APIRouter:
    """The Bot API's routes, authenticated by the token in the path."""
    routes = APIRouter(dependencies=[PUBLIC], tags=["Telegram"])

    @routes.post("/bot{token}/{method}", summary="Any method of the Bot API; GET does the same.")
    @routes.get("/bot{token}/{method}", include_in_schema=False)
    async def call(request: Request, token: str, method: str) -> Response:
        return await api.call(request, token, method)

    @routes.get("/file/bot{token}/{path:path}", summary="A file that a person sent.")
    async def download(token: str, path: str) -> Response:
        if not api.is_token(token) or not path.startswith("photos/simulated-"):
            return _failed(BotError(404, "Not Found"))
        return Response(_ONE_PIXEL, media_type="image/png")

    return routes
