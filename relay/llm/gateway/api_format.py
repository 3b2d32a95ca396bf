"""What a wire format of the front must encode (ollama_api, openai_api), and the HTTP status and hint of each error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from relay.core.errors import NONE_UNUSABLE, ModelError, ModelFailure, UnusableAnswers
from relay.llm.chat import Chunk, Completion, RequestTiming

_RESPONSES = {
    ModelFailure.AUTH: (502, "check the key of this source in .env or config.json; GET / tells when it works"),
    ModelFailure.CREDITS: (402, "add credits to the account, raise llm_monthly_budget_usd, or use a free model"),
    ModelFailure.RATE_LIMIT: (429, "ask again later, or set llm_fallbacks so that another source takes over"),
    ModelFailure.CONTEXT_TOO_LONG: (400, "send a shorter message, or use a model with a larger context"),
    ModelFailure.REFUSED: (403, "the source does not want to answer this; ask differently"),
    ModelFailure.NOT_FOUND: (404, "GET /api/tags lists the models there are"),
    ModelFailure.UNAVAILABLE: (503, "GET / of the LLM server tells how each source is doing"),
    ModelFailure.TIMEOUT: (504, "ask again, or raise llm_first_token_seconds and llm_total_seconds"),
    ModelFailure.IMAGES_UNSUPPORTED: (400, "use a model that takes pictures, or send text"),
    ModelFailure.BAD_REQUEST: (400, "the request is described at /docs of the LLM server"),
    ModelFailure.FORBIDDEN: (
        403,
        "the source refused this question; ask differently, or set llm_fallbacks",
    ),
    ModelFailure.EMPTY: (502, "ask again, or use another model"),
    ModelFailure.UNUSABLE: (502, "ask differently, use another model, or raise max_unusable_answers"),
}
"""HTTP status and hint by kind; AUTH is 502 because our key is wrong, not the caller's."""

MAX_SHOWN_NAME = 100
"""Characters of a model's name that an error repeats: what a stranger asks for may be as long as a URL."""


def status_of(error: ModelError) -> int:
    """The HTTP status of a response that failed with this error."""
    return _RESPONSES[error.kind][0]


def hint_of(error: ModelError) -> str:
    return error.hint or _RESPONSES[error.kind][1]


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
    unusable: UnusableAnswers = NONE_UNUSABLE


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
