"""Finds passages by the meaning of a question: the vectors of an embedding model, kept in the database.

They are computed when the documents were read, in the background; until then, and while the model fails, the full-text
search is alone. What both find is fused by reciprocal ranks.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context
from operator import mul
from typing import TypeVar

from relay.core.errors import ModelError, StorageError
from relay.core.prompt import Embed, VectorStore
from relay.knowledge.passages import Passage

log = logging.getLogger("relay.knowledge")

BATCH = 32
"""Passages in one request: a small machine computes their vectors within seconds."""

QUESTION_SECONDS = 3.0
"""The longest wait for the vector of a question; a person waits for the answer meanwhile."""

RETRY_SECONDS = 60.0
"""How long the model is not asked again after a failure."""

_RANK_OFFSET = 60
"""Of reciprocal rank fusion: https://plg.uwaterloo.ca/~gvcormac/cormacksigir09-rrf.pdf"""

T = TypeVar("T")


class PassageVectors:
    """The vectors of the passages in use. `clock` returns Unix time."""

    def __init__(self, store: VectorStore, embed: Embed, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._embed = embed
        self._clock = clock
        self._model = ""
        self._vectors: dict[Passage, array[float]] = {}
        self._wanted: Sequence[Passage] = ()
        self._updating: asyncio.Task[None] | None = None
        self._usable_from = 0.0
        self.problem = ""

    def keep(self, passages: Sequence[Passage], model: str) -> None:
        """Have the vectors of these passages by this model; those that are missing are computed in the background."""
        if passages is not self._wanted or model != self._model:
            known = set(passages) if model == self._model else set()
            self._use({one: vector for one, vector in self._vectors.items() if one in known}, passages, model)
        if len(self._vectors) == len(set(passages)) or self._clock() < self._usable_from:
            return
        if self._updating is None or self._updating.done():
            # Not in the context of the question that noticed the change: the work has nothing to do with its id.
            self._updating = asyncio.create_task(
                self._update(passages, model), name="passage-vectors", context=Context()
            )

    async def _update(self, passages: Sequence[Passage], model: str) -> None:
        by_hash = {_hash(passage): passage for passage in passages}
        try:
            known = await self._store.read_vectors(model, list(by_hash))
            self._add({by_hash[key]: array("f", stored) for key, stored in known.items()}, passages, model)
            missing = [key for key in by_hash if key not in known]
            for start in range(0, len(missing), BATCH):
                keys = missing[start : start + BATCH]
                found = await self._embed(model, [_text(by_hash[key]) for key in keys])
                made = {key: _unit(vector) for key, vector in zip(keys, found, strict=True)}
                await self._store.add_vectors(model, {key: vector.tobytes() for key, vector in made.items()})
                self._add({by_hash[key]: vector for key, vector in made.items()}, passages, model)
            self._recovered()
        except (ModelError, StorageError) as error:
            self._failed(error)

    def _add(self, vectors: dict[Passage, array[float]], passages: Sequence[Passage], model: str) -> None:
        """Use further vectors, unless others are wanted meanwhile."""
        if passages is self._wanted and model == self._model:
            self._vectors |= vectors

    def _use(self, vectors: dict[Passage, array[float]], passages: Sequence[Passage], model: str) -> None:
        self._vectors, self._wanted, self._model = vectors, passages, model

    async def ready(self) -> None:
        """Return when the vectors that are being computed are in use, or their model has failed."""
        if self._updating is not None:
            await asyncio.shield(self._updating)

    async def nearest(self, question: str, limit: int) -> list[Passage]:
        """The passages whose meaning is nearest to the question, the best first; none while the model fails."""
        if not self._vectors or self._clock() < self._usable_from:
            return []
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                [vector] = await self._embed(self._model, [question])
        except (ModelError, TimeoutError) as error:
            self._failed(error)
            return []
        self._recovered()
        return await asyncio.to_thread(_nearest, _unit(vector), dict(self._vectors), limit)

    def _failed(self, error: Exception) -> None:
        why = str(error) or f"no vector of the question within {QUESTION_SECONDS:g} seconds"
        if not self.problem:
            log.warning("passages are found by their words alone: %s", why)
        self.problem = f"embedding_model: passages are found by their words alone: {why}"
        self._usable_from = self._clock() + RETRY_SECONDS

    def _recovered(self) -> None:
        if self.problem:
            log.info("passages are found by their meaning again")
        self.problem, self._usable_from = "", 0.0


def fused(*rankings: Iterable[T]) -> list[T]:
    """One ranking of several: the sum of the reciprocal ranks of each, those of the first before equals."""
    scores: defaultdict[T, float] = defaultdict(float)
    for ranking in rankings:
        for rank, one in enumerate(ranking, 1):
            scores[one] += 1 / (_RANK_OFFSET + rank)
    return sorted(scores, key=scores.__getitem__, reverse=True)


def _text(passage: Passage) -> str:
    return f"{passage.title}\n{passage.text}".strip()


def _hash(passage: Passage) -> str:
    return hashlib.sha256(f"{passage.source}\n{_text(passage)}".encode()).hexdigest()


def _unit(vector: Sequence[float]) -> array[float]:
    """The vector with the length 1, so that a product of two is the cosine of their angle."""
    length = math.hypot(*vector) or 1.0
    return array("f", (value / length for value in vector))


def _nearest(vector: array[float], vectors: Mapping[Passage, array[float]], limit: int) -> list[Passage]:
    near = {passage: sum(map(mul, vector, own)) for passage, own in vectors.items() if len(own) == len(vector)}
    related = (passage for passage, cosine in near.items() if cosine > 0)
    return sorted(related, key=near.__getitem__, reverse=True)[:limit]
