"""What a source's refusal means: status, headers and body of any of them become one SourceError.

The body is looked at before the status: OpenRouter sends errors with status 200, others answer 400 for everything.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from relay.errors import ModelFailure
from relay.llm_sources.question import SourceError

_BY_STATUS = {
    400: ModelFailure.BAD_REQUEST,
    401: ModelFailure.AUTH,
    402: ModelFailure.CREDITS,
    403: ModelFailure.AUTH,
    404: ModelFailure.NOT_FOUND,
    408: ModelFailure.TIMEOUT,
    413: ModelFailure.CONTEXT_TOO_LONG,
    422: ModelFailure.BAD_REQUEST,
    429: ModelFailure.RATE_LIMIT,
    504: ModelFailure.TIMEOUT,
    524: ModelFailure.TIMEOUT,
}

# OpenRouter's error.metadata.error_type and error.availability.code, OpenAI's error.code; others use the same words.
_BY_CODE = {
    "context_length_exceeded": ModelFailure.CONTEXT_TOO_LONG,
    "exceed_context_size_error": ModelFailure.CONTEXT_TOO_LONG,
    "payment_required": ModelFailure.CREDITS,
    "insufficient_quota": ModelFailure.CREDITS,
    "rate_limit_exceeded": ModelFailure.RATE_LIMIT,
    "capacity_exhausted": ModelFailure.RATE_LIMIT,
    "provider_overloaded": ModelFailure.UNAVAILABLE,
    "provider_unavailable": ModelFailure.UNAVAILABLE,
    "temporarily_unavailable": ModelFailure.UNAVAILABLE,
    "content_policy_violation": ModelFailure.REFUSED,
    "content_filter": ModelFailure.REFUSED,
    "refusal": ModelFailure.REFUSED,
    "timeout": ModelFailure.TIMEOUT,
    "invalid_api_key": ModelFailure.AUTH,
    "model_not_found": ModelFailure.NOT_FOUND,
    "no_endpoints": ModelFailure.NOT_FOUND,
    "model_deprecated": ModelFailure.NOT_FOUND,
    "free_variant_ended": ModelFailure.NOT_FOUND,
}

_TOO_LONG = re.compile(
    r"context (length|window|size)|maximum context|too many tokens|prompt is too long"
    r"|exceeds? the (available )?context",
    re.IGNORECASE,
)
_BLIND = re.compile(r"\b(images?|vision|multimodal|mmproj|image_url)\b", re.IGNORECASE)
_NO_MODEL = re.compile(r"not a valid model|model .{0,80}(not found|does not exist)|no endpoints found", re.IGNORECASE)
_LONGEST = 300


def failure_of(
    source: str, status: int, body: Any, headers: Mapping[str, str], *, with_images: bool = False
) -> SourceError:
    """The error that an answer of a source stands for; `body` is parsed JSON, or text when it was none."""
    error = body.get("error", body) if isinstance(body, dict) else body
    facts = error if isinstance(error, dict) else {}
    text = _said(error)
    kind = _kind(status, facts, text, with_images=with_images)
    availability = _dict(facts.get("availability"))
    return SourceError(
        kind,
        f"{source}: {text}" if text else f"{source} answered with status {status}",
        retry_after=retry_after(headers, facts),
        fallback_models=tuple(name for name in availability.get("fallback_models") or () if isinstance(name, str)),
    )


def _kind(status: int, facts: dict[str, Any], text: str, *, with_images: bool) -> ModelFailure:
    metadata = _dict(facts.get("metadata"))
    for code in (metadata.get("error_type"), _dict(facts.get("availability")).get("code"), facts.get("code")):
        if isinstance(code, str) and code in _BY_CODE:
            return _BY_CODE[code]
    code = facts.get("code")
    # In a body of status 200 or in mid-stream only the body's own number tells.
    number = code if isinstance(code, int) and status < 400 else status
    if status == 403 and (metadata.get("reasons") or "moderation" in text.lower()):
        return ModelFailure.REFUSED
    if number in {400, 413, 422, 500} and _TOO_LONG.search(text):
        return ModelFailure.CONTEXT_TOO_LONG
    if with_images and number in {400, 404, 422, 500, 501} and _BLIND.search(text):
        return ModelFailure.CANNOT_SEE
    if number in {400, 404} and _NO_MODEL.search(text):
        return ModelFailure.NOT_FOUND
    return _BY_STATUS.get(number, ModelFailure.UNAVAILABLE)


def _said(error: Any) -> str:
    """The source's own words, on one line and cut; a page of HTML has none."""
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or ""
    text = " ".join(str(error).split()) if isinstance(error, str) else ""
    if text.startswith("<"):
        return "it answered with a web page instead of an answer (is the address right?)"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def retry_after(headers: Mapping[str, str], facts: Mapping[str, Any]) -> float | None:
    """Seconds to wait, from wherever the source wrote them; None when it did not, at most one day."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (seconds := _seconds(headers.get(name))) is not None:
            return seconds / 1000
    metadata = _dict(facts.get("metadata"))
    upstream = {str(key).lower(): value for key, value in _dict(metadata.get("headers")).items()}
    places = (
        headers.get("retry-after"),
        _dict(facts.get("availability")).get("retry_after"),
        metadata.get("retry_after_seconds"),
        upstream.get("retry-after"),
    )
    return next((seconds for place in places if (seconds := _seconds(place)) is not None), None)


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        try:
            seconds = parsedate_to_datetime(str(value)).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), 86_400.0) if seconds == seconds else None  # noqa: PLR0124 (not a number)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
