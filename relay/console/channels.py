"""Messages written by hand: handed to the channel's own server, which knows its provider's rules and its outbox."""

from __future__ import annotations

from typing import Any

import httpx

from relay.channels.sms.spec import SMS
from relay.config.settings import Settings
from relay.console.person import Address
from relay.core.http_client import never_left


class NotSent(Exception):
    """The channel's server did not take the message; the text is a sentence for the operator, `hint` what to do."""

    def __init__(self, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.hint = hint


class OnceOnly:
    """Remembers the forms that were handled, so that a double click sends one message."""

    def __init__(self, most: int = 1000) -> None:
        self._seen: dict[str, None] = {}
        self._most = most

    def is_new(self, form: str) -> bool:
        """Whether this form was not handled before; one without a name always is new."""
        if form in self._seen:
            return False
        if form:
            self._seen[form] = None
        while len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]
        return True


async def send_by_hand(http: httpx.AsyncClient, settings: Settings, address: Address, message: str) -> None:
    """Plan a message for a person; it is in the outbox when this returns. Raises NotSent."""
    name, url, body = _request(settings, address, message)
    token = settings.admin_token
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token is not None else {}
    try:
        response = await http.post(url, json=body, headers=headers)
    except httpx.HTTPError as error:
        if never_left(error):
            raise NotSent(
                f"The {name} server is not running, nothing was sent.", "Start it, then send again."
            ) from None
        raise NotSent(
            f"The {name} server did not say whether it took the message.",
            "Look at the conversation before you send it again.",
        ) from None
    if not response.is_success:
        raise _refusal(name, response)


def _request(settings: Settings, address: Address, message: str) -> tuple[str, str, dict[str, str]]:
    if address.platform == SMS:
        url = settings.server_url(settings.sms_server_port)
        return "SMS", f"{url}/sms/send", {"phone_number": address.user_id, "message": message}
    url = settings.server_url(settings.telegram_server_port)
    return "Telegram", f"{url}/telegram/send", {"chat_id": address.user_id, "message": message}


def _refusal(name: str, response: httpx.Response) -> NotSent:
    """The server's own sentence, when it gave one."""
    try:
        body: Any = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and body.get("error"):
        return NotSent(f"Not sent: {body['error']}.", str(body.get("hint", "")))
    return NotSent(f"Not sent: the {name} server answered with status {response.status_code}.", "Its log may say more.")
