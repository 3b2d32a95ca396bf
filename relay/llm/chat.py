"""Value types between the HTTP front and the providers: chat request, chunks of the answer, provider status.

They belong to no wire format; relay.llm.gateway and each provider translate their own protocol to and from them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from relay.core.errors import NONE_UNUSABLE, ModelError, ModelFailure, UnusableAnswers

FinishReason = Literal["stop", "length", "tool_calls"]


class Image(NamedTuple):
    """An image: base64 `data` with its media type, or its `url` (then data is empty)."""

    media_type: str
    data: str
    url: str = ""

    def as_url(self) -> str:
        return self.url or f"data:{self.media_type};base64,{self.data}"


class ToolCall(NamedTuple):
    """A function call requested by the model; arguments are a JSON object, as Ollama sends them."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation sent to a model."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    images: tuple[Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request, independent of the wire format.

    options uses Ollama's names (temperature, num_predict ...). format is "json", or a schema as OpenAI's json_schema
    has it: {"name", "schema", "strict" ...}. Without messages the model is only to be loaded, or unloaded. `user` is
    opaque and stable: slots of a queue are shared fairly between users. name and channel are empty for callers other
    than our channels. language: in which our channels write to the user, "" when unknown. unusable: how many answers to
    the same question were paid for before and could not be used.
    request_id: the caller's id of the request, as it came.
    id: the name under which the client may stop the answer, "" for none.
    """

    messages: tuple[ChatMessage, ...]
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    format: str | Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Any = None
    think: bool | str | None = None
    keep_alive: str | float | None = None
    user: str = ""
    name: str = ""
    channel: str = ""
    language: str = ""
    unusable: int = 0
    request_id: str = ""
    id: str = ""

    @property
    def has_images(self) -> bool:
        return any(message.images for message in self.messages)


class Completion(NamedTuple):
    """How an answer ended and what it used. Counts are 0 and cost_usd is None when the provider omits them.

    generation_id: the provider's own id of the answer, "" where it has none.
    stopped: the client ended it. estimated: the provider has not counted all of it.
    """

    reason: FinishReason = "stop"
    model: str = ""
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost_usd: float | None = None
    load_ns: int = 0
    prompt_ns: int = 0
    answer_ns: int = 0
    generation_id: str = ""
    stopped: bool = False
    estimated: bool = False


class Embeddings(NamedTuple):
    """A vector for each text, in their order. tokens is 0 and cost_usd None when the provider omits them."""

    vectors: Sequence[Sequence[float]]
    model: str = ""
    tokens: int = 0
    cost_usd: float | None = None


class Chunk(NamedTuple):
    """A part of a streamed answer; `thinking` is never sent to a user. used: up to here, where the provider counts."""

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    used: Completion | None = None


StreamEvent: TypeAlias = Chunk | Completion
StreamEvents: TypeAlias = AsyncGenerator[StreamEvent, None]


@dataclass(slots=True)
class RequestTiming:
    """Timing and failed calls of one request in flight. started is perf_counter's; the rest are durations in seconds.

    upstream_seconds: waiting for a provider. waited_seconds: in our queue or between attempts. place returns the
    position in that queue and is None outside of it. stop ends the answer where it is; None while no model writes.
    """

    started: float
    upstream_seconds: float = 0.0
    waited_seconds: float = 0.0
    place: Callable[[], int] | None = None
    first_token_seconds: float | None = None
    unusable: UnusableAnswers = NONE_UNUSABLE
    stop: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model of a provider. context is in tokens; context and supports_vision are None when unknown."""

    name: str
    context: int | None = None
    supports_vision: bool | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """What a provider offers now: its default model and all models.

    free_used and free_limit count today's requests to free models; month_usd is what was billed this month. All three
    are None when the provider does not report them.
    """

    model: str
    models: tuple[ModelFacts, ...]
    free_used: int | None = None
    free_limit: int | None = None
    month_usd: float | None = None


class Provider(ABC):
    """The API of one model provider; its attributes are what the gateway may rely on.

    default_model: the model that the settings name, "" when the provider decides. has_free_quota: requests to its free
    models are limited. auto_models always exist there and choose a model themselves: the fallback when configured
    models were removed. larger_context: the tokens of context that it can be asked for when a conversation does not fit
    into the usual ones; None when it has no such option.
    """

    name: str
    default_model: str = ""
    required_setting: ClassVar[str] = "LLM_SOURCE"
    is_ai: ClassVar[bool] = True
    lists_all_models: ClassVar[bool] = True
    truncates_silently: ClassVar[bool] = False
    has_free_quota: ClassVar[bool] = False
    auto_models: ClassVar[tuple[str, ...]] = ()
    larger_context: int | None = None

    @property
    def refused_fields(self) -> Mapping[str, Collection[str]]:
        """The fields of requests that are left out, by model, because the server refused them."""
        return {}

    def is_free(self, model: str) -> bool:  # noqa: ARG002 (some providers have free and paid models)
        """Whether an answer of this model never costs money."""
        return True

    @abstractmethod
    def answer(self, request: ChatRequest, model: str, timing: RequestTiming) -> StreamEvents:
        """Stream the answer as chunks, then exactly one Completion. Raises ModelError; closing it cancels upstream."""

    async def embed(self, texts: Sequence[str], model: str, options: Mapping[str, Any]) -> Embeddings:  # noqa: ARG002
        """The vectors of texts. options: `dimensions`, `truncate`, where the provider has them. Raises ModelError."""
        raise ProviderError(ModelFailure.NOT_FOUND, f"{self.name} offers no embeddings")

    async def load(self, model: str, keep_alive: str | float | None) -> None:  # noqa: B027 (most have nothing to load)
        """Load a model into memory, or unload it when keep_alive is 0. Raises ModelError."""

    @abstractmethod
    async def fetch_status(self) -> ProviderStatus:
        """List models and quotas with free calls only. Raises ModelError when the provider cannot be used now."""


class ProviderError(ModelError):
    """A provider refused or broke off. fallback_models are its suggestions instead of a removed model.

    billed: the model has answered, although nothing of it could be read. max_tokens: what the account can still pay for
    in one answer, when the provider names it. by_words: the kind was read from a text that may quote the question.
    """

    def __init__(
        self,
        kind: ModelFailure,
        message: str,
        *,
        retry_after: float | None = None,
        fallback_models: tuple[str, ...] = (),
        billed: bool = False,
        max_tokens: int | None = None,
        by_words: bool = False,
    ) -> None:
        super().__init__(kind, message, retry_after=retry_after)
        self.fallback_models = fallback_models
        self.billed = billed
        self.max_tokens = max_tokens
        self.by_words = by_words
