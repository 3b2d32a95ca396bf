"""Every request that we send to Twilio, validated by Prism against Twilio's own OpenAPI documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.channels.sms.connecting import connect
from relay.core.parts import Part
from sms_service import SmsService
from tests.others.node_programs import Start, openapi_document
from tests.others.test_emulate import settings_with

PRISM = "@stoplight/prism-cli/dist/index.js"
SERVICE = "MG" + "3" * 32

Prism = Callable[[str], str]


@pytest.fixture
def prism(start: Start, tmp_path: Path) -> Prism:
    """Starts Prism with one of Twilio's documents; returns its URL."""

    def run(name: str) -> str:
        document = openapi_document(name, tmp_path)
        return start(PRISM, "mock", "--errors", "-h", "127.0.0.1", "-p", "PORT", str(document))

    return run


@asynccontextmanager
async def service_at(url: str, folder: Path, **changes: Any) -> AsyncIterator[tuple[SmsService, list[str]]]:
    """The service, and what Prism answers to its requests but for successes."""
    mistakes: list[str] = []

    async def note(response: httpx.Response) -> None:
        if not response.is_success:
            mistakes.append(f"{response.request.method} {response.request.url}: {(await response.aread()).decode()}")

    async with httpx.AsyncClient(event_hooks={"response": [note]}) as http:
        yield SmsService(settings_with(folder, url, **changes), http), mistakes


def part(text: str, **changes: Any) -> Part:
    values = {
        "id": "3f0c8f1e",
        "platform": "sms",
        "user_id": "+12025550101",
        "number": 1,
        "count": 1,
        "text": text,
        "style": None,
        "reply_to": None,
        "created_at": 0.0,
        "owner": "o",
        "attempts": 1,
        "lease_until": 0.0,
    }
    return Part(**{**values, **changes})


async def test_what_is_sent_is_what_twilio_documents(prism: Prism, tmp_path: Path) -> None:
    """From a number, from a service, with pictures, in several alphabets, with and without a callback."""
    url = prism("twilio_api_v2010.json")
    parts = [
        part("Hello"),
        part("\u201cquotes\u201d \U0001f600 \u4f60\u597d\nsecond line"),
        part("x" * 1600, number=2, count=3),
        part("a picture", media=("https://example.com/a.jpg", "https://example.com/b.png")),
        part("from another number", sender="+15005550007"),
        part("to Britain", user_id="+447700900123"),
    ]
    for changes in ({}, {"public_url": "https://ours.example.com"}, {"twilio_messaging_service_sid": SERVICE}):
        async with service_at(url, tmp_path, **changes) as (service, mistakes):
            for one in parts:
                await service.send(one)
            assert mistakes == []


async def test_the_webhook_of_a_service_is_set_as_twilio_documents(prism: Prism, tmp_path: Path) -> None:
    """Read, then set."""
    url = prism("twilio_messaging_v1.json")
    settings = settings_with(tmp_path, url, twilio_messaging_service_sid=SERVICE, public_url="https://ours.example.com")
    [finding] = await connect(settings)
    assert finding.text.startswith(f"texts to {SERVICE} go to https://ours.example.com")
