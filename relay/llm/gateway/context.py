"""Fits a conversation into a model's context: system prompt and last message stay, the oldest exchanges are dropped.

Token counts are overestimated: no provider counts them in advance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import ChatMessage, ChatRequest

_BYTES_A_TOKEN = 3
_SPARSEST_BYTES_A_TOKEN = 6
_TOKENS_A_MESSAGE = 4
_TOKENS_AN_IMAGE = 1000


def _bytes(messages: Sequence[ChatMessage]) -> int:
    texts = (message.content for message in messages)
    return sum(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")) for text in texts)


def tokens_of(messages: Sequence[ChatMessage]) -> int:
    """Upper estimate of the tokens of these messages; the sum over parts is never below the whole."""
    pictures = sum(len(message.images) for message in messages)
    return -(-_bytes(messages) // _BYTES_A_TOKEN) + _TOKENS_A_MESSAGE * len(messages) + _TOKENS_AN_IMAGE * pictures


def refuse_flood(request: ChatRequest, most: int) -> None:
    """Raise ModelError(CONTEXT_TOO_LONG) when the text has more than `most` bytes; images do not count."""
    text = _bytes(request.messages)
    if text > most:
        raise ModelError(
            ModelFailure.CONTEXT_TOO_LONG, f"messages: {text} bytes of text are too many; {most} are read at most"
        )


def was_truncated(request: ChatRequest, counted: int) -> bool:
    """Whether a provider read so few tokens that it must have dropped part of the conversation."""
    text = _bytes(request.messages)
    return 0 < counted < text // _SPARSEST_BYTES_A_TOKEN


def fits(request: ChatRequest, window: int, reserve: int) -> bool:
    """Whether the whole conversation fits into a context of so many tokens, beside the answer."""
    return tokens_of(request.messages) <= _room(window, reserve)


def _room(window: int, reserve: int) -> int:
    return window - min(reserve, window // 2)


def fitted(request: ChatRequest, window: int | None, reserve: int) -> ChatRequest:
    """The request with as much history as fits. Raises ModelError when the rest does not fit.

    The kind is BAD_REQUEST when the system messages alone are to blame, which no question can mend. window: the model's
    context in tokens, None when unknown. reserve: tokens kept free for the answer.
    """
    if window is None or fits(request, window, reserve):
        return request
    room = _room(window, reserve)
    system, exchanges, last = _split(request.messages)
    needed = tokens_of((*system, *last))
    if needed > room and tokens_of(last) <= room // 2:
        raise ModelError(
            ModelFailure.BAD_REQUEST,
            f"the instructions and documents take about {tokens_of(system)} tokens, and {room} fit with a question: "
            "shorten them, lower knowledge_max_bytes, or give the model a larger context",
        )
    if needed > room:
        raise ModelError(
            ModelFailure.CONTEXT_TOO_LONG,
            f"the message is too long for this model: about {needed} tokens, and {room} fit",
        )
    kept: list[ChatMessage] = []
    for exchange in reversed(exchanges):
        needed += tokens_of(exchange)
        if needed > room:
            break
        kept = [*exchange, *kept]
    return replace(request, messages=(*system, *kept, *last))


def halved(request: ChatRequest) -> ChatRequest | None:
    """The request with the newer half of its history; None when no history is left."""
    system, exchanges, last = _split(request.messages)
    if not exchanges:
        return None
    kept = exchanges[len(exchanges) // 2 + 1 :] if len(exchanges) > 1 else []
    return replace(request, messages=(*system, *(message for exchange in kept for message in exchange), *last))


def _split(messages: Sequence[ChatMessage]) -> tuple[list[ChatMessage], list[list[ChatMessage]], list[ChatMessage]]:
    """System messages, the exchanges before the last user message, and that message with all that follow."""
    system = [message for message in messages if message.role == "system"]
    exchanges: list[list[ChatMessage]] = []
    for message in messages:
        if message.role == "system":
            continue
        follows_another = bool(exchanges) and exchanges[-1][-1].role == "user"
        if not exchanges or (message.role == "user" and not follows_another):
            exchanges.append([])
        exchanges[-1].append(message)
    last = exchanges.pop() if exchanges else []
    return system, exchanges, last
