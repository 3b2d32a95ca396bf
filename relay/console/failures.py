"""The page of what waits and what failed: one list at a time, filtered, in pages, with acts on chosen rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from relay.core.errors import NotRepaired, StorageError
from relay.core.messages import Platform

ROWS_PER_PAGE = 50
MAX_AT_ONCE = 2000
"""How many rows one act on everything that matches deals with; the page says so, and it can be repeated."""

TOGETHER = 32

DAY = 86_400.0
Kind = Literal["failed", "dead", "waiting", "unsent"]
TITLES: dict[Kind, str] = {
    "failed": "Parts that failed",
    "dead": "Dead letters",
    "waiting": "Waiting for an answer",
    "unsent": "Parts not sent yet",
}
EXPLAINED: dict[Kind, str] = {
    "failed": "What we wrote and the provider refused, or could not deliver. A part is one message on the phone; a long"
    " answer has several.",
    "dead": "What people wrote and never got an answer to: it was given up, or could not be understood.",
    "waiting": "What people wrote and has no answer yet. It is tried again by itself.",
    "unsent": "What we wrote and is not with the provider yet. It is tried again by itself.",
}
ACTS: dict[Kind, dict[str, str]] = {
    "failed": {"send-again": "Send again", "dismiss": "Dismiss"},
    "dead": {"answer-again": "Answer again", "dismiss-letter": "Dismiss"},
    "waiting": {"answer-now": "Answer now", "leave": "Leave without an answer"},
    "unsent": {"send-now": "Send now", "cancel": "Cancel"},
}
"""The acts that each list offers, by their name in relay.storage.repairs."""

ACT_TITLES = {act: f"{title} ({TITLES[kind].lower()})" for kind, acts in ACTS.items() for act, title in acts.items()}
"""How the audit log calls them; the detail of such an entry is the id of the row."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows of one list are shown. days: at most this old; 0: all. beyond: the last row of the page before."""

    kind: Kind = "failed"
    platform: str = ""
    code: str = ""
    person: str = ""
    days: int = 0
    beyond: int | None = None

    def url(self, **changes: Any) -> str:
        """The address of the page with these choices, changed as given."""
        chosen = {**asdict(self), **changes}
        return "/failures?" + urlencode({key: value for key, value in chosen.items() if value})

    def arguments(self, now: float) -> dict[str, Any]:
        """The same for the query."""
        since = now - self.days * DAY if self.days else 0.0
        return {"code": self.code, "person": self.person, "since": since, "beyond": self.beyond}

    def platforms(self, known: Iterable[Platform]) -> list[Platform]:
        return [platform for platform in known if self.platform in ("", platform)]


NOTHING_CHOSEN = "Nothing was chosen, so nothing was done: tick rows first, or everything that matches."

Repair = Callable[[str], Awaitable[Any]]
"""Does the act on the row with this id. Raises NotRepaired."""


async def repair_all(repair: Repair, row_ids: Iterable[str]) -> str:
    """Do one act on several rows, each in a transaction of its own; what became of them, as a sentence.

    It ends when the database cannot be used: what was done until then stays done, and a repetition does the rest.
    """
    rows, done, reasons = list(row_ids), 0, list[str]()
    if not rows:
        return NOTHING_CHOSEN
    for first in range(0, len(rows), TOGETHER):  # several at a time share one write to the disk
        results = await asyncio.gather(*map(repair, rows[first : first + TOGETHER]), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        done += len(results) - len(failed)
        reasons += map(str, failed)
        if others := [error for error in failed if not isinstance(error, NotRepaired | StorageError)]:
            raise others[0]
        if any(isinstance(error, StorageError) for error in failed):
            reasons.insert(0, "the database could not be used; try again in a moment")
            break
    return f"Done: {done}. Not done: {len(rows) - done} ({reasons[0]})." if reasons else f"Done: {done}."
