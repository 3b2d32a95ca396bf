"""The processes that are measured: real servers whose providers and model are the stand-in, and a bare framework."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import psutil
import uvicorn
from fastapi import FastAPI, Request, Response

from benchmarks.llm_server import free_port, started
from benchmarks.outside import ACCOUNT, BOT, NUMBER, TELEGRAM_SECRET, TOKEN, Outside

ROOT = Path(__file__).resolve().parent.parent

T = TypeVar("T")


def cpu(process: psutil.Process) -> float:
    """Seconds of the processor that a process has used."""
    used = process.cpu_times()
    return float(used.user + used.system)


def settings(outside: Outside, folder: Path, url: str) -> dict[str, str]:
    """An environment in which nothing of this machine's own installation is used, and no limit of a person is met."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "TELEGRAM_", "LLM_"))}
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
    return {
        **clean,
        "DATABASE_URL": url or f"sqlite:///{folder / 'messages.db'}",
        "LLM_SERVER_URL": outside.url,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_PHONE_NUMBER": NUMBER,
        "TWILIO_API_BASE_URL": outside.url,
        "TELEGRAM_BOT_TOKEN": BOT,
        "TELEGRAM_API_BASE_URL": outside.url,
        "TELEGRAM_MESSAGES_PER_SECOND": "1000",
        "TELEGRAM_WEBHOOK_SECRET": TELEGRAM_SECRET,
        "SMS_REGISTRATION": "off",
        "SMS_SEGMENTS_PER_SECOND": "0",
        "MESSAGES_PER_MINUTE": "10000",
        "MESSAGES_PER_DAY": "1000000",
        "LOOP_TURNS": "0",
        **dict.fromkeys(("SMS_USER_DAILY_USD", "SMS_DAILY_USD", "SMS_MONTHLY_USD"), "1000000"),
        "LOG_LEVEL": "error",
    }


class Entered(Generic[T]):
    """A context that is entered here and left by `leave`: threads wait for processes while the event loop goes on."""

    def __init__(self, context: AbstractContextManager[T]) -> None:
        self._context = context
        self.value = context.__enter__()

    def leave(self) -> None:
        self._context.__exit__(None, None, None)


@contextmanager
def server(name: str, folder: Path, environ: dict[str, str], port: int = 0) -> Iterator[tuple[psutil.Process, int]]:
    """A server of the product, once it is ready, and its port: any free one for 0."""
    port = port or free_port()
    command = [sys.executable, str(ROOT / f"{name}.py")]
    with started(command, port, "/ready", folder, **environ, **{f"{name.upper()}_PORT": str(port)}) as (process, _):
        yield process, port


@contextmanager
def bare(folder: Path) -> Iterator[tuple[psutil.Process, int]]:
    """The framework without the product, and its port."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.processes", str(port)]
    with started(command, port, "/", folder, PYTHONPATH=str(ROOT)) as (process, _):
        yield process, port


def serve_bare(port: int) -> None:
    """A route that reads the body and answers as the webhook does, on the product's framework and server."""
    app = FastAPI()

    @app.get("/")
    async def home() -> dict[str, str]:
        return {}

    @app.post("/sms/webhook")
    async def receive(request: Request) -> Response:
        await request.body()
        return Response("<Response/>", media_type="text/xml")

    uvicorn.run(app, port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    serve_bare(int(sys.argv[1]))
