"""A small server of the tests' own: the whole relay on a real database, with a provider that is a file.

`python relay_process.py URL OWNER TRANSCRIPT` answers every SMS with its own text. A line of the transcript is a send
that the provider accepted; the list of them decides the outcomes that a killed process left unknown.
"""

from __future__ import annotations

# ruff: noqa: ARG002 (the arguments are the protocols')
import asyncio
import fcntl
import sys
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.config.settings import SpendingCaps
from relay.core.broadcast import Audience, Terms
from relay.core.broadcaster import Broadcaster
from relay.core.conversation import Conversation
from relay.core.decisions import Decision
from relay.core.download import Write
from relay.core.errors import OutcomeUnknown
from relay.core.messages import Answer, Attachment, HistoryMessage, InboundMessage, Platform, User, UserId
from relay.core.metrics import Metrics
from relay.core.outbox import Outbox
from relay.core.parts import Part, PlannedPart, Receipt
from relay.core.progress import Progress
from relay.storage.engine import open_transactions
from relay.texts import ENGLISH
from tests.settings import Settings

LEASE_SECONDS = 1.0
PACE = 0.1
"""Everything waits a tenth of its time, so that a takeover is a matter of seconds."""


BROADCAST_PER_SECOND = 10.0

UNMERGED = Settings(merge_messages=False, messages_per_minute=10_000, loop_turns=0)


class FileChannel:
    platform = SMS
    supports_lookup = True
    lookup_seconds = 0.0
    joins_messages = False
    is_billed = False
    rate_limited = False

    def __init__(self, transcript: Path) -> None:
        self._transcript = transcript

    def decide(self, message: InboundMessage, user: User | None) -> Decision:
        return Decision(prompt=message.text)

    def debounce_seconds(self, message: InboundMessage) -> float:
        return 0.0

    def language(self, user: User | None, message: InboundMessage | None = None) -> str:
        return ENGLISH

    def why_ignored(self, message: InboundMessage, history: Sequence[HistoryMessage]) -> str | None:
        return None

    def continues(self, earlier: InboundMessage, later: InboundMessage) -> bool:
        return False

    def country(self, user_id: UserId) -> None:
        return None

    def follow_seconds(self, message: InboundMessage) -> float:
        return 0.0

    def merge(self, messages: Sequence[InboundMessage]) -> str:
        return "+".join(message.text for message in messages)

    def system_prompt(self, user: User | None) -> str:
        return ""

    def plan(self, markdown: str, language: str = ENGLISH) -> list[PlannedPart]:
        return [PlannedPart(f"{markdown} {half}", f"{markdown} {half}") for half in ("a", "b")]

    @asynccontextmanager
    async def typing(self, message: InboundMessage, language: str = ENGLISH) -> AsyncIterator[None]:
        yield

    async def wait_for_rate_limit(self, part: Part) -> None:
        return

    async def download_attachment(self, attachment: Attachment, write: Write, max_bytes: int) -> None:
        """No message has any."""

    async def probe(self) -> None:
        return

    async def send(self, part: Part) -> Receipt:
        with self._transcript.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the counter: one at a time, and a lookup of a part waits
            if time.time() >= part.lease_until:
                raise OutcomeUnknown("late", "waited at the counter for longer than the lease")
            file.write(f"{part.id} {part.user_id} {part.text}\n")
        await asyncio.sleep(0.004)
        return Receipt(f"P-{part.id}")

    async def lookup(self, part: Part, taken: Collection[str]) -> Receipt | None:
        with self._transcript.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return Receipt(f"P-{part.id}") if part.id in file.read() else None


class Echo:
    async def ask(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        platform: Platform,
        user: str,
        name: str | None,
        language: str = "en",
        unusable: int = 0,
        progress: Progress | None = None,
        model: str = "default",
    ) -> Answer:
        await asyncio.sleep(0.004)
        return Answer(messages[-1]["content"])

    async def is_usable(self) -> bool:
        return True


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds * PACE)


def _begin(hours: str, user_id: UserId, now: float) -> float:
    """The hours of a broadcast here: a Unix time before which nobody with an odd number gets it."""
    return max(now, float(hours)) if hours and int(user_id[-1]) % 2 else now


def _plan(text: str, _name: str | None) -> list[PlannedPart]:
    return [PlannedPart(text, text)]


async def main(url: str, owner: str, transcript: str) -> None:
    database = MessagingDatabase(open_transactions(url, 20), owner=owner, lease_seconds=LEASE_SECONDS)
    await database.start()
    channel, settings, metrics = FileChannel(Path(transcript)), UNMERGED, Metrics()
    outbox = Outbox(database, channel, settings, metrics, sleep=_sleep)
    conversation = Conversation(database, channel, Echo(), settings, metrics, outbox=outbox, sleep=_sleep)
    terms = Terms(_plan, lambda _: Audience(SMS), BROADCAST_PER_SECOND, SpendingCaps(), _begin)
    broadcaster = Broadcaster(database, SMS, terms, outbox, sleep=_sleep)
    await database.release_leases(SMS)
    outbox.workers.start()
    conversation.workers.start()
    broadcaster.periodic().start()
    print("ready", flush=True)  # noqa: T201 (the test waits for it)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
