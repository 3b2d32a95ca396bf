"""The Bot API's route /bot{token}/{method}: authentication, faults, and the JSON envelope of every answer."""

from __future__ import annotations

import inspect
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from relay.channels.telegram.settings import SIMULATED_BOT_TOKEN
from relay.simulator.faults import Fault
from relay.simulator.provider_api import respond
from relay.simulator.telegram_methods import BotApi
from relay.simulator.telegram_params import BotError, json_response, read_params, too_many_requests
from relay.simulator.world import World
from relay.web.access import PUBLIC
from relay.web.token_guard import same_secret


def _fault_error(fault: Fault) -> BotError:
    if fault.status == 429:
        return too_many_requests(1 if fault.retry_after is None else fault.retry_after)
    known = fault.status in HTTPStatus.__members__.values()
    return BotError(fault.status, HTTPStatus(fault.status).phrase if known else "Error")


def telegram_routes(world: World, bot: BotApi) -> APIRouter:
    """The Bot API's routes, authenticated by the token in the path."""
    routes = APIRouter(dependencies=[PUBLIC], tags=["Telegram"])

    @routes.post("/bot{token}/{method}", summary="Any method of the Bot API; GET does the same.")
    @routes.get("/bot{token}/{method}", include_in_schema=False)
    async def call(request: Request, token: str, method: str) -> Response:
        operation = bot.methods.get(method.lower())
        try:
            if not same_secret(token, SIMULATED_BOT_TOKEN):
                raise BotError(401, "Unauthorized")
            if operation is None:
                raise BotError(404, "Not Found: method not found")
            params = await read_params(request)

            async def work() -> Response:
                result: Any = operation(params)
                return json_response({"ok": True, "result": await result if inspect.isawaitable(result) else result})

            fault = world.faults.match("telegram", method, f"{params.text('chat_id')} {params.text('text')}")
            response = await respond(world, fault, work, _fault_error)
        except BotError as error:
            response = error.response()
        world.count_call(f"telegram.{method if operation else '(no such method)'}", response.status_code)
        return response

    @routes.get("/file/bot{token}/{path:path}", summary="A file that a person sent.")
    async def download(token: str, path: str) -> Response:
        file = world.files.find(path.removeprefix("files/"))
        if not same_secret(token, SIMULATED_BOT_TOKEN) or file is None:
            return BotError(404, "Not Found").response()
        fault = world.faults.match("telegram", "file", file.name)

        async def work() -> Response:
            return file.response()

        return await respond(world, fault, work, _fault_error)

    return routes
