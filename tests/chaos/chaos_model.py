"""The model of a campaign: OpenAI-compatible, quick and right while it is well, wrong in every way when ill."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any

from aiohttp import web

from tests.chaos.chaos_questions import answer_to

EFFECTS = ("error 500", "busy 429", "page", "garbage", "nothing", "cut at once", "cut in the middle", "hang", "slow")
_LATE = {"hang": 30.0, "slow": 1.5}
_STREAM = {"Content-Type": "text/event-stream"}


class ChaosModel:
    """Runs in the campaign's own loop. `ill` is the share of the questions that go wrong, 0 to 1."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.ill = 0.0
        self.struck: Counter[str] = Counter()
        self.asked = 0

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/models", self._models), web.post("/v1/chat/completions", self._answer)]

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked += 1
        answer = answer_to(str(body["messages"][-1]["content"]))
        if self._chance.random() >= self.ill:
            return await _stream(request, answer)
        effect = self._chance.choice(EFFECTS)
        self.struck[f"model: {effect}"] += 1
        return await _spoiled(request, effect, answer)


async def _spoiled(request: web.Request, effect: str, answer: str) -> web.StreamResponse:
    if effect.startswith("cut"):
        if effect == "cut in the middle":
            await _stream(request, answer[: len(answer) // 2], ends=False)
        return _cut(request)
    if effect in _LATE:
        await asyncio.sleep(_LATE[effect])
        return await _stream(request, answer)
    return await _stream(request, "") if effect == "nothing" else _refusal(effect)


def _refusal(effect: str) -> web.Response:
    match effect:
        case "error 500":
            return web.json_response({"error": {"message": "out of order"}}, status=500)
        case "busy 429":
            return web.json_response({"error": {"message": "busy"}}, status=429, headers={"Retry-After": "1"})
        case "page":
            return web.Response(text="<html><body>Bad gate", content_type="text/html")
        case _:
            return web.Response(text='data: {"choices": [{"del\n\ndata: \x00\n\n', headers=_STREAM)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)


async def _stream(request: web.Request, answer: str, *, ends: bool = True) -> web.StreamResponse:
    response = web.StreamResponse(headers=_STREAM)
    middle = len(answer) // 2
    try:
        await response.prepare(request)
        for words in (answer[:middle], answer[middle:]):
            await response.write(_event({"choices": [{"index": 0, "delta": {"content": words}}]}))
        if ends:
            await response.write(_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
            await response.write(b"data: [DONE]\n\n")
    except ConnectionResetError:
        pass  # whoever asked was killed or lost patience
    return response


def _event(chunk: dict[str, Any]) -> bytes:
    line = {"id": "c1", "object": "chat.completion.chunk", "model": "scripted", **chunk}
    return f"data: {json.dumps(line)}\n\n".encode()
