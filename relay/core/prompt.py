"""The system prompt of one question: what the channel says about itself, completed by what the operator provides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

NO_ANSWER = "NO_ANSWER"
"""What the model is told to answer when the documents have no answer and the user is then left to a person."""


def states_no_answer(answer: str) -> bool:
    """Whether the model answers that the documents have no answer, with whatever signs around it."""
    return answer.strip(" .*_`\n") == NO_ANSWER


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """sources: the passages in it that fit the question, the best first, as `file: heading`."""

    text: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Knowledge:
    """How much of the operator's documents is in use; problems: a sentence for each that is not, and for settings."""

    passages: int = 0
    problems: tuple[str, ...] = ()


Embed = Callable[[str, Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
"""The vectors of texts by a model. Raises ModelError."""


class VectorStore(Protocol):
    """Where vectors of passages are kept, by model and by the hash of their text. Both raise StorageError."""

    async def read_vectors(self, model: str, hashes: Sequence[str]) -> dict[str, bytes]: ...
    async def add_vectors(self, model: str, made: Mapping[str, bytes]) -> None: ...


class PromptBuilder(Protocol):
    """Builds the system prompt from that of the channel and from the question; never raises."""

    async def __call__(self, prompt: str, question: str) -> SystemPrompt: ...

    def search_by_meaning(self, store: VectorStore, embed: Embed) -> None:
        """From now on find passages by embeddings too, where the settings name a model of them."""
        ...

    async def knowledge(self) -> Knowledge:
        """What it builds prompts from now; reading documents is started, not waited for."""
        ...


class _ChannelPrompt:
    """The PromptBuilder of a server without instructions and knowledge."""

    async def __call__(self, prompt: str, question: str) -> SystemPrompt:  # noqa: ARG002 (nothing is looked up)
        return SystemPrompt(prompt)

    def search_by_meaning(self, store: VectorStore, embed: Embed) -> None:
        """Nothing is looked up."""

    async def knowledge(self) -> Knowledge:
        return Knowledge()


channel_prompt = _ChannelPrompt()
