"""A Telegram server whose model writes piece by piece, as the test lets it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.channels.scripted_server import PATIENCE
from tests.channels.telegram.telegram_harness import TelegramHarness, running_telegram_server


def chunk(text: str, **more: Any) -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps({"message": message, "done": False, **more}).encode() + b"\n"


END = json.dumps({"message": {"content": ""}, "done": True}).encode() + b"\n"


class WritingModel:
    """A model server whose answer grows piece by piece, as the test lets it; `gone` is set when its client leaves.

    bill: the counts and `x_relay` of an answer that is stopped; None: it cannot count.
    """

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()
        self.bodies: list[dict[str, Any]] = []
        self.bill: dict[str, Any] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"POST /api/chat"):
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            writer.write(self._stop() if head.startswith(b"POST /api/stop") else b"{}")
            writer.close()
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        self.bodies.append(json.loads(await reader.readexactly(length) or b"{}"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n")
        self.asked.set()
        left = asyncio.create_task(reader.read())
        while not left.done():
            piece = asyncio.create_task(self.pieces.get())
            await asyncio.wait((left, piece), return_when=asyncio.FIRST_COMPLETED)
            if not piece.done():
                piece.cancel()
                break
            if (content := piece.result()) is None:
                break
            writer.write(content)
            await writer.drain()
        self.gone.set()
        left.cancel()
        writer.close()

    def _stop(self) -> bytes:
        """End the answer with `bill` as its last line; without one it cannot be ended."""
        if self.bill is None:
            return b'{"stopped": false}'
        self.pieces.put_nowait(chunk("", **{"done": True, **self.bill}))
        self.pieces.put_nowait(None)
        return b'{"stopped": true}'

    def write(self, *texts: str) -> None:
        for text in texts:
            self.pieces.put_nowait(chunk(text))

    def finish(self) -> None:
        self.pieces.put_nowait(END)
        self.pieces.put_nowait(None)


class Scene:
    def __init__(self, telegram: TelegramHarness, model: WritingModel) -> None:
        self.telegram = telegram
        self.api = telegram.api
        self.model = model

    async def drafts(self, count: int = 1) -> list[dict[str, Any]]:
        return await self.api.until("sendMessageDraft", count)

    async def until_left(self) -> None:
        await asyncio.wait_for(self.model.gone.wait(), PATIENCE)


@asynccontextmanager
async def writing(folder: Path, script: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[Scene]:
    model = WritingModel()
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        running_telegram_server(folder, script, llm_server_url=f"http://127.0.0.1:{port}", **changes) as telegram,
    ):
        yield Scene(telegram, model)
