"""What an operator sets for one person: no answers, for good or for a time, limits, the language, and notes.

It is kept in the settings of the user's row, so that every channel obeys it from the next message on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from relay.config.settings import Settings
from relay.core.messages import BARRED, LANGUAGE, User

PAUSED_UNTIL: Final = "quiet_until"
"""Until when (epoch seconds) the operator wants no message answered; `paused_until` is the loop detection's."""
PER_MINUTE: Final = "messages_per_minute"
PER_DAY: Final = "messages_per_day"
NOTE: Final = "operator_note"
MAX_NOTE: Final = 4000
SAFEGUARDS: Final = frozenset((BARRED, PAUSED_UNTIL, PER_MINUTE, PER_DAY))
"""What stays when a person has everything about them deleted: they could lift it by that."""


@dataclass(frozen=True, slots=True)
class PersonSettings:
    """The choices for one person. None and empty: as for everybody. In a group the limits are those of each writer."""

    barred: bool = False
    paused_until: float = 0.0
    messages_per_minute: int | None = None
    messages_per_day: int | None = None
    language: str = ""
    note: str = ""

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None) -> PersonSettings:
        """Those in the settings of a user's row."""
        found = settings or {}
        return cls(
            bool(found.get(BARRED)),
            float(found.get(PAUSED_UNTIL) or 0.0),
            found.get(PER_MINUTE),
            found.get(PER_DAY),
            found.get(LANGUAGE) or "",
            found.get(NOTE) or "",
        )

    def is_paused(self, now: float) -> bool:
        return now < self.paused_until


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """How many messages of one writer are answered."""

    messages_per_minute: int
    messages_per_day: int


def limits_of(user: User | None, settings: Settings) -> MessageLimits:
    """The limits for messages of this user: their own, or those of the settings."""
    own = PersonSettings.of(user.settings if user else None)
    return MessageLimits(
        own.messages_per_minute or settings.messages_per_minute, own.messages_per_day or settings.messages_per_day
    )
