"""The table of crash windows: at which step of the way of a message a server dies, and what may come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Way(StrEnum):
    """How messages come in: the two channels, and Telegram's two modes."""

    SMS = "sms"
    POLLING = "polling"
    WEBHOOK = "webhook"


class End(StrEnum):
    """How a server ends at its window."""

    KILL = "kill"  # kill -9, at once
    TERM = "term"  # SIGTERM; the step goes on a moment later, while the server stops
    HANG = "hang"  # SIGTERM; the step never goes on, so the server has to cut it off


class Trouble(StrEnum):
    """What goes wrong outside, so that the way of the message leads through the window."""

    NONE = ""
    MODEL = "the model fails once"
    CUT = "the first send is cut off before the provider took it"
    BUSY = "the first send is refused with 429"


MODEL = "model"
"""No verb of a room: the server dies while the model works, by a signal from outside."""

ARRIVAL = ("store_inbound", "store_batch", "claim_next_inbound", "load_context")
BOTH = (Way.SMS, Way.POLLING)
ALL = (Way.SMS, Way.POLLING, Way.WEBHOOK)


@dataclass(frozen=True, slots=True)
class Window:
    """Before or after the nth call of a verb.

    `repeats`: how many bubbles may come twice where the provider keeps no list (Telegram): the outcome of a send is
    unknown, because the window lies around it, or because the answer before is on its way at this moment.
    `gives_up`: there, two outcomes in a row are unknown, so the rest of this answer is given up in plain sight.
    `quick` holds the ends that every run of the tests tries, by way.
    """

    when: str
    verb: str
    ways: tuple[Way, ...] = BOTH
    nth: int = 1
    trouble: Trouble = Trouble.NONE
    repeats: int = 0
    gives_up: bool = False
    quick: tuple[tuple[Way, End], ...] = ()

    @property
    def is_arrival(self) -> bool:
        """Whether the window lies before the model; else the model has the first message before the others come."""
        return self.verb in ARRIVAL

    @property
    def name(self) -> str:
        return f"{self.when} {self.verb}" + (f" no. {self.nth}" if self.nth > 1 else "")


SMS, POLLING, WEBHOOK = Way.SMS, Way.POLLING, Way.WEBHOOK
KILL, TERM, HANG = End.KILL, End.TERM, End.HANG

TABLE = (
    # the message comes in
    Window("before", "store_inbound", (SMS, WEBHOOK), quick=((SMS, KILL), (WEBHOOK, KILL))),
    Window("after", "store_inbound", (SMS, WEBHOOK), quick=((SMS, KILL), (WEBHOOK, TERM))),
    Window("before", "store_inbound", (SMS, WEBHOOK), nth=2, repeats=1),
    Window("after", "store_inbound", (SMS, WEBHOOK), nth=2, repeats=1),
    Window("before", "store_batch", (POLLING,), quick=((POLLING, KILL),)),
    Window("after", "store_batch", (POLLING,), quick=((POLLING, KILL),)),
    # it is answered
    Window("before", "claim_next_inbound"),
    Window("after", "claim_next_inbound", quick=((SMS, KILL), (POLLING, HANG))),
    Window("before", "load_context"),
    Window("during", MODEL, ALL, quick=((SMS, TERM), (POLLING, KILL))),
    Window("before", "complete_inbound"),
    Window("after", "complete_inbound", quick=((SMS, KILL),)),
    Window("before", "complete_inbound", nth=2, repeats=1),
    Window("after", "complete_inbound", nth=2, repeats=1),
    Window("before", "postpone_inbound", trouble=Trouble.MODEL),
    Window("after", "postpone_inbound", trouble=Trouble.MODEL),
    # the answer goes out
    Window("before", "claim_next_part"),
    Window("after", "claim_next_part"),
    Window("after", "wait_for_rate_limit", (Way.POLLING,), quick=((Way.POLLING, End.KILL), (Way.POLLING, End.HANG))),
    Window("before", "begin_send", (Way.POLLING,)),
    Window("after", "begin_send", (Way.POLLING,), repeats=1),
    Window("before", "send", repeats=1),
    Window("after", "send", repeats=1, quick=((SMS, KILL), (POLLING, KILL))),
    Window("after", "send", nth=2, repeats=1),
    Window("before", "record_accepted", repeats=1, quick=((SMS, HANG),)),
    Window("after", "record_accepted"),
    Window("after", "record_accepted", nth=2),
    Window("before", "record_retry", trouble=Trouble.BUSY, repeats=1),
    Window("after", "record_retry", trouble=Trouble.BUSY),
    Window("before", "record_unknown", trouble=Trouble.CUT, repeats=1),
    Window("after", "record_unknown", trouble=Trouble.CUT, repeats=1),
    Window("before", "lookup", (SMS,), trouble=Trouble.CUT),
    Window("after", "lookup", (SMS,), trouble=Trouble.CUT),
    Window("before", "begin_send", (SMS,), trouble=Trouble.CUT, repeats=1),
    Window("after", "begin_send", (SMS,), trouble=Trouble.CUT, quick=((SMS, KILL),)),
    Window("before", "begin_send", (POLLING,), nth=2, trouble=Trouble.CUT, repeats=1),
    Window("after", "begin_send", (POLLING,), nth=2, trouble=Trouble.CUT, gives_up=True, quick=((POLLING, KILL),)),
    # the provider reports
    Window("before", "record_delivery", (SMS,), quick=((SMS, KILL),)),
    Window("after", "record_delivery", (SMS,)),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One window on one way with one end."""

    way: Way
    window: Window
    end: End

    @property
    def name(self) -> str:
        return f"{self.way} {self.end} {self.window.name}".replace(" ", "-")

    @property
    def repeats(self) -> int:
        if self.way is Way.SMS:
            return 0
        return self.window.repeats if self.end is End.KILL else 1  # a stop may cut off a send that is under way

    @property
    def gives_up(self) -> bool:
        return self.window.gives_up and self.way is not Way.SMS and self.end is not End.TERM


def cases(*, whole: bool) -> Iterator[Case]:
    """The table as test cases, one way after the other, because a way's server goes on from case to case."""
    for way in Way:
        for window in TABLE:
            for end in End if way in window.ways else ():
                if whole or (way, end) in window.quick:
                    yield Case(way, window, end)
