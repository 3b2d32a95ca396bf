"""Access list, rate limits and loop detection for inbound messages, from the data of a sender.

`Guards` applies them in order, before the model is called. None of them drops a message: a refusal is the decision that
takes the place of an answer, with a reply at the first time and always with a reason for the operator.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile

from relay.config.settings import Settings, SpendingCaps
from relay.core.decisions import Decision
from relay.core.messages import (
    HistoryMessage,
    InboundContext,
    InboundMessage,
    Limit,
    Platform,
    Spending,
    Usage,
    User,
    UserState,
)
from relay.core.person_settings import MessageLimits, PersonSettings, limits_of
from relay.core.text import caseless
from relay.texts import ENGLISH
from relay.texts.sentences import localize

log = logging.getLogger("relay.core.guards")

SAME_TEXTS = 5
SAME_TEXT_SECONDS = 600.0
SAME_WORDS = 10
SAME_WORDS_SECONDS = 3600.0
"""How many texts that differ only by their numbers, "Ticket #1007", come from a machine that takes its time."""

MIN_NUMBERED_LETTERS = 20
"""Shorter texts that differ by a number, such as "room 12?" and "5 times 7", are a person's."""

NUMBERED_SECONDS = 5.0
"""No person reads an answer and writes as many letters faster than this."""

FAST_EXCHANGE_SECONDS = 2.0
"""No human reads an answer and writes the next message faster than this, again and again."""


class Guards:
    """The guards of one channel."""

    def __init__(self, platform: Platform, settings: Settings, clock: Callable[[], float]) -> None:
        self._platform = platform
        self._settings = settings
        self._clock = clock

    def refusal(self, message: InboundMessage, decision: Decision, context: InboundContext) -> Decision | None:
        """The decision that replaces an answer: not invited, paused, over a limit, or a machine; None to go on."""
        if decision.reply is None and decision.prompt is None:
            return None
        user, language = context.user, decision.language
        known = user is not None and user.message_count > 0
        invited = not_invited(message.user_id, self._settings, language, known=known, writer=message.writer)
        refusal = barred(user, self._clock()) or invited
        if not decision.from_person:
            pause = paused(user, self._clock(), self._settings.loop_pause_seconds)
            refusal = refusal or pause or self._machine(message, context, language)
        if not decision.from_person or decision.prompt is not None:
            refusal = refusal or self._over(context, language)
        return replace(refusal, state=refusal.state or decision.state, language=language) if refusal else None

    def _over(self, context: InboundContext, language: str) -> Decision | None:
        """The refusal of a sender over a limit or a cap on spending; the cap is logged when the sender gets a reply."""
        refusal = over_limit(context.usage, limits_of(context.user, self._settings), language)
        if refusal or context.spending is None:
            return refusal
        refusal = over_cap(context.spending, context.usage, self._settings.spending_caps, language)
        if refusal and refusal.reply:
            reason = refusal.reason
            log.error("%s: a cap on spending is reached (%s), so questions are not answered", self._platform, reason)
        return refusal

    def _machine(self, message: InboundMessage, context: InboundContext, language: str) -> Decision | None:
        """The decision to pause a sender who looks like a machine; None to go on."""
        loop = looks_like_a_loop(context.recent, message.text, message.received_at, self._settings.loop_turns)
        if loop is None:
            return None
        until = self._clock() + self._settings.loop_pause_seconds
        log.warning("%s looks like a machine (%s): not answered for a while", self._platform, loop)
        notice = localize("looks-like-a-machine", language)
        return Decision(reply=notice, reason=loop, state=UserState.PAUSED, paused_until=until)


def over_limit(usage: Usage, limits: MessageLimits, language: str = ENGLISH) -> Decision | None:
    """A refusal when this message is over a limit; the user is notified once a minute or once a day."""
    if usage.day >= limits.messages_per_day:
        text = localize("over-day", language)
        return Decision(reply=None if usage.notified_day else text, reason=Limit.DAY)
    if usage.minute >= limits.messages_per_minute:
        text = localize("over-minute", language)
        return Decision(reply=None if usage.notified_minute or usage.notified_day else text, reason=Limit.MINUTE)
    return None


def over_cap(spending: Spending, usage: Usage, caps: SpendingCaps, language: str = ENGLISH) -> Decision | None:
    """A refusal when messages have cost as much as they may; the user is notified once a day."""
    if _reached(spending.day, caps.day) or _reached(spending.month, caps.month):
        text = localize("over-spending", language)
        return Decision(reply=None if usage.notified_spending else text, reason=Limit.SPENDING)
    if _reached(spending.user_day, caps.user_day):
        text = localize("over-user-spending", language)
        return Decision(reply=None if usage.notified_spending else text, reason=Limit.USER_SPENDING)
    return None


def _reached(usd: float, cap: float | None) -> bool:
    return cap is not None and usd >= cap


def not_invited(
    user_id: str, settings: Settings, language: str = ENGLISH, *, known: bool, writer: str | None = None
) -> Decision | None:
    """A refusal when the user is on the blocklist or missing on the allowlist; a new user gets one reply.

    In a group, the user, its `writer` may be listed as well; the group's own id covers everyone who writes there.
    """
    ids = {user_id, writer or user_id}
    if ids.intersection(settings.blocklist):
        return Decision(reason="on the blocklist")
    if settings.allowlist and not ids.intersection(settings.allowlist):
        text = localize("private", language)
        return Decision(reply=None if known else text, reason="not on the allowlist")
    return None


def barred(user: User | None, now: float) -> Decision | None:
    """A refusal while the operator does not want this user answered, for good or for a time."""
    chosen = PersonSettings.of(user.settings if user else None)
    if chosen.barred:
        return Decision(reason="blocked by the operator")
    return Decision(reason="paused by the operator") if chosen.is_paused(now) else None


def paused(user: User | None, now: float, longest: float) -> Decision | None:
    """A refusal while this user is paused by the loop detection, at most for `longest` seconds.

    A pause that seems to last longer is from before the clock was set back.
    """
    if user is None or user.state is not UserState.PAUSED:
        return None
    if not 0 < float(user.settings.get("paused_until", 0.0)) - now <= longest:
        return None
    return Decision(reason=f"paused: {user.settings.get('paused')}")


def looks_like_a_loop(
    history: Sequence[HistoryMessage], text: str, received_at: float, max_exchanges: int
) -> str | None:
    """Why this sender seems to be a machine that answers our answers, or None.

    history: the latest messages, oldest first. text, received_at: of the new message. max_exchanges: 0 for never.
    Rate alone does not distinguish a machine from a quick human, so it takes the same text again and again, or a long
    run without a pause to read.
    """
    if max_exchanges == 0:
        return None
    messages = [past for past in history if past.role in {"user", "assistant"}]
    theirs = [past for past in messages if past.role == "user"]
    same = [past for past in theirs[-(SAME_TEXTS - 1) :] if caseless(past.message) == caseless(text)]
    recent = all(abs(received_at - past.timestamp) < SAME_TEXT_SECONDS for past in same)
    if len(same) == SAME_TEXTS - 1 and recent:
        return f"the same text {SAME_TEXTS} times in a row"
    if numbered := _numbered_texts(messages, text, received_at):
        return f"the same text {numbered} times in a row, but for its numbers"
    if _quick_exchanges(messages, received_at) >= max_exchanges:
        return f"{max_exchanges} exchanges, each within {FAST_EXCHANGE_SECONDS:g} s of our answer"
    return None


def _numbered_texts(messages: Sequence[HistoryMessage], text: str, received_at: float) -> int:
    """How many of the latest messages differ only by their numbers; 0 when a person may have written them."""
    words = _without_numbers(text)
    if sum(map(str.isalpha, words)) < MIN_NUMBERED_LETTERS:
        return 0
    theirs = [past for past in messages if past.role == "user" and received_at - past.timestamp < SAME_WORDS_SECONDS]
    same = takewhile(lambda past: _without_numbers(past.message) == words, reversed(theirs))
    count = 1 + sum(1 for _ in same)
    quick = _quick_exchanges(messages, received_at, NUMBERED_SECONDS) + 1  # the first one came behind no answer
    is_machine = min(count, quick) >= SAME_TEXTS or (count >= SAME_WORDS and "?" not in text)
    return count if is_machine else 0


def _without_numbers(text: str) -> str:
    """The text for comparison, without its digits and what stands in one word with them, such as "#1007a"."""
    return " ".join(word for word in caseless(text).split() if not any(map(str.isdigit, word)))


def _quick_exchanges(
    messages: Sequence[HistoryMessage], received_at: float, seconds: float = FAST_EXCHANGE_SECONDS
) -> int:
    """How many of the latest messages, this one included, came within `seconds` behind an answer of ours."""
    moments = [*((past.role, past.timestamp) for past in messages), ("user", received_at)]
    quick = 0
    for (role, moment), (role_before, moment_before) in zip(moments[::-1], moments[-2::-1], strict=False):
        if role != "user":
            continue
        if role_before != "assistant" or not 0 <= moment - moment_before < seconds:
            break
        quick += 1
    return quick
