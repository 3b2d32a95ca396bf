"""Maps status, headers and body of a provider's error to a ProviderError.

The body takes precedence over the status: OpenRouter sends errors with status 200, others 400 for everything.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from relay.core.errors import ModelFailure
from relay.core.http_client import retry_after_seconds
from relay.core.text import one_line
from relay.llm.chat import ProviderError
from relay.llm.providers.json_values import as_dict, as_dicts, as_number, as_text

KIND_BY_STATUS = {
    400: ModelFailure.BAD_REQUEST,
    401: ModelFailure.AUTH,
    402: ModelFailure.CREDITS,
    404: ModelFailure.NOT_FOUND,
    406: ModelFailure.FORBIDDEN,  # of firewalls, like 418
    408: ModelFailure.TIMEOUT,
    413: ModelFailure.CONTEXT_TOO_LONG,
    418: ModelFailure.FORBIDDEN,
    422: ModelFailure.BAD_REQUEST,
    429: ModelFailure.RATE_LIMIT,
    451: ModelFailure.FORBIDDEN,
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
    # There are such models, but none that this account, this region or these routing rules may use.
    "privacy_restricted": ModelFailure.NOT_FOUND,
    "region_restricted": ModelFailure.NOT_FOUND,
    "constraint_filtered": ModelFailure.NOT_FOUND,
}

_TOO_LONG = re.compile(
    r"context (length|window|size)|maximum context|too many tokens|prompt is too long|request too large"
    r"|exceeds? the (available )?context|input token count|range of input length|input is too long",
    re.IGNORECASE,
)
_TOO_LONG_AT_ONCE = re.compile(r"request too large|prompt tokens? limit exceeded", re.IGNORECASE)
"""Called a rate limit or missing credits by some, although a shorter request would pass."""
_BLIND = re.compile(r"\b(images?|vision|multimodal|mmproj|image_url)\b", re.IGNORECASE)
_TEXT_ALONE = re.compile(r"content\W.{0,40}must be a string|content\W.{0,40}expected (a )?string", re.IGNORECASE)
_TAKES_NONE = re.compile(
    r"support|no endpoints? found|text.only|mmproj|at most 0 |unknown variant|missing data required|must be a string"
    r"|expected (a )?string|(vision|multimodal|image input).{0,20}(not|n.t|disabled)|not an? (vision|multimodal)",
    re.IGNORECASE,
)
_DAMAGED = re.compile(
    r"format|media.?type|mime|decod|corrupt|truncat|damaged|invalid image|too (large|big|many|small)|dimension"
    r"|download",
    re.IGNORECASE,
)
_KEYS = r"(api.?key|(access |auth )?token|credentials?|authentication)"
_KEY = re.compile(
    rf"(in(valid|correct)|expired|missing|wrong|revoked|disabled|unknown|bad|no|provide) (an? |your |valid )*{_KEYS}"
    rf"|{_KEYS} ('[^']*' |is |was |has |have |been |not )*"
    r"(in(valid|correct)|valid|expired|missing|revoked|disabled|found|required)"
    r"|authenticat\w+ (failed|required|error)|not authenticated|unauthori[sz]ed|not authori[sz]ed|permission"
    r"|account .{0,40}(deactivated|suspended|disabled)",
    re.IGNORECASE,
)
"""What a refused key is called. A firewall may quote a question that only speaks of keys."""
_WRONG_KEY = re.compile(r"api.?key (is )?(not valid|invalid|expired|not found)|invalid api.?key", re.IGNORECASE)
_AFFORDABLE = re.compile(r"can only afford (\d{1,9})\b", re.IGNORECASE)
_AMOUNT = r"(\d{1,6}(?:\.\d{1,9})?) ?(ms|h|m|s)?"
_WAIT = re.compile(rf"\b(?:try again|retry) (?:in|after) ((?:{_AMOUNT}){{1,4}})", re.IGNORECASE)
_DURATION = re.compile(_AMOUNT, re.IGNORECASE)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0, "ms": 0.001}
_MIN_ANSWER_TOKENS = 16
_NO_MODEL = re.compile(
    r"not a valid model|model .{0,80}(not found|does not exist)|no endpoints found|not have access to (the )?model",
    re.IGNORECASE,
)
_WEB_PAGE = re.compile(r"<[!?a-z]", re.IGNORECASE)
_MAX_MESSAGE_CHARS = 10_000
_OLDEST_UNIX_TIME = 1_000_000_000
_IN_FLIGHT_BUDGET = "openrouter_in_flight_budget"
"""Credits reserved for answers in flight; they may be released once those are complete."""


def failure_of(
    provider: str, status: int, body: Any, headers: Mapping[str, str], *, with_images: bool = False
) -> ProviderError:
    """The error for a response of a provider; `body` is parsed JSON, or text when it was not JSON."""
    body = next(iter(as_dicts(body)), body)  # Google's OpenAI-compatible errors are a list of one
    error = (body.get("error") or body) if isinstance(body, dict) else body
    facts = error if isinstance(error, dict) else {}
    text = _message(error, status)
    kind = _kind(status, facts, text, with_images=with_images)
    availability = as_dict(facts.get("availability"))
    offered = availability.get("fallback_models")
    return ProviderError(
        kind,
        f"{provider}: {text}" if text else f"{provider} answered with status {status}",
        retry_after=_retry_after(headers, facts, text),
        max_tokens=_affordable(text) if kind is ModelFailure.CREDITS else None,
        by_words=kind is ModelFailure.AUTH and 401 not in {status, facts.get("code")} and _named_kind(facts) is None,
        fallback_models=tuple(name for name in offered if isinstance(name, str)) if isinstance(offered, list) else (),
    )


def _kind(status: int, facts: dict[str, Any], text: str, *, with_images: bool) -> ModelFailure:
    # With status 200 or in mid-stream only the body has the code; some servers send it as text.
    code = int(as_number(facts.get("code")) or status) if status < 400 else status
    metadata = as_dict(facts.get("metadata"))
    if code == 402 and metadata.get("limit_source") == _IN_FLIGHT_BUDGET:
        return ModelFailure.RATE_LIMIT
    if _TOO_LONG_AT_ONCE.search(text) or (code in {400, 413, 422, 500} and _TOO_LONG.search(text)):
        return ModelFailure.CONTEXT_TOO_LONG
    if (named := _named_kind(facts)) is not None:
        return named
    if code == 403 and not _NO_MODEL.search(text):
        return _forbidden(metadata, text)
    return _kind_by_text(code, text, with_images=with_images) or KIND_BY_STATUS.get(code, ModelFailure.UNAVAILABLE)


def _named_kind(facts: Mapping[str, Any]) -> ModelFailure | None:
    """The kind by one of the words that providers have for it, in fields of their own."""
    places = as_dict(facts.get("metadata")).get("error_type"), as_dict(facts.get("availability")).get("code")
    words = (*places, facts.get("code"))
    return next((_BY_CODE[word] for word in words if isinstance(word, str) and word in _BY_CODE), None)


def _forbidden(metadata: Mapping[str, Any], text: str) -> ModelFailure:
    """403 is moderation or the key's budget at OpenRouter, a refused key, or a firewall that dislikes the question."""
    if metadata.get("reasons") or "moderation" in text.lower():
        return ModelFailure.REFUSED
    if metadata.get("resets_at"):
        return ModelFailure.CREDITS
    return ModelFailure.AUTH if _KEY.search(text) else ModelFailure.FORBIDDEN


def _kind_by_text(code: int, text: str, *, with_images: bool) -> ModelFailure | None:
    """The kind found by message text: many servers use one status for everything."""
    if code in {400, 403} and _WRONG_KEY.search(text):
        return ModelFailure.AUTH
    if with_images and code in {400, 404, 422, 500, 501} and (_BLIND.search(text) or _TEXT_ALONE.search(text)):
        return ModelFailure.IMAGES_UNSUPPORTED
    if code in {200, 400, 403, 404} and _NO_MODEL.search(text):
        return ModelFailure.NOT_FOUND
    return None


def says_blind(text: str) -> bool:
    """Whether a refusal of a picture is about the model, and not about this one picture."""
    return _TAKES_NONE.search(text) is not None and _DAMAGED.search(text) is None


def _message(error: Any, status: int) -> str:
    """The provider's message on one line; HTML pages are not quoted. Secrets are redacted in it before it is cut."""
    if isinstance(error, dict):
        error = next((error[key] for key in ("message", "detail", "msg", "error_msg") if error.get(key)), "")
    if problems := as_dicts(error):  # FastAPI's list of what is wrong
        where = problems[0].get("loc")
        field = f"{where[-1]}: " if isinstance(where, list) and where else ""
        error = f"{field}{as_text(problems[0].get('msg'))}"
    text = one_line(error, _MAX_MESSAGE_CHARS) if isinstance(error, str) else ""
    if _WEB_PAGE.match(text):
        doubt = " (is the address right?)" if status in {200, 404, 405} else f", with status {status}"
        return f"it answered with a web page instead of an answer{doubt}"
    return text


def _affordable(text: str) -> int | None:
    """The tokens of an answer that OpenRouter would still take credits for; None when they are too few for one."""
    found = _AFFORDABLE.search(text)
    tokens = int(found[1]) if found else 0
    return tokens if tokens >= _MIN_ANSWER_TOKENS else None


def _retry_after(headers: Mapping[str, str], facts: Mapping[str, Any], text: str) -> float | None:
    """Seconds to wait, at most one day, from all the places and units that providers use; None when there are none."""
    metadata = as_dict(facts.get("metadata"))
    passed_on = {str(key).lower(): value for key, value in as_dict(metadata.get("headers")).items()}
    places = (
        *(_in_headers(found) for found in (headers, passed_on)),
        retry_after_seconds(as_dict(facts.get("availability")).get("retry_after")),
        retry_after_seconds(metadata.get("retry_after_seconds")),
        retry_after_seconds(metadata.get("resets_at")),
        *(_quota_reset(found) for found in (headers, passed_on)),
        *(_in_words(as_text(detail.get("retryDelay"))) for detail in as_dicts(facts.get("details"))),
        _in_words(found[1]) if (found := _WAIT.search(text)) else None,
    )
    return next((seconds for seconds in places if seconds is not None), None)


def _in_headers(headers: Mapping[str, Any]) -> float | None:
    """Retry-After; its variants in milliseconds are more exact and come first."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (milliseconds := as_number(headers.get(name))) is not None:
            return retry_after_seconds(milliseconds / 1000)
    return retry_after_seconds(headers.get("retry-after"))


def _in_words(text: str) -> float | None:
    """The sum of the numbers with their units: "2s" in Google's RetryInfo, "1m30.5s" behind "try again in"."""
    found = _DURATION.findall(text)
    return retry_after_seconds(sum(float(number) * _UNITS[unit.lower()] for number, unit in found)) if found else None


def _quota_reset(headers: Mapping[str, Any]) -> float | None:
    """When a used-up quota resets: Unix time in seconds or milliseconds, or a number of seconds."""
    reset = as_number(headers.get("x-ratelimit-reset"))
    if reset is None or as_number(headers.get("x-ratelimit-remaining")) != 0:
        return None
    if reset >= _OLDEST_UNIX_TIME:
        reset = (reset / 1000 if reset > _OLDEST_UNIX_TIME * 1000 else reset) - time.time()
    return retry_after_seconds(reset)
