"""The system prompt of one question: what the channel says about itself, completed by what the operator provides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """sources: the passages in it that fit the question, the best first, as `file: heading`."""

    text: str
    sources: tuple[str, ...] = ()


PromptBuilder: TypeAlias = Callable[[str, str], Awaitable[SystemPrompt]]
"""Builds the system prompt from that of the channel and from the question; never raises."""


async def channel_prompt(prompt: str, question: str) -> SystemPrompt:
    """The PromptBuilder of a server without instructions and knowledge."""
    del question
    return SystemPrompt(prompt)
