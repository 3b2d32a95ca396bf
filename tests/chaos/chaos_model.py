"""The model of a campaign: OpenAI-compatible; a share of its responses fails, each in one of many ways.

A good response takes a moment, as with real models, so that users compete for the slots of their channel.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from typing import Any

from aiohttp import web

from tests.chaos.chaos_fairness import ModelLog
from tests.chaos.chaos_questions import answer_to

EFFECTS = ("error 500", "busy 429", "page", "garbage", "nothing", "cut at once", "cut in the middle", "hang", "slow")
_LATE = {"hang": 30.0, "slow": 1.5}
_THINKING = (0.1, 0.6)
_STREAM = {"Content-Type": "text/event-stream"}


class ChaosModel:
    """Runs in the campaign's own loop. `failure_rate`: 0 to 1."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.failure_rate = 0.0
        self.injected: Counter[str] = Counter()
        self.log = ModelLog()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/models", self._models), web.post("/v1/chat/completions", self._answer)]

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        question, began = str(body["messages"][-1]["content"]), time.monotonic()
        self.log.add(question, began, None)
        answer = answer_to(question)
        if self._rng.random() >= self.failure_rate:
            await asyncio.sleep(self._rng.uniform(*_THINKING))
            response = await _stream(request, answer)
            self.log.add(question, began, time.monotonic())
            return response
        effect = self._rng.choice(EFFECTS)
        self.injected[f"model: {effect}"] += 1
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
        for text in (answer[:middle], answer[middle:]):
            await response.write(_event({"choices": [{"index": 0, "delta": {"content": text}}]}))
        if ends:
            await response.write(_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
            await response.write(b"data: [DONE]\n\n")
    except ConnectionResetError:
        pass  # the client was killed or timed out
    return response


def _event(chunk: dict[str, Any]) -> bytes:
    event = {"id": "c1", "object": "chat.completion.chunk", "model": "scripted", **chunk}
    return f"data: {json.dumps(event)}\n\n".encode()
