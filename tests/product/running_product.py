"""Starts the real processes with the launcher, and exchanges messages with them through the simulator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.ports import Ports

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ("llm_server", "sms_server", "telegram_server", "admin_server", "simulator")


class RunningProduct:
    """All processes on free ports with their own database; `log` is the launcher's output."""

    flags: tuple[str, ...] = ("--all", "--demo")

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._held = Ports()
        self.ports = {server: self._held.take() for server in SERVERS}
        self.log = folder / "product.log"
        ports = {f"{server.upper()}_PORT": str(port) for server, port in self.ports.items()}
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("TWILIO_", "TELEGRAM_"))}
        self.environment = {
            **clean,
            **ports,
            "DATABASE_URL": f"sqlite:///{folder / 'product.db'}",
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            "SMS_MAX_SEGMENTS": "400",
            **dict.fromkeys(("SMS_USER_DAILY_USD", "SMS_DAILY_USD", "SMS_MONTHLY_USD"), "1000000"),
            **settings,
        }
        self.http = httpx.Client(timeout=90)
        self._launcher: subprocess.Popen[bytes] | None = None

    def url(self, server: str) -> str:
        return f"http://127.0.0.1:{self.ports[server]}"

    def command(self) -> list[str]:
        return [sys.executable, str(ROOT / "start_all_servers.py"), "--folder", str(self.folder)]

    def start(self) -> None:
        """Start the launcher and return when every server is ready."""
        with self.log.open("ab") as log:
            self._launcher = subprocess.Popen(
                [*self.command(), *self.flags],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        for server in SERVERS:
            self.await_ready(server)

    def await_ready(self, server: str, seconds: float = 60) -> None:
        path = "/health" if server == "simulator" else "/ready"
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.http.get(self.url(server) + path).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self.launcher.poll() is None, f"the launcher ended:\n{self.log.read_text()}"
            time.sleep(0.05)  # another process's socket gives no event to wait for
        raise AssertionError(f"{server} did not become ready:\n{self.log.read_text()}")

    @property
    def launcher(self) -> subprocess.Popen[bytes]:
        assert self._launcher is not None, "the product was not started"
        return self._launcher

    def process(self, server: str) -> psutil.Process:
        for child in psutil.Process(self.launcher.pid).children(recursive=True):
            if server in child.cmdline():
                return child
        raise AssertionError(f"{server} does not run")

    def kill(self, server: str) -> None:
        """Kill -9 one server and wait until it is gone; the launcher starts another."""
        process = self.process(server)
        process.kill()
        process.wait(60)

    def stop(self) -> int:
        """Stop as an operator does, with SIGTERM; the launcher's exit status."""
        self.launcher.send_signal(signal.SIGTERM)
        return self.launcher.wait(60)

    def close(self) -> None:
        if self._launcher is not None and self._launcher.poll() is None:
            self.stop()
        self._given_up()

    def _given_up(self) -> None:
        self.http.close()
        self._held.give_back()

    # -- the people outside

    def call(self, method: str, url: str, **options: Any) -> Any:
        response = self.http.request(method, url, **options)
        assert response.is_success, f"{method} {url}: {response.status_code} {response.text}"
        return response.json()

    def sim(self, method: str, path: str, **options: Any) -> Any:
        return self.call(method, f"{self.url('simulator')}/sim/{path}", **options)


class Phone:
    """One person on one platform: says something, and waits for what comes back."""

    def __init__(self, product: RunningProduct, platform: str, name: str, **given: Any) -> None:
        """given: further fields of the new person, such as `chat_id`."""
        self.product = product
        self.platform = platform
        self.person = product.sim("POST", "people", json={"name": name, **given})["person"]
        self.address = str(self.person["phone_number" if platform == "sms" else "chat_id"])
        self._seen = 0

    def send(self, text: str) -> None:
        """Send, and return when the webhook was answered (SMS) or the update is queued (Telegram)."""
        if self.platform == "sms":
            body = {"from": self.address, "body": text}
            answered = self.product.sim("POST", "sms/send", json=body)
            assert answered["webhook_status"] == 200, answered
        else:
            self.product.sim("POST", "telegram/send", json={"chat_id": int(self.address), "text": text})

    def send_files(self, *contents: bytes, media_type: str, kind: str = "photo", text: str = "") -> None:
        """Send files as this phone does: one MMS, or one message of Telegram for each, as an album."""
        files = [
            self.product.sim("POST", "files", content=content, headers={"Content-Type": media_type})["file"]
            for content in contents
        ]
        if self.platform == "sms":
            self.product.sim("POST", "sms/send", json={"from": self.address, "body": text, "files": files})
            return
        album = {"album": files[0]} if len(files) > 1 else {}
        for number, file in enumerate(files):
            caption = {"caption": text} if number == 0 and text else {}
            body = {"chat_id": int(self.address), "kind": kind, "file": file, **album, **caption}
            self.product.sim("POST", "telegram/send", json=body)

    def next_reply(self, seconds: float = 60) -> str:
        """The next bubble that comes in, once it is there."""
        query = {"platform": self.platform, "person": self.address, "after": self._seen, "timeout": seconds}
        transcript = self.product.sim("GET", "wait", params=query)
        bubbles = [bubble for bubble in transcript["bubbles"] if bubble["direction"] == "out"]
        assert len(bubbles) > self._seen, f"nothing came within {seconds} s:\n{self.product.log.read_text()[-4000:]}"
        self._seen += 1
        return str(bubbles[self._seen - 1]["text"])

    def ask(self, text: str) -> str:
        self.send(text)
        return self.next_reply()

    def received(self) -> list[str]:
        """Every bubble that came in so far."""
        return [bubble["text"] for bubble in self.bubbles()]

    def numbers(self) -> list[int]:
        """The numbers of these bubbles, which all phones share: the order in which the providers took them."""
        return [bubble["id"] for bubble in self.bubbles()]

    def bubbles(self) -> list[dict[str, Any]]:
        """The same with all that the phone shows."""
        transcript = self.product.sim("GET", "transcript", params={"platform": self.platform, "person": self.address})
        return [bubble for bubble in transcript["bubbles"] if bubble["direction"] == "out"]
