"""The Bot API as a scripted server, and the updates and responses that it sends."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from typing import Any

from tests.channels.scripted_server import PATIENCE, Reply, Request, ScriptedServer, Step

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


class ScriptedBotApi(ScriptedServer):
    """Without a script, calls succeed and getUpdates keeps Telegram's rules.

    `scripts[method]` holds how to answer the next calls of a method; an event in it is waited for before the usual
    answer.
    """

    def __init__(self) -> None:
        super().__init__(ok(True))
        self.scripts: dict[str, deque[Step]] = defaultdict(deque)
        self.calls: list[Call] = []
        self._waiting: list[dict[str, Any]] = []
        self.webhook_url = ""

    def made(self, method: str) -> list[dict[str, Any]]:
        return [call.parameters for call in self.calls if call.method == method]

    async def bring(self, *updates: Any) -> None:
        """Queue these updates for the next poll."""
        async with self.changed:
            self._waiting.extend(updates)
            self.changed.notify_all()

    async def until(self, method: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until a method was called so often."""
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(lambda: len(self.made(method)) >= count), PATIENCE)
        return self.made(method)

    async def answer(self, request: Request) -> Reply | str:
        token, method = request.path.removeprefix("/bot").split("/")
        is_upload = request.headers.get("content-type", "").startswith("multipart/")
        parameters = _uploaded(request) if is_upload else json.loads(request.body or b"{}")
        async with self.changed:
            self.calls.append(Call(method, parameters, request.connection))
            self.changed.notify_all()
        if token != TOKEN:
            return refused(401, "Unauthorized")
        if self.scripts[method]:
            step = self.scripts[method].popleft()
            if not isinstance(step, asyncio.Event):
                return step
            await step.wait()
        if method == "sendMessage" and not parameters["text"]:
            return refused(400, "Bad Request: message text is empty")
        return ok(await self._result(method, parameters))

    async def _result(self, method: str, parameters: dict[str, Any]) -> Any:
        match method:
            case "getMe":
                return ME
            case "getUpdates":
                return await self._updates(parameters)
            case "sendMessage" | "sendDocument":
                return sent(int(parameters["chat_id"]), parameters.get("text", ""))
            case "getWebhookInfo":
                count = len(self._waiting)
                return {"url": self.webhook_url, "has_custom_certificate": False, "pending_update_count": count}
            case "setWebhook" | "deleteWebhook":
                self.webhook_url = parameters.get("url", "")
                return True
            case _:
                return True

    async def _updates(self, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        offset = parameters.get("offset", 0)
        async with self.changed:
            self._waiting = [one for one in self._waiting if not (_id(one) is not None and _id(one) < offset)]
            if not self._waiting:
                try:
                    await asyncio.wait_for(self.changed.wait_for(lambda: self._waiting), parameters.get("timeout", 0))
                except TimeoutError:
                    return []
            return list(self._waiting[:100])


def _uploaded(request: Request) -> dict[str, Any]:
    """The parameters of a multipart request; a file is a pair of its name and its content."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + request.body)
    found: dict[str, Any] = {}
    for part in message.get_payload():
        assert isinstance(part, Message)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        name, file_name = part.get_param("name", header="content-disposition"), part.get_filename()
        found[str(name)] = (file_name, content.decode()) if file_name else content.decode()
    return found


def _id(update: Any) -> Any:
    return update.get("update_id") if isinstance(update, dict) else None


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


def press(update_id: int, data: str, message: dict[str, Any], message_id: int = 77, **query: Any) -> dict[str, Any]:
    """An update about a press of a button below a message of the bot, by the author of `message` and in its chat."""
    asked = message["message"]
    below = {"message_id": message_id, "from": ME, "chat": asked["chat"], "date": 1790000000, "text": "..."}
    below |= {key: asked[key] for key in ("message_thread_id", "is_topic_message") if key in asked}
    body = {"id": f"q{update_id}", "from": asked["from"], "message": below, "chat_instance": "1", "data": data}
    return {"update_id": update_id, "callback_query": {**body, **query}}
