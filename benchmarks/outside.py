"""Everything outside the product, made to cost little: Twilio, Telegram, the model, and the people who write.

One event loop plays all of them, so a text that a person writes and the answer that comes to the provider meet without
a message between processes. It speaks just enough HTTP for the clients that the product uses.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, Self, cast
from urllib.parse import parse_qs, quote_plus, urlencode

ACCOUNT, TOKEN, NUMBER = "AC" + "0" * 32, "a-token-of-the-benchmark", "+12025550100"
BOT = "5150000001:benchmark"
TELEGRAM_SECRET = "a-secret-of-the-benchmark"  # noqa: S105 (of the stand-in)
POLL_SECONDS = 1.0
BATCH = 100
FIRST_CHAT = 700_000_000
_SIDS = itertools.count(1)
_UPDATES = itertools.count(int(time.time() * 1000))
_RANDOM = random.Random(7)  # noqa: S311 (no secret)
_WORDS = """
apples bread butter carrots cheese cherries cider coffee cream dates eggs fish flour grapes honey jam lemons milk nuts
oil onions oranges pasta peas pepper plums potatoes rice salt soup spinach sugar tea tomatoes vinegar walnuts
""".split()  # noqa: SIM905 (two dozen words are read better as a text)


def response(body: bytes, content_type: str = "application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        content_type.encode(),
        len(body),
        body,
    )


def _answer(text: str) -> bytes:
    said = {"model": "m", "message": {"role": "assistant", "content": text}, "done": False}
    last = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True}
    lines = (said, {**last, "prompt_eval_count": 20, "eval_count": 5})
    return response(b"".join(json.dumps(line).encode() + b"\n" for line in lines), "application/x-ndjson")


MODEL_ANSWER = _answer("This is an answer of a common length, which fits into one text.")
HEALTHY = response(b'{"status": "ok"}')
ME = {"id": 5150000001, "is_bot": True, "first_name": "B", "username": "benchmark_bot"}


class Outside:
    """Answers at once. `arrived` has how many answers have come to each person, `waiting` who waits for the next."""

    def __init__(self, model_seconds: float = 0.0) -> None:
        self.model_seconds = model_seconds
        self.model_works = True
        self.sends = 0
        self.reached: set[str] = set()
        self.waiting: dict[str, asyncio.Future[None]] = {}
        self.updates: list[dict[str, Any]] = []
        self.confirmed = 0
        self._webhook = ""
        self._ids = itertools.count(1)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=4096)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def answer_to(self, target: str, body: bytes) -> bytes | Awaitable[bytes]:
        path = target.partition("?")[0]
        if path == "/api/chat":
            return MODEL_ANSWER if self.model_works and not self.model_seconds else self._model()
        if path.endswith("/Messages.json") and body:
            form = _form(body)
            sent = {"sid": f"SM{next(self._ids):032x}", "status": "queued", "num_segments": "1", "to": form["To"]}
            self.note_text(sent, form["Body"])
            self.note_send(form["To"])
            return response(json.dumps(sent).encode())
        if path.startswith("/bot"):
            return self._bot(path.rpartition("/")[2], json.loads(body) if body.startswith(b"{") else _form(body))
        return HEALTHY

    async def _model(self) -> bytes:
        while not self.model_works:
            await asyncio.sleep(0.01)
        await asyncio.sleep(self.model_seconds)
        return MODEL_ANSWER

    def note_text(self, sent: dict[str, Any], body: str) -> None:
        """Called for each text that Twilio takes, before `note_send`."""

    def note_send(self, person: str) -> None:
        """An answer has come to this person."""
        self.sends += 1
        self.reached.add(person)
        if (waiting := self.waiting.pop(person, None)) is not None and not waiting.done():
            waiting.set_result(None)

    def _bot(self, method: str, values: dict[str, Any]) -> bytes | Awaitable[bytes]:
        match method:
            case "getMe":
                return _result(ME)
            case "getUpdates":
                return self._poll(int(values.get("offset") or 0))
            case "setWebhook" | "deleteWebhook":
                self._webhook = str(values.get("url", ""))
                return _result(True)
            case "getWebhookInfo":
                return _result({"url": self._webhook, "has_custom_certificate": False, "pending_update_count": 0})
            case "sendMessage":
                self.note_send(str(values["chat_id"]))
                chat = {"id": int(values["chat_id"]), "type": "private"}
                return _result({"message_id": next(self._ids), "date": 1, "chat": chat, "text": "x"})
            case _:
                return _result(True)

    async def _poll(self, offset: int) -> bytes:
        self.confirmed = max(self.confirmed, offset)
        ends = time.monotonic() + POLL_SECONDS
        while True:
            self.updates = [update for update in self.updates if update["update_id"] >= offset]
            if self.updates or time.monotonic() > ends:
                return _result(self.updates[:BATCH])
            await asyncio.sleep(0.005)

    async def answered(self, person: str, write: Callable[[], Awaitable[float]]) -> float:
        """Write as this person, wait for the answer; the seconds from the one to the other."""
        future = self.waiting[person] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        await write()
        await future
        return time.perf_counter() - began


def _result(value: Any) -> bytes:
    return response(json.dumps({"ok": True, "result": value}).encode())


def _form(body: bytes) -> dict[str, Any]:
    return {key: values[0] for key, values in parse_qs(body.decode()).items()}


class _Connection(asyncio.Protocol):
    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._data = b""
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in head else 0
            if len(self._data) < end + 4 + length:
                return
            target = self._data.split(b" ", 2)[1].decode()
            body, self._data = self._data[end + 4 : end + 4 + length], self._data[end + 4 + length :]
            answer = self._outside.answer_to(target, body)
            if isinstance(answer, bytes):
                self._transport.write(answer)
            else:
                self._tasks.add(task := asyncio.ensure_future(self._later(answer)))
                task.add_done_callback(self._tasks.discard)

    async def _later(self, answer: Awaitable[bytes]) -> None:
        self._transport.write(await answer)


# -- people ------------------------------------------------------------------------------------------------------------


class Refused(Exception):
    """A request was not answered with 200."""


class Sender:
    """A connection to a server; each call sends one request and returns the seconds until it was answered with 200.

    Raises Refused.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._busy = asyncio.Lock()

    async def post(self, request: bytes) -> float:
        began = time.perf_counter()
        async with self._busy:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise Refused(head.decode())
            await reader.readexactly(int(head.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0]))
        return time.perf_counter() - began

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


class Writer(Protocol):
    """A way in which people write to the relay; an answer is awaited by the name."""

    def name(self, number: int) -> str: ...
    async def write(self, name: str) -> float: ...
    def close(self) -> None: ...


class _Requests:
    """Requests over so many connections, taken in turn."""

    def __init__(self, port: int, connections: int) -> None:
        self._port = port
        self._senders = [Sender(port) for _ in range(connections)]
        self._turns = itertools.cycle(self._senders)

    def close(self) -> None:
        for sender in self._senders:
            sender.close()


class Texting(_Requests):
    """People with telephones, whose texts Twilio pushes."""

    def name(self, number: int) -> str:
        return person(number)

    async def write(self, name: str) -> float:
        return await next(self._turns).post(text_of(self._port, name, sid()))


class Pushing(_Requests):
    """People on Telegram, whose messages it pushes."""

    def name(self, number: int) -> str:
        return str(FIRST_CHAT + number)

    async def write(self, name: str) -> float:
        return await next(self._turns).post(push_of(self._port, update_of(next(_UPDATES), int(name))))


class Polled:
    """People on Telegram, whose messages are polled."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def name(self, number: int) -> str:
        return str(FIRST_CHAT + number)

    async def write(self, name: str) -> float:
        self._outside.updates.append(update_of(next(_UPDATES), int(name)))
        return 0.0

    def close(self) -> None:
        """Nothing: updates are fetched."""


def sid() -> str:
    return f"SM{time.time_ns():016x}{next(_SIDS):016x}"


def person(number: int) -> str:
    """A number that is valid, of which there are many."""
    return f"+49151{10_000_000 + number % 90_000_000}"


def question() -> str:
    """A question that was not asked before, because repetitions are not answered."""
    return f"What do you have for {', '.join(_RANDOM.sample(_WORDS, 6))}?"


def text_of(port: int, sender: str, sid: str) -> bytes:
    """The signed webhook of a text, as Twilio sends it."""
    form = {
        "MessageSid": sid,
        "AccountSid": ACCOUNT,
        "From": sender,
        "To": NUMBER,
        "Body": question(),
        "NumMedia": "0",
        "NumSegments": "1",
    }
    url = f"http://127.0.0.1:{port}/sms/webhook"
    signed = url + "".join(key + form[key] for key in sorted(form))
    signature = base64.b64encode(hmac.new(TOKEN.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    content = urlencode(form, quote_via=quote_plus).encode()
    head = (
        f"POST /sms/webhook HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"X-Twilio-Signature: {signature}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def update_of(number: int, chat: int) -> dict[str, Any]:
    """A private text message as an update of Telegram's."""
    writer = {"id": chat, "is_bot": False, "first_name": "P"}
    message = {
        "message_id": number,
        "date": int(time.time()),
        "chat": {"id": chat, "type": "private", "first_name": "P"},
    }
    return {"update_id": number, "message": {**message, "from": writer, "text": question()}}


def updates_of(chats: Sequence[int]) -> list[dict[str, Any]]:
    """The next updates, one of each chat: their ids follow those before, or the relay takes them for old ones."""
    return [update_of(next(_UPDATES), chat) for chat in chats]


def push_of(port: int, update: dict[str, Any]) -> bytes:
    """The webhook of an update, as Telegram sends it."""
    content = json.dumps(update).encode()
    head = (
        f"POST /telegram/webhook HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"X-Telegram-Bot-Api-Secret-Token: {TELEGRAM_SECRET}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
