"""A stand-in for the Bot API on a real socket: it does what the test scripted, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

TOKEN = "123456789:TEST-token-of-nobody-at-all-0123456789"
BOT_ID = 123456789
USERNAME = "relay_test_bot"
ME = {
    "id": BOT_ID,
    "is_bot": True,
    "first_name": "Relay",
    "username": USERNAME,
    "can_join_groups": True,
    "can_read_all_group_messages": False,
    "supports_inline_queries": False,
}
CUT = "cut"
"""Read the request, then close the connection without a word."""


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes


@dataclass(frozen=True)
class Call:
    method: str
    parameters: dict[str, Any]
    connection: int


def ok(result: Any) -> Reply:
    return Reply(200, json.dumps({"ok": True, "result": result}).encode())


def refused(code: int, description: str, **parameters: Any) -> Reply:
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    if parameters:
        body["parameters"] = parameters
    return Reply(code, json.dumps(body).encode())


def sent(chat_id: int, text: str, message_id: int = 77) -> dict[str, Any]:
    chat = {"id": chat_id, "type": "private" if chat_id > 0 else "supergroup", "first_name": "Ada"}
    return {"message_id": message_id, "date": 1790000000, "chat": chat, "from": ME, "text": text}


Step = Reply | str | asyncio.Event


class ScriptedBotApi:
    """Without a script, calls succeed and getUpdates keeps Telegram's rules.

    `script[method]` holds what to answer next; an event in it is waited for before the usual answer.
    """

    def __init__(self) -> None:
        self.script: dict[str, deque[Step]] = defaultdict(deque)
        self.calls: list[Call] = []
        self.base_url = ""
        self._waiting: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._open: set[asyncio.Task[None]] = set()
        self._connections = 0

    def made(self, method: str) -> list[dict[str, Any]]:
        return [call.parameters for call in self.calls if call.method == method]

    async def bring(self, *updates: Any) -> None:
        """Let these updates wait for the next poll."""
        async with self._news:
            self._waiting.extend(updates)
            self._news.notify_all()

    async def until(self, method: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until a method was called so often."""
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: len(self.made(method)) >= count), 60)
        return self.made(method)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self._connections += 1
        number = self._connections
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # this is where a connection ends, whoever ends it
        finally:
            self._open.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        token, method = first.split(" ")[1].removeprefix("/bot").split("/")
        parameters = json.loads(body or b"{}")
        async with self._news:
            self.calls.append(Call(method, parameters, number))
            self._news.notify_all()
        reply = await self._reply(token, method, parameters)
        if not isinstance(reply, Reply):
            return False
        writer.write(f"HTTP/1.1 {reply.status} x\r\nContent-Length: {len(reply.body)}\r\n\r\n".encode() + reply.body)
        await writer.drain()
        return True

    async def _reply(self, token: str, method: str, parameters: dict[str, Any]) -> Reply | str:
        if token != TOKEN:
            return refused(401, "Unauthorized")
        if self.script[method]:
            step = self.script[method].popleft()
            if not isinstance(step, asyncio.Event):
                return step
            await step.wait()
        return ok(await self._result(method, parameters))

    async def _result(self, method: str, parameters: dict[str, Any]) -> Any:
        match method:
            case "getMe":
                return ME
            case "getUpdates":
                return await self._updates(parameters)
            case "sendMessage":
                return sent(int(parameters["chat_id"]), parameters["text"])
            case "getWebhookInfo":
                return {"url": "", "has_custom_certificate": False, "pending_update_count": len(self._waiting)}
            case _:
                return True

    async def _updates(self, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        offset = parameters.get("offset", 0)
        async with self._news:
            self._waiting = [one for one in self._waiting if not (_id(one) is not None and _id(one) < offset)]
            if not self._waiting:
                try:
                    await asyncio.wait_for(self._news.wait_for(lambda: self._waiting), parameters.get("timeout", 0))
                except TimeoutError:
                    return []
            return list(self._waiting[:100])

    async def stop(self) -> None:
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


def _id(update: Any) -> Any:
    return update.get("update_id") if isinstance(update, dict) else None


@asynccontextmanager
async def scripted_bot_api() -> AsyncIterator[ScriptedBotApi]:
    """Listens on a free port of loopback as long as the context lasts."""
    api = ScriptedBotApi()
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0)
    api.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield api
    finally:
        server.close()
        await api.stop()
        await server.wait_closed()


def private(update_id: int, text: str | None = "hello", **message: Any) -> dict[str, Any]:
    """An update as the Bot API sends it for a message in a private chat."""
    words = {} if text is None else {"text": text}
    return {
        "update_id": update_id,
        "message": {
            "message_id": update_id + 1000,
            "from": {
                "id": 700000001,
                "is_bot": False,
                "first_name": "Ada",
                "last_name": "Lovelace",
                "username": "ada",
                "language_code": "en",
            },
            "chat": {
                "id": 700000001,
                "first_name": "Ada",
                "last_name": "Lovelace",
                "username": "ada",
                "type": "private",
            },
            "date": 1790000000,
            **words,
            **message,
        },
    }


def group(update_id: int, text: str | None = "hello", **message: Any) -> dict[str, Any]:
    """The same in a group."""
    chat = {"id": -1001234567890, "title": "Chess club", "type": "supergroup"}
    return private(update_id, text, **{"chat": chat, **message})
