"""Finds the retry delay in a provider's error, in all the places and units that providers use."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from relay.core.http_client import retry_after_seconds
from relay.llm.providers.json_values import as_dict, as_number

_OLDEST_UNIX_TIME = 1_000_000_000


def retry_after(headers: Mapping[str, str], facts: Mapping[str, Any]) -> float | None:
    """Seconds to wait, at most one day; None when the provider names no delay."""
    metadata = as_dict(facts.get("metadata"))
    passed_on = {str(key).lower(): value for key, value in as_dict(metadata.get("headers")).items()}
    places = (
        *(_in_headers(found) for found in (headers, passed_on)),
        retry_after_seconds(as_dict(facts.get("availability")).get("retry_after")),
        retry_after_seconds(metadata.get("retry_after_seconds")),
        retry_after_seconds(metadata.get("resets_at")),
        *(_quota_reset(found) for found in (headers, passed_on)),
    )
    return next((seconds for seconds in places if seconds is not None), None)


def _in_headers(headers: Mapping[str, Any]) -> float | None:
    """Retry-After; its variants in milliseconds are more exact and come first."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (milliseconds := as_number(headers.get(name))) is not None:
            return retry_after_seconds(milliseconds / 1000)
    return retry_after_seconds(headers.get("retry-after"))


def _quota_reset(headers: Mapping[str, Any]) -> float | None:
    """When a used-up quota resets: Unix time in seconds or milliseconds, or a number of seconds."""
    reset = as_number(headers.get("x-ratelimit-reset"))
    if reset is None or as_number(headers.get("x-ratelimit-remaining")) != 0:
        return None
    if reset >= _OLDEST_UNIX_TIME:
        reset = (reset / 1000 if reset > _OLDEST_UNIX_TIME * 1000 else reset) - time.time()
    return retry_after_seconds(reset)
