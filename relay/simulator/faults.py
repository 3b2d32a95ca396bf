"""Faults: which requests they apply to, how often, and with which effect.

Selects only; the simulated providers apply the effect.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

Target = Literal["twilio", "telegram", "twilio_webhook", "twilio_callback", "telegram_update"]
Effect = Literal["status", "slow", "cut", "broken", "lose", "duplicate", "disorder"]
When = Literal["before", "after"]

API_EFFECTS = frozenset({"status", "slow", "cut", "broken"})
DELIVERY_EFFECTS = frozenset({"lose", "duplicate", "disorder", "slow"})


def is_applicable(target: Target, effect: Effect) -> bool:
    """Whether this target supports this effect."""
    return effect in (API_EFFECTS if target in {"twilio", "telegram"} else DELIVERY_EFFECTS)


@dataclass(slots=True)
class Fault:
    """One active fault. count: how many requests it still applies to; None: unlimited."""

    id: int
    target: Target
    effect: Effect
    method: str = "*"
    when: When = "before"
    status: int = 429
    code: int | None = None
    retry_after: int | None = None
    seconds: float = 2.0
    count: int | None = None
    chance: float = 1.0
    contains: str | None = None
    used: int = 0

    def matches(self, target: Target, method: str, text: str) -> bool:
        return (
            self.target == target
            and self.method.lower() in {"*", method.lower()}
            and self.count != 0
            and (self.contains is None or self.contains in text)
        )


class ActiveFaults:
    """All active faults, in the order in which they were added."""

    def __init__(self, rng: random.Random) -> None:
        self.faults: list[Fault] = []
        self._rng = rng
        self._last_id = 0

    def add(self, target: Target, effect: Effect, **details: Any) -> Fault:
        self._last_id += 1
        fault = Fault(self._last_id, target, effect, **details)
        self.faults.append(fault)
        return fault

    def remove(self, fault_id: int | None = None) -> int:
        """Remove one fault, or all; returns how many were removed."""
        before = len(self.faults)
        self.faults = [] if fault_id is None else [fault for fault in self.faults if fault.id != fault_id]
        return before - len(self.faults)

    def match(self, target: Target, method: str = "*", text: str = "") -> Fault | None:
        """The first fault that applies to this request, counted as used; one with no uses left is removed."""
        for fault in self.faults:
            if fault.matches(target, method, text) and self._rng.random() < fault.chance:
                fault.used += 1
                if fault.count is not None:
                    fault.count -= 1
                    self.faults = [kept for kept in self.faults if kept.count != 0]
                return fault
        return None
