"""Counts calls, answers, webhooks, and texts or parts that a person received more than once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from relay.simulator.transcripts import Transcripts

MAX_TEXT_SHOWN = 120


class Stats:
    """Counters since the start or the last reset."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.webhooks: Counter[str] = Counter()
        self.callbacks: Counter[str] = Counter()
        self.pushes: Counter[str] = Counter()

    def count_call(self, method: str, status: int | str) -> None:
        self.calls[method] += 1
        self.answers[f"{method} {status}"] += 1

    def to_json(self, transcripts: Transcripts, waiting_updates: int) -> dict[str, Any]:
        limited = sum(count for name, count in self.answers.items() if name.endswith(" 429"))
        return {
            "simulated": True,
            "calls": dict(self.calls),
            "answers": dict(self.answers),
            "too_many_requests": limited,
            "webhooks": dict(self.webhooks),
            "callbacks": dict(self.callbacks),
            "pushes": dict(self.pushes),
            "duplicate_texts": repeated(transcripts, "text"),
            "duplicate_parts": repeated(transcripts, "part_key"),
            "waiting_updates": waiting_updates,
        }


def repeated(transcripts: Transcripts, what: str) -> list[dict[str, Any]]:
    """Texts (or part keys) that one transcript holds more than once among the bot's messages."""
    found = []
    for transcript in transcripts.all():
        values = (getattr(bubble, what) for bubble in transcript.outgoing() if bubble.sender == "bot")
        counts = Counter(value for value in values if value)
        found += [
            {"platform": transcript.platform, "key": transcript.key, what: value[:MAX_TEXT_SHOWN], "count": count}
            for value, count in counts.items()
            if count > 1
        ]
    return found
