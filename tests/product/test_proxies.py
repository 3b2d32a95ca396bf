"""deploy/Caddyfile and deploy/nginx-single.conf in front of the real SMS server: what passes, and what does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from twilio.request_validator import RequestValidator

from tests.machines.cluster import nginx
from tests.ports import Ports
from tests.product.running_product import ROOT

pytestmark = pytest.mark.processes

HOST = "http://relay.example.com"
PUBLIC = "https://relay.example.com"
TOKEN = "a-secret-of-the-test-0123456789"
PATIENCE = 60.0
"""Seconds for a program to answer on a busy machine."""


@contextmanager
def running(command: list[str], url: str, folder: Path, **environment: str) -> Iterator[None]:
    """The program, from its first answer on."""
    log = (folder / f"{Path(command[0]).name}.log").open("wb")
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log)
    try:
        end = time.monotonic() + PATIENCE
        while not answers(url):
            assert process.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < end, Path(log.name).read_text()
            time.sleep(0.05)  # another process gives no event to await
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
        log.close()


def answers(url: str) -> bool:
    try:
        httpx.get(url, timeout=5)
    except httpx.TransportError:
        return False
    return True


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    held = Ports()
    yield held
    held.give_back()


@pytest.fixture(scope="module")
def sms_port(ports: Ports, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """An SMS server with a real account's settings, whose Twilio and model are not there."""
    port = ports.take()
    nothing = f"http://127.0.0.1:{ports.take()}"
    account = {
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_PHONE_NUMBER": "+12025550100",
        "TWILIO_API_BASE_URL": nothing,
        "LLM_SERVER_URL": nothing,
    }
    command = [sys.executable, str(ROOT / "sms_server.py")]
    folder = tmp_path_factory.mktemp("relay")
    with running(
        command, f"http://127.0.0.1:{port}/health", folder, SMS_SERVER_PORT=str(port), PUBLIC_URL=PUBLIC, **account
    ):
        yield port


@pytest.fixture(scope="module", params=["caddy", "nginx"])
def proxy(
    request: pytest.FixtureRequest, ports: Ports, sms_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of the proxy, whose configuration differs from ours only in ports and the lack of TLS."""
    if shutil.which(request.param, path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip(f"no {request.param} on this machine (Debian: caddy, nginx-light)")
    folder, port = tmp_path_factory.mktemp(request.param), ports.take()
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        if request.param == "nginx":
            lines = (ROOT / "deploy" / "nginx-single.conf").read_text().splitlines()
            text = "\n".join(line for line in lines if "ssl_certificate" not in line)
            text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port}").replace(":8040", f":{sms_port}")
            stack.enter_context(nginx(folder, text, port))
        else:
            text = (ROOT / "deploy" / "Caddyfile").read_text().replace(":8040", f":{sms_port}")
            (folder / "Caddyfile").write_text("{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\n" + text)
            places = dict.fromkeys(("XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(folder))
            command = ["caddy", "run", "--config", "Caddyfile"]
            stack.enter_context(running(command, url, folder, RELAY_DOMAIN=f"{HOST}:{port}", **places))
        yield url


Headers = dict[str, str]


def text_from(sender: str, body: str, *, sign_for: str = PUBLIC, query: str = "") -> tuple[dict[str, str], Headers]:
    """The form of a text, and the headers that Twilio sends with it."""
    form = {"MessageSid": f"SM{uuid4().hex}", "From": sender, "To": "+12025550100", "Body": body}
    signature = RequestValidator(TOKEN).compute_signature(f"{sign_for}/sms/webhook{query}", form)
    return form, {"X-Twilio-Signature": signature, "Host": "relay.example.com"}


@pytest.mark.parametrize("query", ["", "?a=%C3%A9&b=1%2B1"])
def test_a_signed_text_arrives_unchanged(proxy: str, sms_port: int, query: str) -> None:
    """Whatever is in it and in the address: the signature covers every byte."""
    form, headers = text_from("+12025550111", f"Ünïcode + & % 😀 {query} {proxy}", query=query)
    found = httpx.post(f"{proxy}/sms/webhook{query}", data=form, headers=headers)
    assert found.status_code == 200, found.text
    assert found.headers["content-type"].startswith("text/xml")


def test_a_forged_text_is_refused_by_the_server(proxy: str) -> None:
    """A signature for another address."""
    form, headers = text_from("+12025550112", "hello", sign_for="https://other.example.com")
    assert httpx.post(f"{proxy}/sms/webhook", data=form, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/", "/health", "/ready", "/metrics", "/docs", "/sms/status", "/sms/send", "/sms/webhook/", "//sms/status",
     "/sms/webhook/../status", "/SMS/STATUS", "/sms%2fstatus", "/sms/user/%2B12025550111/history"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_else_is_reached_from_outside(proxy: str, method: str, path: str) -> None:
    """Not even what the server itself would show to strangers."""
    found = httpx.request(method, proxy + path, headers={"Host": "relay.example.com"})
    assert found.status_code == 404
    assert "hint" not in found.text


def test_a_webhook_that_is_no_post_or_too_large_is_refused(proxy: str) -> None:
    """Before it costs the server anything."""
    got = httpx.get(f"{proxy}/sms/webhook", headers={"Host": "relay.example.com"})
    assert got.status_code in {403, 404}
    form, headers = text_from("+12025550113", "x" * 1_500_000)
    assert httpx.post(f"{proxy}/sms/webhook", data=form, headers=headers).status_code in {413, 502}
