"""The table of crash points: the steps of a message at which a server ends, and the allowed consequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Ingress(StrEnum):
    """How messages arrive: by one of the two channels, for Telegram in one of its two modes."""

    SMS = "sms"
    POLLING = "polling"
    WEBHOOK = "webhook"


class Termination(StrEnum):
    """How a server ends at a crash point."""

    KILL = "kill"  # kill -9, at once
    TERM = "term"  # SIGTERM; the step goes on a moment later, while the server stops
    HANG = "hang"  # SIGTERM; the step never goes on, so the server has to cut it off


class OutsideFault(StrEnum):
    """A fault outside the server, without which the crash point is not reached."""

    NONE = ""
    MODEL = "the model fails once"
    CUT = "the first send is cut off before the provider accepts it"
    BUSY = "the first send is refused with 429"


MODEL = "model"
"""No verb of a service: the server dies while the model works, by a signal from outside."""

ARRIVAL = ("store_inbound", "store_batch", "claim_next_inbound", "load_context")
BOTH = (Ingress.SMS, Ingress.POLLING)
ALL = (Ingress.SMS, Ingress.POLLING, Ingress.WEBHOOK)


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """Before or after the nth call of a verb.

    `repeats`: how many bubbles may come twice where the provider keeps no list (Telegram): the outcome of a send is
    unknown, because the point lies around it, or because the answer before is on its way at this moment.
    `gives_up`: there, two outcomes in a row are unknown, so the rest of this answer is given up in plain sight.
    `quick` holds the ends that every run of the tests tries, by ingress.
    """

    when: str
    verb: str
    ingresses: tuple[Ingress, ...] = BOTH
    nth: int = 1
    fault: OutsideFault = OutsideFault.NONE
    repeats: int = 0
    gives_up: bool = False
    quick: tuple[tuple[Ingress, Termination], ...] = ()

    @property
    def is_arrival(self) -> bool:
        """Whether the point lies before the model; else the model has the first message before the others come."""
        return self.verb in ARRIVAL

    @property
    def name(self) -> str:
        return f"{self.when} {self.verb}" + (f" no. {self.nth}" if self.nth > 1 else "")


SMS, POLLING, WEBHOOK = Ingress.SMS, Ingress.POLLING, Ingress.WEBHOOK
KILL, TERM, HANG = Termination.KILL, Termination.TERM, Termination.HANG

TABLE = (
    # the message comes in
    CrashPoint("before", "store_inbound", (SMS, WEBHOOK), quick=((SMS, KILL), (WEBHOOK, KILL))),
    CrashPoint("after", "store_inbound", (SMS, WEBHOOK), quick=((SMS, KILL), (WEBHOOK, TERM))),
    CrashPoint("before", "store_inbound", (SMS, WEBHOOK), nth=2, repeats=1),
    CrashPoint("after", "store_inbound", (SMS, WEBHOOK), nth=2, repeats=1),
    CrashPoint("before", "store_batch", (POLLING,), quick=((POLLING, KILL),)),
    CrashPoint("after", "store_batch", (POLLING,), quick=((POLLING, KILL),)),
    # it is answered
    CrashPoint("before", "claim_next_inbound"),
    CrashPoint("after", "claim_next_inbound", quick=((SMS, KILL), (POLLING, HANG))),
    CrashPoint("before", "load_context"),
    CrashPoint("during", MODEL, ALL, quick=((SMS, TERM), (POLLING, KILL))),
    CrashPoint("before", "complete_inbound"),
    CrashPoint("after", "complete_inbound", quick=((SMS, KILL),)),
    CrashPoint("before", "complete_inbound", nth=2, repeats=1),
    CrashPoint("after", "complete_inbound", nth=2, repeats=1),
    CrashPoint("before", "postpone_inbound", fault=OutsideFault.MODEL),
    CrashPoint("after", "postpone_inbound", fault=OutsideFault.MODEL),
    # the answer goes out
    CrashPoint("before", "claim_next_part"),
    CrashPoint("after", "claim_next_part"),
    CrashPoint(
        "after",
        "wait_for_rate_limit",
        (Ingress.POLLING,),
        quick=((Ingress.POLLING, Termination.KILL), (Ingress.POLLING, Termination.HANG)),
    ),
    CrashPoint("before", "begin_send", (Ingress.POLLING,)),
    CrashPoint("after", "begin_send", (Ingress.POLLING,), repeats=1),
    CrashPoint("before", "send", repeats=1),
    CrashPoint("after", "send", repeats=1, quick=((SMS, KILL), (POLLING, KILL))),
    CrashPoint("after", "send", nth=2, repeats=1),
    CrashPoint("before", "record_accepted", repeats=1, quick=((SMS, HANG),)),
    CrashPoint("after", "record_accepted"),
    CrashPoint("after", "record_accepted", nth=2),
    CrashPoint("before", "record_retry", fault=OutsideFault.BUSY, repeats=1),
    CrashPoint("after", "record_retry", fault=OutsideFault.BUSY),
    CrashPoint("before", "record_unknown", fault=OutsideFault.CUT, repeats=1),
    CrashPoint("after", "record_unknown", fault=OutsideFault.CUT, repeats=1),
    CrashPoint("before", "lookup", (SMS,), fault=OutsideFault.CUT),
    CrashPoint("after", "lookup", (SMS,), fault=OutsideFault.CUT),
    CrashPoint("before", "begin_send", (SMS,), fault=OutsideFault.CUT, repeats=1),
    CrashPoint("after", "begin_send", (SMS,), fault=OutsideFault.CUT, quick=((SMS, KILL),)),
    CrashPoint("before", "begin_send", (POLLING,), nth=2, fault=OutsideFault.CUT, repeats=1),
    CrashPoint(
        "after", "begin_send", (POLLING,), nth=2, fault=OutsideFault.CUT, gives_up=True, quick=((POLLING, KILL),)
    ),
    # the provider reports
    CrashPoint("before", "record_delivery", (SMS,), quick=((SMS, KILL),)),
    CrashPoint("after", "record_delivery", (SMS,)),
)


@dataclass(frozen=True, slots=True)
class CrashCase:
    """One point on one way with one end."""

    ingress: Ingress
    point: CrashPoint
    end: Termination

    @property
    def name(self) -> str:
        return f"{self.ingress} {self.end} {self.point.name}".replace(" ", "-")

    @property
    def repeats(self) -> int:
        if self.ingress is Ingress.SMS:
            return 0
        return self.point.repeats if self.end is Termination.KILL else 1  # a stop may cut off a send that is under way

    @property
    def gives_up(self) -> bool:
        return self.point.gives_up and self.ingress is not Ingress.SMS and self.end is not Termination.TERM


def cases(*, whole: bool) -> Iterator[CrashCase]:
    """The table as test cases, one way after the other, because a way's server goes on from case to case."""
    for ingress in Ingress:
        for point in TABLE:
            for end in Termination if ingress in point.ingresses else ():
                if whole or (ingress, end) in point.quick:
                    yield CrashCase(ingress, point, end)
