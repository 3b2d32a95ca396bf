"""Faults: which requests they apply to, how often, and with which effect.

Selects only; the simulated providers apply the effect.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Target = Literal["twilio", "telegram", "twilio_webhook", "twilio_delivery", "twilio_callback", "telegram_update"]
Effect = Literal["status", "slow", "cut", "broken", "lose", "duplicate", "disorder"]
When = Literal["before", "after"]
Seconds = Annotated[float, Field(ge=0, le=600)]

MAX_STRIKES = 50
MAX_TEXT_SHOWN = 80
API_EFFECTS = frozenset({"status", "slow", "cut", "broken"})
EFFECTS = {"twilio": API_EFFECTS, "telegram": API_EFFECTS, "twilio_delivery": frozenset({"status"})}
DELIVERY_EFFECTS = frozenset({"lose", "duplicate", "disorder", "slow"})


class FaultSpec(BaseModel):
    """A fault to switch on. count: how many requests it applies to; None: unlimited."""

    model_config = ConfigDict(extra="forbid")

    target: Target
    effect: Effect
    method: str = Field("*", min_length=1, max_length=64)
    when: When = "before"
    status: int = Field(429, ge=400, le=599)
    code: int | None = Field(None, ge=10_000, le=99_999)
    retry_after: int | None = Field(None, ge=0, le=3600)
    seconds: Seconds = 2.0
    count: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    chance: float = Field(1.0, ge=0, le=1)
    contains: str | None = None

    @field_validator("effect")
    @classmethod
    def _applicable(cls, effect: Effect, info: ValidationInfo) -> Effect:
        target = info.data.get("target")
        if target and effect not in EFFECTS.get(target, DELIVERY_EFFECTS):
            raise ValueError(f"{effect} does not apply to {target}; docs/SIMULATOR.md has the table")
        return effect


class Fault(FaultSpec):
    """An active fault; `count` is the number of requests left."""

    id: int
    used: int = 0

    def matches(self, target: Target, method: str, text: str) -> bool:
        return (
            self.target == target
            and self.method.lower() in {"*", method.lower()}
            and (self.contains is None or self.contains in text)
        )


class ActiveFaults:
    """All active faults, in the order in which they were added, and what the latest of them struck.

    strikes: newest last, each with the fault, the text and, once the same request came again, the seconds until then.
    """

    def __init__(
        self,
        rng: random.Random,
        clock: Callable[[], float] = time.time,
        on_strike: Callable[[], None] = lambda: None,
    ) -> None:
        self.faults: list[Fault] = []
        self.strikes: deque[dict[str, Any]] = deque(maxlen=MAX_STRIKES)
        self._rng = rng
        self._clock = clock
        self._on_strike = on_strike
        self._last_id = 0

    def add(self, spec: FaultSpec) -> Fault:
        self._last_id += 1
        fault = Fault(id=self._last_id, **spec.model_dump())
        self.faults.append(fault)
        return fault

    def remove(self, fault_id: int | None = None) -> int:
        """Remove one fault, or all; returns how many were removed."""
        before = len(self.faults)
        self.faults = [] if fault_id is None else [fault for fault in self.faults if fault.id != fault_id]
        return before - len(self.faults)

    def match(self, target: Target, method: str = "*", text: str = "") -> Fault | None:
        """The first fault that applies to this request, counted as used; one with no uses left is removed."""
        self._note_repetition(target, method, text)
        for fault in self.faults:
            if fault.matches(target, method, text) and self._rng.random() < fault.chance:
                fault.used += 1
                if fault.count is not None:
                    fault.count -= 1
                    self.faults = [kept for kept in self.faults if kept.count != 0]
                self._note_strike(fault, target, method, text)
                return fault
        return None

    def _note_strike(self, fault: Fault, target: Target, method: str, text: str) -> None:
        shown = {"id": fault.id, "effect": fault.effect, "status": fault.status, "when": fault.when}
        key = {"target": target, "method": method, "text": text[:MAX_TEXT_SHOWN]}
        self.strikes.append({"at": self._clock(), **shown, **key, "again_after": None})
        self._on_strike()

    def _note_repetition(self, target: Target, method: str, text: str) -> None:
        """Record that a request came which was struck before: the relay tries again."""
        key = (target, method, text[:MAX_TEXT_SHOWN])
        for strike in reversed(self.strikes):
            if (strike["target"], strike["method"], strike["text"]) == key and strike["again_after"] is None:
                strike["again_after"] = round(self._clock() - strike["at"], 1)
                self._on_strike()
                return
