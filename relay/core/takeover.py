"""When a user is left to a person, what operators are told about it, and the answers that they give by replying.

An operator who replies to a notice writes to the user of that notice: the reply is planned for that user in the
transaction that ends the operator's own message, so it is sent once whatever is killed when.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from relay.config import weekly_times
from relay.config.settings import Settings
from relay.core import person_requests as texts
from relay.core.decisions import REPLIES_TO, Decision, Forward
from relay.core.messages import SILENT_STATES, InboundMessage, Kind, Platform, User, UserId
from relay.core.parts import PlannedPart
from relay.core.periodic import Periodic
from relay.core.prompt import states_no_answer
from relay.core.store import Store
from relay.core.user_language import language_of
from relay.texts.sentences import localize

_HAND_BACK = frozenset(("/back", "/ai"))


@dataclass(frozen=True, slots=True)
class Channels:
    """What a conversation needs of all channels. plan: the parts of a text by hand, on any of them; raises ValueError.

    with_replies: those on which a message names the one that it replies to.
    """

    plan: Callable[[Platform, str], list[PlannedPart]]
    with_replies: frozenset[Platform] = frozenset()


ANY_TEXT = Channels(lambda _, text: [PlannedPart(text, text)])


END_SECONDS = 5.0
"""How often takeovers are ended whose time is over."""


def ending_takeovers(store: Store, platform: Platform, notify: Callable[[UserId], None]) -> Periodic:
    """The task that lets the AI answer again after takeover_hours; `notify`: parts were planned for this user."""

    async def end() -> None:
        for user_id in await store.end_takeovers(platform):
            notify(user_id)

    return Periodic("takeovers", END_SECONDS, end, first_after=END_SECONDS)


class Takeover:
    """Decides for the conversations of one channel. `clock` returns Unix time."""

    def __init__(self, store: Store, settings: Settings, channels: Channels, clock: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._channels = channels
        self._clock = clock

    @property
    def seconds(self) -> float:
        """How long the AI is silent after a takeover."""
        return self._settings.takeover_hours * 3600

    def is_asked_for(self, message: InboundMessage) -> bool:
        """Whether a person is asked for, and there are operators."""
        return bool(self._settings.operators) and texts.asks_for_person(message.text)

    def is_without_answer(self, answer: str) -> bool:
        """Whether the model states that its documents have no answer."""
        return self._settings.takeover_without_answer and states_no_answer(answer)

    def decision(self, decision: Decision) -> Decision:
        """Leave the user to a person; outside business hours reply when operators are back, and the AI goes on."""
        if not self._settings.operators:
            return replace(decision, prompt=None, reply=localize("unknown-answer", decision.language))
        now = datetime.fromtimestamp(self._clock(), ZoneInfo(self._settings.timezone))
        if weekly_times.is_open(self._settings.business_hours, now):
            reply = localize("handed-over", decision.language)
            return replace(decision, prompt=None, reply=reply, left_for_seconds=self.seconds)
        back_at = weekly_times.opens_at(self._settings.business_hours, now)
        reply = texts.away_until(back_at, decision.language)
        return replace(decision, prompt=None, reply=reply)

    async def notify(self, message: InboundMessage, user: User | None) -> None:
        """Plan a notice to every operator about a message that is left to a person, committed."""
        for operator in self._settings.operators:
            name, _, number = operator.partition(":")
            platform, address = Platform(name), UserId(number)
            language = language_of(await self._store.find_user(platform, address), None)
            text = texts.who_waits(message, user, language, can_reply=platform in self._channels.with_replies)
            about = (message.platform, message.user_id)
            await self._store.notify_operator(platform, address, [PlannedPart(text, text)], about)

    async def after_failure(self, message: InboundMessage) -> None:
        """Leave the user to a person when the last questions all failed, and notify the operators, committed."""
        most, platform, user_id = self._settings.takeover_after_failures, message.platform, message.user_id
        if not (most and self._settings.operators):
            return
        if await self._store.failures_in_a_row(platform, user_id, most) >= most:
            await self._store.take_over(platform, user_id, self.seconds)
            await self.notify(message, await self._store.find_user(platform, user_id))

    async def of_operator(
        self, message: InboundMessage, operator: User | None
    ) -> tuple[Decision, Forward | None] | None:
        """The reply of an operator to a notice: what they read, and what is forwarded; None for other messages."""
        replied = message.options.get(REPLIES_TO)
        is_operator = f"{message.platform}:{message.user_id}" in self._settings.operators
        if not (replied and is_operator and message.kind is Kind.TEXT):
            return None
        about = await self._store.find_notice(message.platform, message.user_id, replied)
        if about is None:
            return None
        user = await self._store.find_user(*about)
        name, language = (user.name if user else None) or about[1], language_of(operator, message)
        if message.text.strip().lower() in _HAND_BACK:
            reply = localize("operator-handed-back", language, name=name)
            return Decision(reply=reply, language=language), Forward(*about, (), takeover_seconds=None)
        if user is None or user.state in SILENT_STATES:
            return _not_sent(name, localize("operator-unreachable", language), language), None
        try:
            parts = self._channels.plan(about[0], message.text)
        except ValueError as error:
            return _not_sent(name, str(error), language), None
        reply = localize("operator-sent", language, name=name)
        return Decision(reply=reply, language=language), Forward(*about, tuple(parts), takeover_seconds=self.seconds)


def _not_sent(name: str, why: str, language: str) -> Decision:
    return Decision(reply=localize("operator-not-sent", language, name=name, why=why), language=language)
