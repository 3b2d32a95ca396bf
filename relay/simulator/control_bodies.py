"""Request bodies of the control API, with their limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from relay.simulator.faults import Effect, Target, When


def _encodable(text: str) -> str:
    """Refuse lone surrogates: no phone can send them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("this text holds half a character") from None
    return text


ChatId = Annotated[int, Field(ge=-(10**15), le=10**15)]
Seconds = Annotated[float, Field(ge=0, le=600)]
UnicodeText = Annotated[str, AfterValidator(_encodable)]
Kind = Literal["text", "photo", "sticker", "voice", "video", "document", "location", "contact", "channel_post"]
_FLAGS = ("photo", "sticker", "voice", "video", "document", "location", "contact")


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
    body: UnicodeText = ""
    media: list[str] = Field(default_factory=list, max_length=10)
    sid: str | None = Field(None, min_length=1, max_length=64)
    unsigned: bool = False
    opt_out_type: Literal["STOP", "START", "HELP"] | None = None


class TelegramText(RequestBody):
    chat_id: ChatId
    text: UnicodeText = ""
    caption: UnicodeText = ""
    kind: Kind = "text"
    sender: ChatId | None = Field(None, alias="from")
    edit_of: int | None = None
    reply_to: int | None = None
    thread: int | None = None
    entities: list[dict[str, Any]] | None = None
    photo: Any = None
    sticker: Any = None
    voice: Any = None
    video: Any = None
    document: Any = None
    location: Any = None
    contact: Any = None

    @property
    def effective_kind(self) -> str:
        """The kind, given by name or as a field of its own."""
        return next((flag for flag in _FLAGS if getattr(self, flag)), self.kind)

    @property
    def text_or_caption(self) -> str:
        return self.text or self.caption


class ChatOnly(RequestBody):
    chat_id: ChatId


class ButtonPress(RequestBody):
    chat_id: ChatId
    message_id: int
    data: str


class NewFault(RequestBody):
    target: Target
    effect: Effect
    method: str = Field("*", min_length=1, max_length=64)
    when: When = "before"
    status: int = Field(429, ge=400, le=599)
    code: int | None = Field(None, ge=10_000, le=99_999)
    retry_after: int | None = Field(None, ge=0, le=3600)
    seconds: Seconds = 2.0
    count: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    chance: float = Field(1.0, ge=0, le=1)
    contains: str | None = None


class OptionChanges(RequestBody):
    twilio_webhook_url: str | None = Field(None, pattern=r"^https?://")
    status_seconds: Seconds | None = None
    telegram_limits: bool | None = None
    telegram_retry_seconds: Annotated[float, Field(gt=0, le=60)] | None = None
    twilio_read_seconds: Annotated[float, Field(gt=0, le=15)] | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> OptionChanges:
        if not self.model_dump(exclude_none=True):
            raise ValueError("name at least one option; GET /sim/options shows them")
        return self


class Reset(RequestBody):
    seed: int | None = None
