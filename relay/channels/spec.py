"""The description of a channel for launcher, console, database and documentation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

from relay.config import weekly_times
from relay.config.checks import Finding
from relay.config.settings import Settings, SpendingCaps
from relay.core.broadcast import Audience, Terms
from relay.core.messages import Platform, UserId
from relay.core.parts import PlannedPart
from relay.core.placeholders import with_name

Row = tuple[str, str]
Check = Callable[[Any], Awaitable[list[Finding]]]
Offer = Callable[[Any], Awaitable[Mapping[str, Sequence[str]]]]


@dataclass(frozen=True, slots=True)
class Setup:
    """What the console's set-up asks for: labels by setting, and where these values are found.

    offer: values that the provider has for settings not entered yet; raises SendError. connect: makes the provider send
    what comes in to public_url; raises SendError. None where the provider has nothing of the kind.
    """

    labels: Mapping[str, str]
    help: str
    offer: Offer | None = None
    connect: Check | None = None


def offered_by(module: str) -> Offer:
    """The function `offer` of a module, loaded as by `checks_in`."""

    def offer(settings: Any) -> Awaitable[Mapping[str, Sequence[str]]]:
        found: Awaitable[Mapping[str, Sequence[str]]] = import_module(module).offer(settings)
        return found

    return offer


PlanByHand = Callable[[Any, str], list[PlannedPart]]


def planned_by(module: str) -> PlanByHand:
    """The function `plan_by_hand` of a module, loaded as by `checks_in`."""

    def plan(settings: Any, text: str) -> list[PlannedPart]:
        parts: list[PlannedPart] = import_module(module).plan_by_hand(settings, text)
        return parts

    return plan


def function_in(module: str, function: str) -> Callable[..., Any]:
    """A function of a module, loaded as by `checks_in`."""

    def call(*values: Any) -> Any:
        return getattr(import_module(module), function)(*values)

    return call


def checks_in(module: str, function: str = "check") -> Check:
    """A function of a module, which is loaded when it is called: providers' SDKs are not for the launcher."""

    def check(settings: Any) -> Awaitable[list[Finding]]:
        found: Awaitable[list[Finding]] = getattr(import_module(module), function)(settings)
        return found

    return check


@dataclass(frozen=True, slots=True)
class Push:
    """How a provider is made to push what comes in to public_url, for as long as a tunnel is up.

    path: of the webhook. module: has `addresses(settings)`, which returns what is set now as JSON, `connect(settings)`,
    which sets public_url, and `restore(settings, before)`, which undoes that unless another address was set since; all
    raise SendError. settings: those that decide where the provider is and what it is told. needed: whether it pushes.
    """

    path: str
    module: str
    provider: str
    base_url: Callable[[Any], str]
    settings: tuple[str, ...]
    needed: Callable[[Any], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """One channel. Callables take the settings of all channels, which are instances of `settings` too.

    platform: its stored id, the first segment of its routes and the name of its server in logs and flags.
    title: its name for people. about: one sentence on its server's home page. colour: of its lines in the launcher.
    settings: the common settings with its own. chapter: title and text above them in the documentation.
    missing: names of the settings without which it cannot work.
    address_key: what its routes call the address of a user; address_help describes one, message_help a message.
    module: of its server, which is a program, and port_key the setting with its port. A channel with a `host` has no
    program and no port: the module has `routes` and `open_server`, and the program of the host serves it
    (relay.channels.server).
    addresses: rows of the launcher's table for a real account, most important first.
    check: findings of `--check` about its account, asked of its provider by requests that cost and change nothing.
    setup: what the console's set-up asks for; None: it is configured in the files only.
    push: how its provider reaches its server; None: not by webhooks, or by those of its host.
    plan_by_hand: the parts of an operator's text; raises ValueError when it is blank or too long. quote: what to write
    in such a text so that a person's own words are shown as they are.
    has_replies: whether a message names the one that it replies to.
    reasons: what errors of the provider mean for people, by a part of their text in lower case.
    simulated_as: what plays it in the simulator ("an SMS phone"); empty when nothing does.
    segment_usd: the estimated price of one segment.
    text_usd: the estimated price of one segment to an address. caps: on what is spent for messages.
    broadcast_per_second: how many segments a second a message to many may take. reply_seconds: how long after their
    last message people may be written to; None: without end. group_prefix: how addresses of groups begin, if any.
    time_zones: in which a person with this address may be, as far as it tells.
    max_answer_tokens: the most tokens that the model may answer with; None for no limit.
    receipt_keys: what /send shows of each part. address_type: of an address in the body of /send; topic_key: what it
    calls a topic within a chat, empty when there are none. media_key: likewise the URLs of pictures to send along.
    """

    platform: Platform
    title: str
    about: str
    colour: str
    settings: type[Settings]
    chapter: tuple[str, str]
    missing: Callable[[Any], tuple[str, ...]]
    address_key: str
    address_help: str
    message_help: str
    module: str
    port_key: str | None = None
    host: ChannelSpec | None = None
    addresses: Callable[[Any], list[Row]] = lambda _: []
    check: Check | None = None
    setup: Setup | None = None
    push: Push | None = None
    plan_by_hand: PlanByHand = lambda _, text: [PlannedPart(text, text)]
    quote: Callable[[str], str] = str
    has_replies: bool = False
    simulated_as: str = ""
    receipt_keys: tuple[str, ...] = ("id", "state")
    segment_usd: Callable[[Any], float] = lambda _: 0.0
    text_usd: Callable[[Any, str], float] = lambda _settings, _address: 0.0
    reasons: Sequence[tuple[str, str]] = ()
    caps: Callable[[Any], SpendingCaps] = lambda _: SpendingCaps()
    broadcast_per_second: Callable[[Any], float] = lambda _: 1.0
    reply_seconds: float | None = None
    group_prefix: str = ""
    time_zones: Callable[[str], tuple[ZoneInfo, ...]] = lambda _: ()
    max_answer_tokens: Callable[[Any], int | None] = lambda _: None
    address_type: Any = str
    topic_key: str = ""
    media_key: str = ""

    def url(self, settings: Settings) -> str:
        """Where programs on this machine reach the server that serves this channel."""
        return settings.server_url(self.port(settings))

    def public_url(self, settings: Settings) -> str | None:
        """Where its provider reaches that server: public_url, or this machine when the simulator is the provider."""
        return settings.public_url or (self.url(settings) if settings.simulated else None)

    def audience(self, settings: Settings, wrote_after: float | None = None) -> Audience:
        """Who may get a broadcast."""
        lists = (settings.blocklist, settings.allowlist)
        return Audience(self.platform, wrote_after, self.reply_seconds, self.group_prefix, *lists)

    def broadcast_terms(self, settings: Settings) -> Terms:
        """What broadcasts are sent by."""
        return Terms(
            partial(self.plan_for, settings),
            partial(self.audience, settings),
            self.broadcast_per_second(settings),
            self.caps(settings),
            partial(self.hours_begin, settings),
        )

    def hours_begin(self, settings: Settings, hours: str, user_id: UserId, now: float) -> float:
        """When these hours begin for a person, as Unix time; `now` while they last.

        They count in every zone in which the person may be, or in `timezone` when none is known, or when the hours of
        these zones never meet.
        """
        zones = self.time_zones(user_id)
        begin = weekly_times.opens_everywhere_at(hours, now, zones) if zones else None
        if begin is None:
            begin = weekly_times.opens_everywhere_at(hours, now, (ZoneInfo(settings.timezone),))
        return now if begin is None else begin

    def plan_for(self, settings: Settings, text: str, name: str | None) -> list[PlannedPart]:
        """The parts of a text to many for a person of this name, if any. Raises ValueError."""
        return self.plan_by_hand(settings, with_name(text, self.quote(name) if name else None))

    def reason(self, error: str) -> str:
        """What an error of the provider means; the error itself when that is not known."""
        lower = error.lower()
        return next((meaning for part, meaning in self.reasons if part in lower), error)

    def port(self, settings: Settings) -> int:
        server = self.host or self
        return int(getattr(settings, server.port_key or ""))
