"""How long a source wants to be left alone, from the many places and forms in which servers write it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from relay.llm.providers.json_values import as_dict, as_number

_MAX_WAIT = 86_400.0
_OLDEST_UNIX_TIME = 1_000_000_000


def retry_after(headers: Mapping[str, str], facts: Mapping[str, Any]) -> float | None:
    """Seconds to wait, from wherever the source wrote them; None when it did not, at most one day."""
    metadata = as_dict(facts.get("metadata"))
    passed_on = {str(key).lower(): value for key, value in as_dict(metadata.get("headers")).items()}
    places = (
        *(_in_headers(found) for found in (headers, passed_on)),
        _seconds(as_dict(facts.get("availability")).get("retry_after")),
        _seconds(metadata.get("retry_after_seconds")),
        _seconds(metadata.get("resets_at")),
        *(_quota_reset(found) for found in (headers, passed_on)),
    )
    wait = next((seconds for seconds in places if seconds is not None), None)
    return None if wait is None else min(max(wait, 0.0), _MAX_WAIT)


def _in_headers(headers: Mapping[str, Any]) -> float | None:
    """What Retry-After says; its variants in milliseconds are more exact."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (milliseconds := as_number(headers.get(name))) is not None:
            return milliseconds / 1000
    return _seconds(headers.get("retry-after"))


def _quota_reset(headers: Mapping[str, Any]) -> float | None:
    """When a quota that is used up begins anew; Unix time in seconds or milliseconds, or the wait itself."""
    reset = as_number(headers.get("x-ratelimit-reset"))
    if reset is None or as_number(headers.get("x-ratelimit-remaining")) != 0:
        return None
    if reset < _OLDEST_UNIX_TIME:
        return reset
    return (reset / 1000 if reset > _OLDEST_UNIX_TIME * 1000 else reset) - time.time()


def _seconds(value: Any) -> float | None:
    """A number of seconds, or a date as HTTP or ISO 8601 write it."""
    if (said := as_number(value)) is not None or not isinstance(value, str):
        return said
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return read(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            continue
    return None
