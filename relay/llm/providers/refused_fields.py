"""Remembers for each model which optional fields of a request its server refuses, and leaves them out.

The system role is one of them: its text then stands before the first message of the user.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from relay.core.errors import ModelFailure
from relay.llm.chat import ProviderError

log = logging.getLogger("relay.gateway")

SYSTEM = "system"
_LIMIT, _NEW_LIMIT = "max_tokens", "max_completion_tokens"
_REQUIRED = {"model", "messages", "stream", "tools", "tool_choice", "response_format", "provider"}
"""Fields without which the answer would be another one."""
_NO_SYSTEM = re.compile(
    r"(system|developer)[\s'\"]{1,3}(role|instruction|message|prompt).{0,30}(not|n't|un)|(not|n't).{0,20}system.?(role|prompt|message)"
    r"|roles must alternate|(unknown|unsupported|invalid|unexpected) (role|value).{0,20}['\"]?system",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"unsupported|not (be )?(supported|permitted|allowed|enabled|available)|unrecogni[sz]ed|unknown|unexpected|extra"
    r"|does ?n.t support|does not support"
    r"|invalid (field|parameter|argument)|cannot be (used|set|specified)|too (large|high)"
    r"|at most|no such|not implemented",
    re.IGNORECASE,
)
_KINDS = {ModelFailure.BAD_REQUEST, ModelFailure.UNAVAILABLE}
_MAX_MODELS = 200


class RefusedFields:
    """What each model's server has refused so far. `names` is for the operator."""

    def __init__(self) -> None:
        self.names: dict[str, set[str]] = {}

    def left_out(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body as the server of its model takes it."""
        refused = self.names.get(body["model"], set())
        kept = {key: value for key, value in body.items() if key not in refused}
        if _LIMIT in body and _LIMIT in refused and _NEW_LIMIT not in refused:
            kept[_NEW_LIMIT] = body[_LIMIT]
        if SYSTEM in refused:
            kept["messages"] = _without_system(body["messages"])
        return kept

    def learn(self, body: Mapping[str, Any], error: ProviderError) -> bool:
        """Whether the error refuses a field of this body, so that the request is worth repeating without it."""
        if error.kind not in _KINDS or (field := _refused_field(body, error.message)) is None:
            return False
        if body["model"] not in self.names and len(self.names) >= _MAX_MODELS:
            self.names.pop(next(iter(self.names)))  # callers choose model names, so their number is unbounded
        self.names.setdefault(body["model"], set()).add(field)
        log.warning("%s; from now on %s is asked without %s", error.message, body["model"], field)
        return True


def _refused_field(body: Mapping[str, Any], text: str) -> str | None:
    has_system = any(message["role"] == SYSTEM for message in body["messages"])
    if has_system and _NO_SYSTEM.search(text):
        return SYSTEM
    if not _REFUSED.search(text):
        return None
    named = (key for key in body if key not in _REQUIRED and re.search(rf"\b{key}\b", text))
    return next(named, None)


def _without_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the text of the system role before the first one of the user."""
    system = "\n\n".join(message["content"] for message in messages if message["role"] == SYSTEM)
    others = [dict(message) for message in messages if message["role"] != SYSTEM]
    first = next((message for message in others if message["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": system}, *others]
    content = first["content"]
    begin = [{"type": "text", "text": system}]
    first["content"] = f"{system}\n\n{content}" if isinstance(content, str) else [*begin, *content]
    return others
