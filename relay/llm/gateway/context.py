"""Fits a conversation into a model's context: system prompt and last message stay, whole exchanges go, oldest first.

Tokens are estimated, on the safe side: no source counts them for us before it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import ChatMessage, ChatRequest

_BYTES_A_TOKEN = 3
_SPARSEST_BYTES_A_TOKEN = 6
_TOKENS_A_TURN = 4
_TOKENS_AN_IMAGE = 1000


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def tokens_of(messages: Sequence[ChatMessage]) -> int:
    """How many tokens these turns may take, rather too many than too few: the parts never sum up to less than all."""
    pictures = sum(len(message.images) for message in messages)
    text = sum(_bytes(message.content) for message in messages)
    return -(-text // _BYTES_A_TOKEN) + _TOKENS_A_TURN * len(messages) + _TOKENS_AN_IMAGE * pictures


def refuse_flood(request: ChatRequest, most: int) -> None:
    """Raises ModelError(CONTEXT_TOO_LONG) when the text alone has more bytes than that; pictures do not count."""
    text = sum(_bytes(message.content) for message in request.messages)
    if text > most:
        raise ModelError(
            ModelFailure.CONTEXT_TOO_LONG, f"messages: {text} bytes of text are too many; {most} are read at most"
        )


def was_truncated(request: ChatRequest, counted: int) -> bool:
    """Whether a source read so few tokens that it must have dropped a part of the conversation silently."""
    text = sum(_bytes(message.content) for message in request.messages)
    return 0 < counted < text // _SPARSEST_BYTES_A_TOKEN


def fitted(request: ChatRequest, window: int | None, reserve: int) -> ChatRequest:
    """The question with as much of its history as fits. Raises ModelError(CONTEXT_TOO_LONG) when the rest does not.

    window is the model's context in tokens, None when nobody knows it; reserve is kept free for the answer.
    """
    if window is None:
        return request
    room = window - min(reserve, window // 2)
    if tokens_of(request.messages) <= room:
        return request
    system, exchanges, last = _split(request.messages)
    needed = tokens_of((*system, *last))
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
    """The question with the newer half of its history, None when there is none left to leave out."""
    system, exchanges, last = _split(request.messages)
    if not exchanges:
        return None
    kept = exchanges[len(exchanges) // 2 + 1 :] if len(exchanges) > 1 else []
    return replace(request, messages=(*system, *(message for exchange in kept for message in exchange), *last))


def _split(messages: Sequence[ChatMessage]) -> tuple[list[ChatMessage], list[list[ChatMessage]], list[ChatMessage]]:
    """System turns, the exchanges before the last question, and the last question with whatever follows it."""
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
