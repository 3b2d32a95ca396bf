"""What a wire format of the front must encode (ollama_api, openai_api), and the HTTP status and hint of each error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import Chunk, Completion, RequestTiming

STATUS = {
    ModelFailure.AUTH: 502,  # our key, not the caller's, is wrong
    ModelFailure.CREDITS: 402,
    ModelFailure.RATE_LIMIT: 429,
    ModelFailure.CONTEXT_TOO_LONG: 400,
    ModelFailure.REFUSED: 403,
    ModelFailure.NOT_FOUND: 404,
    ModelFailure.UNAVAILABLE: 503,
    ModelFailure.TIMEOUT: 504,
    ModelFailure.IMAGES_UNSUPPORTED: 400,
    ModelFailure.BAD_REQUEST: 400,
}

HINTS = {
    ModelFailure.AUTH: "check the key of this source in .env or config.json; GET / tells when it works",
    ModelFailure.CREDITS: "add credits to the account, raise llm_monthly_budget_usd, or use a free model",
    ModelFailure.RATE_LIMIT: "ask again later, or set llm_fallbacks so that another source takes over",
    ModelFailure.CONTEXT_TOO_LONG: "send a shorter message, or use a model with a larger context",
    ModelFailure.REFUSED: "the source does not want to answer this; ask differently",
    ModelFailure.NOT_FOUND: "GET /api/tags lists the models there are",
    ModelFailure.UNAVAILABLE: "GET / of the LLM server tells how each source is doing",
    ModelFailure.TIMEOUT: "ask again, or raise llm_first_token_seconds and llm_total_seconds",
    ModelFailure.IMAGES_UNSUPPORTED: "use a model that takes pictures, or send text",
    ModelFailure.BAD_REQUEST: "the request is described at /docs of the LLM server",
}


class HintedError(ModelError):
    """A ModelError with its own hint instead of the one of its kind."""

    def __init__(self, kind: ModelFailure, message: str, hint: str, *, retry_after: float | None = None) -> None:
        super().__init__(kind, message, retry_after=retry_after)
        self.hint = hint


def hint_of(error: ModelError) -> str:
    return error.hint if isinstance(error, HintedError) else HINTS[error.kind]


@dataclass(frozen=True, slots=True)
class AnswerSummary:
    """What an answer cost and how long it took; cost_usd is None when unknown."""

    completion: Completion
    provider: str
    model: str
    cost_usd: float | None
    degraded: bool
    first_token_seconds: float
    total_seconds: float


class ApiFormat(Protocol):
    """Encodes one answer in one wire format; an instance serves one request.

    A stream is chunks and keep-alives, closed by `end` or `error_chunk`. Without streaming the body is `full_response`,
    or `refusal` for an error.
    """

    media_type: str

    def chunk(self, chunk: Chunk) -> bytes: ...
    def keepalive(self, timing: RequestTiming) -> bytes: ...
    def end(self, summary: AnswerSummary) -> bytes: ...
    def error_chunk(self, error: ModelError) -> bytes: ...
    def full_response(self, chunk: Chunk, summary: AnswerSummary) -> dict[str, Any]: ...
    def refusal(self, error: ModelError) -> dict[str, Any]: ...
