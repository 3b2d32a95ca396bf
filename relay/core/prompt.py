"""The system prompt of one question: what the channel says about itself, completed by what the operator provides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

NO_ANSWER = "NO_ANSWER"
"""What the model is told to answer when the documents have no answer and the user is then left to a person."""


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


class PromptBuilder(Protocol):
    """Builds the system prompt from that of the channel and from the question; never raises."""

    async def __call__(self, prompt: str, question: str) -> SystemPrompt: ...

    async def knowledge(self) -> Knowledge:
        """What it builds prompts from now; reading documents is started, not waited for."""
        ...


class _ChannelPrompt:
    """The PromptBuilder of a server without instructions and knowledge."""

    async def __call__(self, prompt: str, question: str) -> SystemPrompt:  # noqa: ARG002 (nothing is looked up)
        return SystemPrompt(prompt)

    async def knowledge(self) -> Knowledge:
        return Knowledge()


channel_prompt = _ChannelPrompt()
