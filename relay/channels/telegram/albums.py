"""Albums in groups, of which one picture alone carries the words that address the bot: the others belong to it.

The pictures arrive one by one, as messages within about a second, the caption with any of them. What was not addressed
is kept for a moment, in memory alone: https://core.telegram.org/bots/api#message (media_group_id)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from relay.core.messages import Attachment, InboundMessage, Kind, UserId

KEPT_SECONDS: Final = 2.0
MAX_PICTURES: Final = 10
"""Of an album: https://core.telegram.org/bots/api#sendmediagroup"""


@dataclass(slots=True)
class _Album:
    """One album of a group: what came before it was known to be for the bot. until: when it is forgotten."""

    until: float
    pending: list[Attachment] = field(default_factory=list)
    addressed: bool = False


class GroupAlbums:
    """The latest albums of all groups."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._albums: dict[tuple[UserId, str], _Album] = {}

    def completed(self, message: InboundMessage) -> InboundMessage:
        """The message that addresses the bot with the pictures before it; a later picture as one of its album."""
        name = message.options.get("album")
        if message.sender is None or not name:
            return message
        now = self._monotonic()
        self._albums = {key: album for key, album in self._albums.items() if album.until > now}
        album = self._albums.setdefault((message.user_id, name), _Album(now + KEPT_SECONDS))
        if message.kind in {Kind.TEXT, Kind.MEDIA}:
            before, album.pending, album.addressed = tuple(album.pending), [], True
            return replace(message, attachments=(*before, *message.attachments))
        if album.addressed and message.attachments:
            return replace(message, kind=Kind.MEDIA)
        album.pending = [*album.pending, *message.attachments][:MAX_PICTURES]
        return message
