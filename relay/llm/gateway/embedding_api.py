"""Embeddings in three formats: POST /v1/embeddings of OpenAI, /api/embed and the older /api/embeddings of Ollama."""

from __future__ import annotations

import base64
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import Embeddings
from relay.llm.gateway.body import read

MAX_TEXTS = 2048
"""In one request, as at OpenAI: https://platform.openai.com/docs/api-reference/embeddings/create"""

Texts = str | list[str]


class _OpenAiBody(BaseModel):
    model: str = ""
    input: Texts
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1)


class _EmbeddingExtension(BaseModel):
    """request_id: the id of the question that the texts are searched for."""

    request_id: str = ""


class _OllamaBody(BaseModel):
    model: str = ""
    input: Texts = ""
    x_relay: _EmbeddingExtension = _EmbeddingExtension()
    truncate: bool | None = None
    dimensions: int | None = Field(default=None, ge=1)


class _OldOllamaBody(BaseModel):
    model: str = ""
    prompt: str = ""


class EmbeddingRequest:
    """What is to be embedded, and how the answer is encoded. options: those of the provider that were given.

    request_id: of the question for which the vectors are, "" when the body has none.
    """

    def __init__(
        self,
        model: str,
        texts: Texts,
        encode: Callable[[str, Embeddings], Mapping[str, Any]],
        request_id: str = "",
        **options: int | bool | None,
    ) -> None:
        self.request_id = request_id
        self.model = model.strip()
        self.texts = [texts] if isinstance(texts, str) else texts
        self.options = {key: value for key, value in options.items() if value is not None}
        self._encode = encode
        if len(self.texts) > MAX_TEXTS:
            raise ModelError(ModelFailure.BAD_REQUEST, f"input: at most {MAX_TEXTS} texts in one request")

    def encoded(self, found: Embeddings) -> Mapping[str, Any]:
        """The body of the answer; the model is named as in the request."""
        return self._encode(self.model or found.model, found)


def read_openai(content: bytes) -> EmbeddingRequest:
    """The body of POST /v1/embeddings. Raises ModelError(BAD_REQUEST), for numbers of tokens instead of text too."""
    body = read(_OpenAiBody, content)
    if not body.input:
        raise ModelError(ModelFailure.BAD_REQUEST, "input: at least one text is needed")

    def encode(model: str, found: Embeddings) -> Mapping[str, Any]:
        shown = _in_base64 if body.encoding_format == "base64" else list
        rows = [
            {"object": "embedding", "index": number, "embedding": shown(vector)}
            for number, vector in enumerate(found.vectors)
        ]
        usage = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
        return {"object": "list", "data": rows, "model": model, "usage": usage}

    return EmbeddingRequest(body.model, body.input, encode, dimensions=body.dimensions)


def read_ollama(content: bytes) -> EmbeddingRequest:
    """The body of POST /api/embed; without input there are no vectors. Raises ModelError(BAD_REQUEST).

    Some clients need all fields of Ollama's answer; its durations are in nanoseconds.
    """
    body, began = read(_OllamaBody, content), time.perf_counter_ns()

    def encode(model: str, found: Embeddings) -> Mapping[str, Any]:
        took = {"total_duration": time.perf_counter_ns() - began, "load_duration": 0}
        return {"model": model, "embeddings": found.vectors, **took, "prompt_eval_count": found.tokens}

    return EmbeddingRequest(
        body.model,
        body.input or [],
        encode,
        body.x_relay.request_id,
        truncate=body.truncate,
        dimensions=body.dimensions,
    )


def read_old_ollama(content: bytes) -> EmbeddingRequest:
    """The body of POST /api/embeddings, which has one text. Raises ModelError(BAD_REQUEST)."""
    body = read(_OldOllamaBody, content)
    texts = [body.prompt] if body.prompt else []
    return EmbeddingRequest(body.model, texts, lambda _, found: {"embedding": next(iter(found.vectors), [])})


def _in_base64(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats, as OpenAI's own client asks for them."""
    numbers = array("f", vector)
    return base64.b64encode(numbers.tobytes()).decode()
