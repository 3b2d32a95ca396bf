"""The properties of a message without which its text still arrives: formatting, buttons, what it replies to, topic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from relay.channels.telegram.spec import is_group
from relay.core.errors import SendError, SendFailure
from relay.core.messages import UserId
from relay.core.parts import Part

_REFUSED: Final = (
    ("entit", ("style",)),
    ("button", ("buttons",)),
    ("keyboard", ("buttons",)),
    ("markup", ("buttons",)),
    ("repl", ("reply_to",)),
    ("thread", ("thread", "reply_to")),
    ("topic", ("thread", "reply_to")),
)
"""A substring of Telegram's refusal in lower case, and the properties to leave out, one at a time.

A reply into a topic that is closed goes to that topic even without its thread.
"""


@dataclass(frozen=True, slots=True)
class MessageForm:
    """style: JSON list of entities. reply_to: id of a message. thread: id of a topic. Each may be None.

    buttons: whether those of the part are below it; None when they were refused.
    """

    style: str | None
    reply_to: int | None
    thread: int | None
    buttons: bool | None = True

    @classmethod
    def of(cls, part: Part) -> MessageForm:
        """The form of a planned part."""
        return cls.of_reply(part.user_id, part.reply_to, part.style, first=part.number == 1)

    @classmethod
    def of_reply(
        cls, chat: UserId, reply_to: str | None, style: str | None = None, *, first: bool = True
    ) -> MessageForm:
        """The form of a message that replies to "message" or "message/thread".

        In a group a reply quotes its question: once within a topic, else with each part, which would otherwise leave
        the comments of a channel's post. In a private chat a reply follows its question anyway.
        """
        message, _, thread = (reply_to or "").partition("/")
        is_quoted = is_group(chat) and message.isdecimal() and (first or not thread)
        return cls(style, int(message) if is_quoted else None, int(thread) if thread.isdecimal() else None)

    def place(self) -> dict[str, Any]:
        """The parameters of a method that sends: topic, and the message replied to."""
        reply = {"message_id": self.reply_to, "allow_sending_without_reply": True}
        return {
            **({"message_thread_id": self.thread} if self.thread else {}),
            **({"reply_parameters": reply} if self.reply_to else {}),
        }

    def without_refused(self, error: SendError) -> tuple[MessageForm, str] | None:
        """The form without the property that Telegram refused, and its name; None when the text itself is refused."""
        if error.kind is not SendFailure.REJECTED or error.code != "400":
            return None
        described = error.message.lower()
        names = next((names for sign, names in _REFUSED if sign in described), ())
        name = next((name for name in names if getattr(self, name) is not None), None)
        return (replace(self, **{name: None}), name) if name else None
