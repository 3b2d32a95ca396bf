"""Who is answered at all, how often, and whether it is a person: pure functions over what is known of a sender.

The conversation asks them before it asks the model. None of them drops a message: a user who is not answered is told
once, and every silence has a reason that the operator sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relay.config.settings import Settings
from relay.core.messages import HistoryMessage, Limit, Usage, User, UserState

SAME_TEXTS = 5
SAME_TEXT_SECONDS = 600.0
FAST_TURN_SECONDS = 2.0
"""A person needs longer than this to read an answer and to write the next message, again and again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Not answered: what to say instead (nothing, when it was said before), and the reason for the operator."""

    reply: str | None
    reason: str


def over_limit(usage: Usage, settings: Settings) -> Verdict | None:
    """Whether this message is one too many; the person is told once a minute or once a day, and never silently lost."""
    if usage.day >= settings.messages_per_day:
        words = "That was a lot of messages for one day! Please write again tomorrow."
        return Verdict(None if usage.told_day else words, Limit.DAY)
    if usage.minute >= settings.messages_per_minute:
        words = "That was a lot of messages at once! Please wait a minute before you write again."
        told = usage.told_minute or usage.told_day
        return Verdict(None if told else words, Limit.MINUTE)
    return None


def not_invited(user_id: str, settings: Settings, *, known: bool) -> Verdict | None:
    """The blocklist and, when there is one, the allowlist; a stranger is told once that this is a private line."""
    if user_id in settings.blocklist:
        return Verdict(None, "on the blocklist")
    if settings.allowlist and user_id not in settings.allowlist:
        words = "This is a private line, so I cannot answer. Please ask its owner to add you."
        return Verdict(None if known else words, "not on the allowlist")
    return None


def is_paused(user: User | None, now: float) -> Verdict | None:
    """Whether this person is not answered for a while, because they looked like a machine."""
    if user is None or user.state is not UserState.PAUSED or now >= float(user.settings.get("paused_until", 0.0)):
        return None
    return Verdict(None, f"paused: {user.settings.get('paused', 'by the operator')}")


def looks_like_a_loop(history: Sequence[HistoryMessage], text: str, received_at: float, most_turns: int) -> str | None:
    """Why this sender seems to be a machine that answers our answers, or None.

    history: the latest lines, oldest first; text and received_at: the message that came now; most_turns: as set, 0 for
    never. Rate alone cannot tell a machine from a quick person, so it takes the same text again and again, or a long
    run without a pause to read.
    """
    if most_turns == 0:
        return None
    lines = [line for line in history if line.role in {"user", "assistant"}]
    theirs = [line for line in lines if line.role == "user"]
    same = [line for line in theirs[-(SAME_TEXTS - 1) :] if _plain(line.message) == _plain(text)]
    recent = all(received_at - line.timestamp < SAME_TEXT_SECONDS for line in same)
    if len(same) == SAME_TEXTS - 1 and recent:
        return f"the same text {SAME_TEXTS} times in a row"
    if _quick_turns(lines, received_at) >= most_turns:
        return f"{most_turns} turns, each within {FAST_TURN_SECONDS:g} s of our answer"
    return None


def _quick_turns(lines: Sequence[HistoryMessage], received_at: float) -> int:
    """How many of the latest messages, this one included, came right behind an answer of ours."""
    moments = [*((line.role, line.timestamp) for line in lines), ("user", received_at)]
    quick = 0
    for (role, moment), (role_before, moment_before) in zip(moments[::-1], moments[-2::-1], strict=False):
        if role != "user":
            continue
        if role_before != "assistant" or not 0 <= moment - moment_before < FAST_TURN_SECONDS:
            break
        quick += 1
    return quick


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
