"""The steps of one message in the order of time, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from relay.console.pages import money

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoryStep:
    """at: in RFC 3339; tone: a class of the chips; id: the id that the provider, or the relay, knows it by."""

    at: str
    what: str
    detail: str = ""
    id: str = ""
    tone: str = "calm"


def story(trace: Row) -> list[StoryStep]:
    """The steps of a trace, oldest first."""
    steps = [
        *_arrival(trace["message"]),
        *(step for line in trace["lines"] for step in _line(line)),
        *(step for part in trace["parts"] for step in _part(part)),
        *map(_event, trace["events"]),
    ]
    return sorted(steps, key=attrgetter("at"))  # stable: what happened at the same time stays in order


def _arrival(message: Row | None) -> Iterator[StoryStep]:
    if message is None:
        return
    yield StoryStep(message["received_at"], "arrived", message["text"] or message["raw"] or "", message["external_id"])
    if message["noticed_at"]:
        yield StoryStep(message["noticed_at"], "told to wait", "the model could not answer yet", tone="warn")
    if message["finished_at"]:
        why = ": ".join(filter(None, (message["outcome"], message["reason"], message["error"])))
        tone = "bad" if message["state"] == "dead" else "good"
        tries = f"{message['failures']} failed tries; " if message["failures"] else ""
        yield StoryStep(message["finished_at"], message["state"], tries + why, tone=tone)


def _line(line: Row) -> Iterator[StoryStep]:
    if line["role"] == "user" or not (line["model"] or line["source"]):
        return
    facts = [
        line["model"] or line["source"],
        f"{line['prompt_tokens']:,} tokens asked" if line["prompt_tokens"] else "",
        f"{line['answer_tokens']:,} answered" if line["answer_tokens"] else "",
        f"first word after {line['first_token_seconds']:.2f} s" if line["first_token_seconds"] is not None else "",
        f"whole after {line['total_seconds']:.2f} s" if line["total_seconds"] is not None else "",
        money(line["cost_usd"]) if line["cost_usd"] else "",
    ]
    yield StoryStep(
        line["timestamp"], "answered by the model", ", ".join(filter(None, facts)), line["generation_id"] or "", "wait"
    )


def _part(part: Row) -> Iterator[StoryStep]:
    name = f"part {part['number']}/{part['count']}"
    yield StoryStep(part["created_at"], f"{name} planned", part["text"], part["id"])
    if part["attempted_at"]:
        again = f", attempt {part['attempts']}" if part["attempts"] > 1 else ""
        yield StoryStep(part["attempted_at"], f"{name} given to the provider{again}", tone="wait")
    if part["accepted_at"]:
        detail = f"{part['segments']} segments" if part["segments"] > 1 else ""
        yield StoryStep(part["accepted_at"], f"{name} accepted", detail, part["provider_id"] or "", "good")
    elif part["error"] or part["error_code"]:
        why = " ".join(filter(None, (part["error_code"], part["error"])))
        yield StoryStep(part["updated_at"], f"{name} {part['state']}", why, tone="bad")


def _event(event: Row) -> StoryStep:
    why = " ".join(filter(None, (event["error_code"], event["error"])))
    tone = "bad" if event["state"] in {"failed", "undelivered"} else "good"
    late = "" if event["applied"] else " (changed nothing: it came late or twice)"
    return StoryStep(event["received_at"], f"provider reports {event['state']}", why + late, event["provider_id"], tone)
