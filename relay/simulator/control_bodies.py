"""Request bodies of the control API, with their limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _encodable(text: str) -> str:
    """Refuse lone surrogates: no phone can send them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("this text holds half a character") from None
    return text


ChatId = Annotated[int, Field(ge=-(10**15), le=10**15)]
UnicodeText = Annotated[str, AfterValidator(_encodable)]
Kind = Literal[
    "text",
    "photo",
    "sticker",
    "voice",
    "audio",
    "video",
    "video_note",
    "document",
    "location",
    "contact",
    "channel_post",
]


class RequestBody(BaseModel):
    """Refuses unknown fields, so that a mistyped one is reported."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NewPerson(RequestBody):
    name: str = Field(min_length=1, max_length=64)
    phone_number: str | None = None
    chat_id: Annotated[int, Field(ge=1, le=10**15)] | None = None
    username: str | None = Field(None, max_length=32)
    language: str = Field("en", min_length=2, max_length=16)


class NewGroup(RequestBody):
    title: str = Field(min_length=1, max_length=128)
    chat_id: Annotated[int, Field(ge=-(10**15), le=-1)] | None = None
    members: list[int] = Field(default_factory=list)


class SmsText(RequestBody):
    sender: str = Field(alias="from", min_length=1)
    channel: Literal["sms", "whatsapp"] = "sms"
    body: UnicodeText = ""
    media: list[str] = Field(default_factory=list, max_length=10)
    files: list[str] = Field(default_factory=list, max_length=10)
    sid: str | None = Field(None, min_length=1, max_length=64)
    unsigned: bool = False
    opt_out_type: Literal["STOP", "START", "HELP"] | None = None


class TelegramText(RequestBody):
    """A message of a person; `"photo": true` is the same as `"kind": "photo"`, and so for the other kinds.

    file: the id of an uploaded file that goes along. album: an id that the pictures of one album share.
    """

    chat_id: ChatId
    text: UnicodeText = ""
    caption: UnicodeText = ""
    kind: Kind = "text"
    file: str | None = None
    album: str | None = Field(None, min_length=1, max_length=64)
    sender: ChatId | None = Field(None, alias="from")
    edit_of: int | None = None
    reply_to: int | None = None
    thread: int | None = None
    entities: list[dict[str, Any]] | None = None

    @model_validator(mode="before")
    @classmethod
    def _kind_as_flag(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        flags = set(get_args(Kind)).intersection(given) - {"text"}
        rest = {name: value for name, value in given.items() if name not in flags}
        return next(({**rest, "kind": flag} for flag in sorted(flags) if given[flag]), rest)


class ChatOnly(RequestBody):
    chat_id: ChatId


class ButtonPress(ChatOnly):
    message_id: int
    data: str
    sender: ChatId | None = Field(None, alias="from")


class InlineText(ChatOnly):
    text: UnicodeText


class GuestText(InlineText):
    sender: ChatId = Field(alias="from")


class Reset(RequestBody):
    seed: int | None = None
