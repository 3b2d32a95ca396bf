"""What in a group is meant for the bot, besides its commands: its name, a reply to it, keywords, or everything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from relay.core.words import tokens

MENTION: Final = "mention"
REPLY: Final = "reply"
ALWAYS: Final = "always"


@dataclass(frozen=True, slots=True)
class Triggers:
    """Whether mentions, replies, or all messages are answered. keywords: each as the words that make it up."""

    mention: bool = True
    reply: bool = True
    always: bool = False
    keywords: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, names: Iterable[str]) -> Triggers:
        """The triggers of a setting: every name but mention, reply and always is a keyword."""
        given = {name.casefold(): tuple(tokens(name)) for name in names}
        mention, reply, always = (given.pop(name, None) is not None for name in (MENTION, REPLY, ALWAYS))
        return cls(mention, reply, always, tuple(filter(None, given.values())))

    def in_text(self, text: str, *, mentions_bot: bool) -> bool:
        """Whether a text, without mentions of the bot, is for it. Case and accents of keywords do not matter."""
        return self.always or (self.mention and mentions_bot) or self._has_keyword(text)

    def _has_keyword(self, text: str) -> bool:
        if not self.keywords:
            return False
        words = tuple(tokens(text))
        return any(words[at : at + len(keyword)] == keyword for keyword in self.keywords for at in range(len(words)))
