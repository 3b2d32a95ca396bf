"""The values between the wire and the sources: a question, the pieces of its answer, its end, what a source offers.

They belong to no dialect; the front (relay.llm.gateway) and each source translate their own protocol to and from them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from relay.core.errors import ModelError, ModelFailure

FinishReason = Literal["stop", "length", "tool_calls"]


class Image(NamedTuple):
    """A picture: base64 `data` with its media type, or the `url` of one (then data is empty)."""

    media_type: str
    data: str
    url: str = ""

    def as_url(self) -> str:
        return self.url or f"data:{self.media_type};base64,{self.data}"


class ToolCall(NamedTuple):
    """A function that the model wants called; arguments are an object, as Ollama sends them."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of the conversation that is put to a model."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    images: tuple[Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """Everything that a caller asks for, in no dialect.

    options has Ollama's names (temperature, num_predict ...). `person` is opaque and stable: turns in the queue are
    dealt out between persons. name and channel are empty for callers that are not ours.
    """

    messages: tuple[ChatMessage, ...]
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    format: str | Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Any = None
    think: bool | str | None = None
    keep_alive: str | float | None = None
    person: str = ""
    name: str = ""
    channel: str = ""

    @property
    def has_images(self) -> bool:
        return any(message.images for message in self.messages)


class Chunk(NamedTuple):
    """What one read brought of an answer; `thinking` never reaches a person."""

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class Completion(NamedTuple):
    """The end of an answer. Counts are 0 and cost_usd is None when the source does not tell."""

    reason: FinishReason = "stop"
    model: str = ""
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost_usd: float | None = None
    load_ns: int = 0
    prompt_ns: int = 0
    answer_ns: int = 0


StreamEvent: TypeAlias = Chunk | Completion


@dataclass(slots=True)
class RequestTiming:
    """What is known about one question while it is on its way; times are perf_counter's.

    upstream_seconds is spent waiting for a source, waited_seconds in our own queue or between attempts; place tells the
    place in that queue, as long as there is one.
    """

    started: float
    upstream_seconds: float = 0.0
    waited_seconds: float = 0.0
    place: Callable[[], int] | None = None
    first_token_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model that a source offers. context is in tokens; sees says whether it takes pictures; None: unknown."""

    name: str
    context: int | None = None
    supports_vision: bool | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """What a source offers now, found out without using a token: the model it answers with by default, and all others.

    free_used and free_limit are today's requests to free models, where the source counts them; month_usd is what it
    billed this month.
    """

    model: str
    models: tuple[ModelFacts, ...]
    free_used: int | None = None
    free_limit: int | None = None
    month_usd: float | None = None


class Provider(Protocol):
    """One place where answers come from."""

    name: str

    def answer(self, request: ChatRequest, model: str, timing: RequestTiming) -> AsyncGenerator[StreamEvent, None]:
        """The answer piece by piece, then exactly one Completion. Raises ModelError; closing it stops the work upstream."""
        ...

    async def fetch_status(self) -> ProviderStatus:
        """What is offered, by free calls only. Raises ModelError when the source cannot be used now."""
        ...


class ProviderError(ModelError):
    """A source refused or broke off. fallback_models are the names it offered instead of a model that is gone."""

    def __init__(
        self,
        kind: ModelFailure,
        message: str,
        *,
        retry_after: float | None = None,
        fallback_models: tuple[str, ...] = (),
    ) -> None:
        super().__init__(kind, message, retry_after=retry_after)
        self.fallback_models = fallback_models
