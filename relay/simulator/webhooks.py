"""Webhook requests of the providers, and Twilio's: signed form POSTs with timeouts and retries from the URL's fragment.

Rules: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides. Without a fragment only a failed
connection is retried, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import httpx
from twilio.request_validator import RequestValidator

from relay.channels.sms.settings import SIMULATED_AUTH_TOKEN
from relay.core.http_client import error_text, never_left

MAX_BODY = 64_000


@dataclass(frozen=True, slots=True)
class WebhookOutcome:
    """The response to a webhook, or the error when there was none. failure: ct, rt, 4xx or 5xx, as in Twilio's #rp."""

    status: int | None
    body: str = ""
    error: str | None = None
    failure: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status is not None and self.status < 400

    @property
    def label(self) -> str:
        """The name of its counter."""
        return str(self.status or "failed")


async def post_webhook(client: httpx.AsyncClient, url: str, **options: Any) -> WebhookOutcome:
    """POST once, with the options of httpx; never raises."""
    try:
        answer = await client.post(url, **options)
    except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError) as error:
        if never_left(error):
            return WebhookOutcome(None, error="connection failed", failure="ct")
        return WebhookOutcome(None, error=error_text(error), failure="rt")
    failure = f"{answer.status_code // 100}xx" if answer.status_code >= 400 else ""
    return WebhookOutcome(answer.status_code, answer.text[:MAX_BODY], None, failure)


@dataclass(frozen=True, slots=True)
class ConnectionOverrides:
    """Timeouts in seconds; number of retries, and the failures that are retried."""

    connect: float
    read: float
    total: float
    retries: int
    policy: frozenset[str]

    @classmethod
    def of(cls, fragment: str, read_seconds: float) -> ConnectionOverrides:
        given = {name: values[-1] for name, values in parse_qs(fragment).items()}
        return cls(
            connect=_milliseconds(given.get("ct"), 5.0, 10.0),
            read=min(read_seconds, _milliseconds(given.get("rt"), 15.0, 15.0)),
            total=min(read_seconds, _milliseconds(given.get("tt"), 15.0, 15.0)),
            retries=min(5, int(given["rc"])) if given.get("rc", "").isdigit() else 1,
            policy=frozenset(given.get("rp", "ct").split(",")),
        )


def _milliseconds(text: str | None, default: float, most: float) -> float:
    return min(most, max(0.1, int(text) / 1000)) if text and text.isdigit() else default


class WebhookCaller:
    """Posts signed forms."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._validator = RequestValidator(SIMULATED_AUTH_TOKEN)

    async def post(
        self, url: str, form: dict[str, str], *, signed: bool = True, read_seconds: float = 15.0
    ) -> WebhookOutcome:
        """POST, with retries as the overrides demand; never raises."""
        address, _, fragment = url.partition("#")
        overrides = ConnectionOverrides.of(fragment, read_seconds)
        timeout = httpx.Timeout(overrides.read, connect=overrides.connect)
        headers = {"I-Twilio-Idempotency-Token": str(uuid.uuid4()), "User-Agent": "TwilioProxy/1.1 (simulated)"}
        if signed:
            headers["X-Twilio-Signature"] = self._validator.compute_signature(address, form)
        outcome = WebhookOutcome(None, error="no answer in time", failure="rt")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(overrides.total):
                for _ in range(overrides.retries + 1):
                    outcome = await post_webhook(
                        self._client, address, data=form, headers=headers, timeout=timeout, follow_redirects=True
                    )
                    if outcome.succeeded or not overrides.policy & {"all", outcome.failure}:
                        break
        return outcome
