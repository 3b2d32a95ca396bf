"""Twilio, Telegram and the model of the campaign: what was sent is kept, so that copies are counted and looked up."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Awaitable
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

from benchmarks.llm_server import MODELS, SHORT
from benchmarks.outside import Outside, response


class Providers(Outside):
    """`copies` has how many messages have come to each person; Twilio's list has the texts, for lookups."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: Counter[str] = Counter()
        self._texts: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def answer_to(self, target: str, body: bytes) -> bytes | Awaitable[bytes]:
        path, _, query = target.partition("?")
        if path.endswith("/Messages.json") and not body:
            found = self._texts[parse_qs(query).get("To", [""])[0]]
            return response(json.dumps({"messages": found, "next_page_uri": None}).encode())
        if path.endswith("/chat/completions"):
            return SHORT
        return MODELS if path.endswith("/v1/models") else super().answer_to(target, body)

    def note_text(self, sent: dict[str, Any], body: str) -> None:
        listed = {**sent, "body": body, "direction": "outbound-api", "date_created": formatdate()}
        self._texts[sent["to"]].insert(0, listed)

    def note_send(self, person: str) -> None:
        self.copies[person] += 1
        super().note_send(person)
