"""The description of a channel: what launcher, console, database and documentation need to know of it."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.messages import Platform


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """One channel.

    platform: its stored id and the first segment of its routes. title: its name for people. address_key: what its
    routes call the address of a user. receipt_keys: what /send shows of each part.
    """

    platform: Platform
    title: str
    address_key: str
    receipt_keys: tuple[str, ...] = ("id", "state")
