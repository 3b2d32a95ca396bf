"""The verbs by which operators and the periodic steps change the shared database; the message path has its own.

`messaging_database.MessagingDatabase` is one with these. Each verb documents what it has committed on return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from relay.core.broadcast import Audience, Broadcast, HoursBegin, PlanForName, at_any_time
from relay.core.decisions import Decision
from relay.core.messages import REST, Platform, Spending, UserId
from relay.core.parts import PlannedPart
from relay.storage import (
    audit,
    broadcasts,
    by_hand,
    charges,
    failures,
    handover,
    planning,
    repairs,
    search,
)
from relay.storage import users as user_rows
from relay.storage.database import Database
from relay.storage.held import discard
from relay.storage.history import clear_messages
from relay.storage.transactions import Tx


class OperatorsDatabase(Database):
    """What operators do to users, messages, parts and broadcasts. Raises StorageError, like all verbs."""

    takeover_notices = ("", "")
    """Keys of what a user is told when a person takes over, and when the AI answers again; empty: nothing."""

    async def notify_operator(
        self,
        platform: Platform,
        user_id: UserId,
        parts: Sequence[PlannedPart],
        about: tuple[Platform, UserId] | None = None,
    ) -> None:
        """Plan a notice to an operator, who is a user as others are, committed; nothing to one who opted out.

        about: the user whom `find_notice` gives for it.
        """

        def work(tx: Tx) -> None:
            user_rows.touch_user(tx, platform, user_id)
            planning.plan_notice(tx, platform, user_id, parts, about=" ".join(about) if about else None)

        await self._write(work)

    async def find_notice(
        self, platform: Platform, user_id: UserId, provider_id: str
    ) -> tuple[Platform, UserId] | None:
        """The user whom a notice to this operator is about, by the notice's id at the provider; None for others."""
        found = await self.query(lambda c: by_hand.about_whom(c, platform, user_id, provider_id))
        return (Platform(found[0]), UserId(found[1])) if found else None

    async def failures_in_a_row(self, platform: Platform, user_id: UserId, most: int) -> int:
        """How many of a user's last questions could not be answered, at most `most`."""
        return await self.query(lambda c: by_hand.failures_in_a_row(c, platform, user_id, most))

    async def take_over(self, platform: Platform, user_id: UserId, seconds: float, who: str = "") -> bool:
        """Let a person answer a user instead of the AI, committed; False for an unknown user.

        The AI is silent from then on: its planned parts are canceled, and an answer under way is dropped.
        """
        notice = self.takeover_notices[0] if who else ""
        take = partial(handover.take_over, platform=platform, user_id=user_id, seconds=seconds, notice=notice)
        return await self._recorded(take, who, "take over", platform, user_id)

    async def hand_back(self, platform: Platform, user_id: UserId, who: str = "") -> bool:
        """Let the AI answer a user again, committed; False when it did already."""
        give = partial(handover.hand_back, platform=platform, user_id=user_id, notice=self.takeover_notices[1])
        return await self._recorded(give, who, "back to the AI", platform, user_id)

    async def end_takeovers(self, platform: Platform) -> list[UserId]:
        """Let the AI answer users again whose takeover is over by its time, with the notice, committed; these users."""
        return await self._write(lambda tx: handover.end_takeovers(tx, platform, self.takeover_notices[1]))

    async def set_for_person(
        self, platform: Platform, user_id: UserId, changes: Mapping[str, Any], who: str, action: str, detail: str = ""
    ) -> bool:
        """Change what relay.core.person_settings has of a user, committed; False when that changes nothing.

        Each channel obeys it from its next message on. Planned answers to a user who is not answered are canceled.
        """
        change = partial(user_rows.set_for_person, platform=platform, user_id=user_id, changes=changes)
        return await self._recorded(change, who, action, platform, user_id, detail)

    async def _recorded(
        self, act: Callable[[Tx], bool], who: str, action: str, platform: Platform, user_id: UserId, detail: str = ""
    ) -> bool:
        """Run an act of the operator `who` and record it if it changed anything, committed together."""

        def work(tx: Tx) -> bool:
            if done := act(tx):
                audit.record(tx, who, action, platform, user_id, detail)
            return done

        return await self._write(work, urgent=True)

    async def repair(self, act: str, row_id: str, who: str) -> tuple[Platform, UserId | None]:
        """Do one of repairs.REPAIRS about a failure and record it, committed; whom it concerned.

        Raises NotRepaired, without a change, when there is nothing to do.
        """
        return await self._write(lambda tx: repairs.repair(tx, act, row_id, who))

    async def find_failures(self, kind: str, platforms: Sequence[Platform], limit: int, **chosen: Any) -> Any:
        """A page of one of the lists of relay.storage.failures, which has the names of `chosen`."""
        return await self.query(lambda c: failures.find(c, kind, platforms, limit, **chosen))

    async def failure_codes(self, kind: str, platforms: Sequence[Platform]) -> list[str]:
        """The codes among the latest rows of one of these lists, the most frequent first."""
        return await self.query(lambda c: failures.codes(c, kind, platforms))

    async def newest_actions(self, limit: int, before: int | None = None) -> list[dict[str, Any]]:
        """What operators did, the newest first; `before` is the id of an entry to page back from."""
        return await self.query(lambda c: audit.newest(c, limit, before))

    async def record_action(
        self, who: str, action: str, platform: Platform | None, user_id: UserId | None, detail: str = ""
    ) -> None:
        """Record what an operator did outside this database, committed."""
        await self._write(lambda tx: audit.record(tx, who, action, platform, user_id, detail))

    async def clear_history(self, platform: Platform, user_id: UserId) -> int | None:
        """Delete the history of a user and what is held, committed; how many messages, None for an unknown user."""

        def work(tx: Tx) -> int | None:
            discard(tx, platform, user_id)
            known = user_rows.change_user(tx, platform, user_id, Decision(settings={REST: ""}))
            return clear_messages(tx, platform, user_id) if known else None

        return await self._write(work)

    # -- search --------------------------------------------------------------------------------------------------------

    async def index_messages(self, most: int) -> int:
        """Index at most `most` messages that are not in the full-text index yet, committed; how many."""
        if not await self.query(search.has_more_to_index):
            return 0
        return await self._write(lambda tx: search.index_messages(tx, most))

    # -- broadcasts ----------------------------------------------------------------------------------------------------

    async def start_broadcasts(self, form: str, who: str, chosen: Sequence[Mapping[str, Any]]) -> list[int]:
        """Start a broadcast on each channel, as relay.storage.broadcasts.start takes it, committed together; their ids.

        Those that this `form` has started already are left out.
        """

        def work(tx: Tx) -> list[int]:
            started = [broadcasts.start(tx, who, form=form, **one) for one in chosen]
            return [broadcast_id for broadcast_id in started if broadcast_id is not None]

        return await self._write(work)

    async def running_broadcast(self, platform: Platform) -> Broadcast | None:
        """The oldest running broadcast of a channel of which not everybody who is left waits for their hours."""
        return await self.query(lambda c: broadcasts.running(c, platform, self._transactions.now(c)))

    async def plan_broadcast(
        self, broadcast_id: int, audience: Audience, plan: PlanForName, most: int, begin: HoursBegin = at_any_time
    ) -> list[UserId] | None:
        """Plan a broadcast for at most `most` more people whose hours have begun, and record them, committed together.

        These people; None when it does not run, when all who are left wait for their hours, or when no person is left,
        by which it is done.
        """
        return await self._write(lambda tx: broadcasts.plan_next(tx, broadcast_id, audience, plan, most, begin))

    async def stop_broadcast(self, broadcast_id: int, reason: str, who: str = "") -> bool:
        """Stop a running broadcast and cancel what of it is not sent, committed; False when it does not run."""
        return await self._write(lambda tx: broadcasts.stop(tx, broadcast_id, reason, who), urgent=True)

    async def resume_broadcast(self, broadcast_id: int, who: str, *, beyond_caps: bool = False) -> bool:
        """Let a stopped broadcast go on with the people who did not get it, committed; False when it is not stopped."""
        return await self._write(lambda tx: broadcasts.resume(tx, broadcast_id, who, beyond_caps=beyond_caps))

    async def count_due_parts(self, platform: Platform, most: int) -> int:
        """How many parts of a channel could be sent now, at most `most`."""
        return await self.query(lambda c: broadcasts.count_due_parts(c, platform, self._transactions.now(c), most))

    async def record_bill(self, platform: Platform, day: str, billed: Mapping[UserId, float]) -> None:
        """Store what the provider billed for the messages of a day (UTC, as 2026-11-27), by user, committed."""
        await self._write(lambda tx: charges.record_bill(tx, platform, day, billed))
        self._spending_reports.forget()

    async def read_spending(self, platform: Platform, most: int) -> dict[str, Any]:
        """What messages cost today and this month, and the `most` users who cost most today."""
        return await self.query(lambda c: self._spending_reports.read(c, platform, self._clock(), most))

    async def total_spending(self, platform: Platform) -> Spending:
        """What all messages of a channel have cost today and this month, as estimated."""
        return await self.query(lambda c: charges.spending(c, platform, UserId(""), self._clock()))
