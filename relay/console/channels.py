"""Sends manual messages through the server of the channel, which applies the provider's rules and owns the outbox."""

from __future__ import annotations

import httpx

from relay.channels.registry import BY_PLATFORM
from relay.config.settings import Settings
from relay.console.person import Address
from relay.console.services import NotDone
from relay.core.http_client import json_object, never_left


class SubmittedForms:
    """Idempotency keys of submitted forms, so that a double click sends one message; the oldest are dropped."""

    def __init__(self, capacity: int = 1000) -> None:
        self._seen: dict[str, None] = {}
        self._capacity = capacity

    def is_new(self, form: str) -> bool:
        """Whether this key was not submitted before, and record it; an empty key is always new."""
        if form in self._seen:
            return False
        if form:
            self._seen[form] = None
        while len(self._seen) > self._capacity:
            del self._seen[next(iter(self._seen))]
        return True

    def forget(self, form: str) -> None:
        """Take this key as new again: what was submitted with it failed, and may be submitted from the page before."""
        self._seen.pop(form, None)


async def send_manual_message(http: httpx.AsyncClient, settings: Settings, address: Address, message: str) -> None:
    """Send a message to a user and take over from the AI; it is in the outbox when this returns. Raises NotDone."""
    channel, token = BY_PLATFORM[address.platform], settings.admin_token
    name, url = channel.title, f"{channel.url(settings)}/{channel.platform}/send"
    body = {channel.address_key: address.user_id, "message": message, "takeover": True}
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token is not None else {}
    try:
        response = await http.post(url, json=body, headers=headers)
    except httpx.HTTPError as error:
        if never_left(error):
            sentence = f"The {name} server is not running, nothing was sent."
            raise NotDone(sentence, "Start it, then send again.") from None
        raise NotDone(
            f"The {name} server did not say whether it took the message.",
            "Look at the conversation before you send it again.",
        ) from None
    if not response.is_success:
        refusal = json_object(response.content) or {}
        if refusal.get("error"):
            raise NotDone(f"Not sent: {refusal['error']}.", str(refusal.get("hint", "")))
        sentence = f"Not sent: the {name} server answered with status {response.status_code}."
        raise NotDone(sentence, "Its log may say more.")
