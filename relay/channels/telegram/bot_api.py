"""Client of the Bot API: one request a call, and the SendError that each kind of failure means.

Typed calls go through python-telegram-bot's Bot, raw JSON (getUpdates) through `BotCalls.call`, both over our own HTTP
client.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import httpx
from telegram import Bot
from telegram.error import TelegramError
from telegram.request import BaseRequest, RequestData

from relay.channels.telegram.settings import TelegramSettings, bot_token
from relay.config.logs import Redactor
from relay.core.errors import OutcomeUnknown, SendError, SendFailure
from relay.core.http_client import json_object, open_http_client, redacted_errors, request_once, retry_after_seconds

CALL_SECONDS = 20.0
UPLOAD_SECONDS = 60.0
_MAX_FLOOD_WAIT = 1e7
"""Seconds; a longer retry_after is nonsense, and no reason to pause a chat."""


BOT_API_ERRORS: Final[tuple[tuple[int, str, SendFailure], ...]] = (
    (400, "chat not found", SendFailure.RECIPIENT),
    (400, "user not found", SendFailure.RECIPIENT),
    (400, "peer_id_invalid", SendFailure.RECIPIENT),
    (400, "group chat was upgraded", SendFailure.RECIPIENT),
    (400, "group is deactivated", SendFailure.RECIPIENT),
    (400, "not enough rights", SendFailure.BLOCKED),
    (400, "have no rights to send", SendFailure.BLOCKED),
    (400, "chat_write_forbidden", SendFailure.BLOCKED),
    (400, "chat_restricted", SendFailure.BLOCKED),
    (400, "", SendFailure.REJECTED),
    (401, "", SendFailure.CONFIG),
    (403, "user is deactivated", SendFailure.RECIPIENT),
    (403, "can't initiate conversation", SendFailure.RECIPIENT),
    (403, "can't send messages to bots", SendFailure.RECIPIENT),
    (403, "", SendFailure.BLOCKED),  # blocked by the user, kicked from the group, not a member any more
    (404, "", SendFailure.CONFIG),  # a token that is no token; an API at this address that is none
    (409, "", SendFailure.BUSY),
    (413, "", SendFailure.REJECTED),
    (429, "", SendFailure.BUSY),
)
"""Status, a substring of the description in lower case, and their meaning; the first match wins.

The descriptions are those of the official server.
"""


def refusal(status: int, body: bytes) -> SendError:
    """The error of a response other than success; one that is not the Bot API's own comes from a proxy before it."""
    payload = json_object(body)
    if status >= 500:
        return OutcomeUnknown(str(status), _description(payload, f"Telegram answered {status}"), answered=True)
    if payload is None or payload.get("ok") is not False:
        if status < 300:
            return OutcomeUnknown("body", "Telegram's answer could not be understood")
        return SendError(SendFailure.OUTAGE, str(status), f"something other than the Bot API answered, with {status}")
    code = payload["error_code"] if isinstance(payload.get("error_code"), int) else status
    text = _description(payload, f"Telegram answered {code}")
    if code >= 500:
        return OutcomeUnknown(str(code), text, answered=True)
    parameters = payload.get("parameters")
    hints: dict[str, Any] = parameters if isinstance(parameters, dict) else {}
    moved_to = hints.get("migrate_to_chat_id")
    return SendError(
        _kind(code, text),
        str(code),
        text,
        retry_after=_flood_wait(hints.get("retry_after")),
        moved_to=str(moved_to) if isinstance(moved_to, int) else None,
    )


def _flood_wait(value: Any) -> float | None:
    """Seconds to pause a chat, at most a day; None for anything but a plausible number of seconds."""
    plausible = isinstance(value, int | float) and 0 < value < _MAX_FLOOD_WAIT
    return retry_after_seconds(value) if plausible else None


def _kind(code: int, description: str) -> SendFailure:
    lower = description.lower()
    found = (kind for status, text, kind in BOT_API_ERRORS if status == code and text in lower)
    return next(found, SendFailure.REJECTED)


def _description(payload: Mapping[str, Any] | None, otherwise: str) -> str:
    text = payload.get("description") if payload else None
    return text if isinstance(text, str) and text else otherwise


class CallFailed(TelegramError):
    """Carries our own error through python-telegram-bot, which lets only its own kind pass unchanged."""

    def __init__(self, error: SendError) -> None:
        super().__init__(error.message)
        self.error = error


@contextmanager
def bot_errors() -> Iterator[None]:
    """Raise SendError instead of the library's errors; a response that cannot be parsed leaves the outcome unknown."""
    try:
        yield
    except CallFailed as error:
        raise error.error from error
    except (TelegramError, KeyError, TypeError, ValueError, AttributeError) as error:
        text = f"Telegram's answer could not be understood ({type(error).__name__})"
        raise OutcomeUnknown("body", text) from error


class BotCalls:
    """Calls of one bot as plain JSON, each sent once. They raise SendError, OutcomeUnknown included."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        base_url: str,
        token: str,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._client = client
        self._redact = redact
        self.token = token
        self.prefix = f"{base_url}/bot"
        self._files = f"{base_url}/file/bot{token}"

    def file_url(self, path: str) -> str:
        """The secret address of a file whose path getFile gave."""
        return f"{self._files}/{path}"

    async def call(self, method: str, parameters: Mapping[str, Any], *, seconds: float = CALL_SECONDS) -> Any:
        """The `result` of one method, as plain JSON."""
        payload = await self.post(f"{self.prefix}{self.token}/{method}", json.dumps(parameters).encode(), seconds)
        return payload["result"]

    async def upload(self, method: str, parameters: Mapping[str, Any], field: str, name: str, content: bytes) -> Any:
        """The `result` of a method that takes a file, as the parameter `field`."""
        form = {key: value if isinstance(value, str) else json.dumps(value) for key, value in parameters.items()}
        url = f"{self.prefix}{self.token}/{method}"
        payload = await self._request(url, UPLOAD_SECONDS, data=form, files={field: (name, content)})
        return payload["result"]

    async def post(self, url: str, content: bytes, seconds: float) -> dict[str, Any]:
        """One request, never repeated here. Raises SendError, and OutcomeUnknown when it may have been executed."""
        return await self._request(url, seconds, content=content, headers={"Content-Type": "application/json"})

    async def _request(self, url: str, seconds: float, **body: Any) -> dict[str, Any]:
        with redacted_errors(self._redact):
            response = await request_once(self._client, "Telegram", "POST", url, seconds=seconds, **body)
            payload = json_object(response.content)
            if response.is_success and payload is not None and payload.get("ok") is True and "result" in payload:
                return payload
            raise refusal(response.status_code, response.content)


def bot_calls(settings: TelegramSettings, client: httpx.AsyncClient) -> BotCalls:
    """The calls of the bot of these settings. Raises SettingsError when there is no token."""
    redact = Redactor(settings.secrets()).redact
    return BotCalls(client, settings.telegram_api_base_url, bot_token(settings), redact)


@asynccontextmanager
async def open_bot_calls(settings: TelegramSettings) -> AsyncIterator[BotCalls]:
    """The same over connections of their own, through the proxy of the settings, if any."""
    async with open_http_client(proxied=settings.proxied) as client:
        yield bot_calls(settings, client)


def typed_bot(calls: BotCalls) -> Bot:
    """python-telegram-bot's Bot over the same calls; its methods raise CallFailed instead of SendError."""
    request = _Request(calls)
    return Bot(calls.token, base_url=calls.prefix, request=request, get_updates_request=request)


class _Request(BaseRequest):
    """Gives python-telegram-bot our HTTP client and our errors."""

    def __init__(self, calls: BotCalls) -> None:
        self._calls = calls

    @property
    def read_timeout(self) -> float:
        return CALL_SECONDS

    async def initialize(self) -> None:
        """Nothing: the client belongs to the process."""

    async def shutdown(self) -> None:
        """Nothing, likewise."""

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        *_: Any,
        **__: Any,
    ) -> tuple[int, bytes]:
        """One call, with our timeouts instead of python-telegram-bot's."""
        del method
        content = json.dumps(request_data.parameters if request_data else {}).encode()
        try:
            payload = await self._calls.post(url, content, CALL_SECONDS)
        except SendError as error:
            raise CallFailed(error) from error
        return 200, json.dumps(payload).encode()
