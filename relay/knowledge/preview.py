"""Commands of the operator: what the AI is sent for a question, which documents were found, and what it answers."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from relay.config.loading import load_or_exit
from relay.config.settings import S, Settings
from relay.core.errors import ModelError
from relay.core.messages import Platform
from relay.core.prompt import Embed
from relay.knowledge.assistant import Assistant

Ask = Callable[[Sequence[Mapping[str, str]]], Awaitable[str]]
OpenEmbed = Callable[[Settings], AbstractAsyncContextManager[Embed]]

VECTORS_SECONDS = 20.0
"""How long a prompt waits for the vectors of a large folder: the console gives up on it after 30."""


class _ComputedAnew:
    """A VectorStore for one preview: the vectors in the database belong to the servers."""

    async def read_vectors(self, model: str, hashes: Sequence[str]) -> dict[str, bytes]:  # noqa: ARG002 (none are kept)
        return {}

    async def add_vectors(self, model: str, made: Mapping[str, bytes]) -> None:
        """None are kept."""


def question_of(option: str, help_text: str) -> str | None:
    """The question given after `option` on the command line; None when the program is to serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument(option, metavar="QUESTION", dest="question", help=help_text)
    question: str | None = parser.parse_args().question
    return question


def printed_prompt(
    kind: type[S], platform: Platform, channel_prompt: Callable[[S], str], open_embed: OpenEmbed
) -> bool:
    """With `--prompt QUESTION`, print the system prompt exactly as it is sent with this question; else False.

    What is wrong with documents and their vectors goes to standard error.
    """
    question = question_of("--prompt", "print the system prompt that is sent with a question, and end")
    if question is None:
        return False
    settings = load_or_exit(kind)
    sys.stdout.write(asyncio.run(_prompt(settings, platform, channel_prompt(settings), question, open_embed)) + "\n")
    return True


async def _prompt(settings: Settings, platform: Platform, prompt: str, question: str, open_embed: OpenEmbed) -> str:
    assistant = Assistant(settings, platform)
    async with open_embed(settings) as embed:
        assistant.search_by_meaning(_ComputedAnew(), embed)
        found = await assistant.found(question, VECTORS_SECONDS)
    for problem in assistant.problems:
        sys.stderr.write(f"not used: {problem}\n")
    return assistant.build(prompt, found).text


async def print_answer(assistant: Assistant, question: str, ask: Ask, embed: Embed) -> bool:
    """Print the passages found for a question and the answer made from them; False when there is no answer."""
    assistant.search_by_meaning(_ComputedAnew(), embed)
    found = await assistant.found(question)
    write = sys.stdout.write
    for problem in assistant.problems:
        write(f"not used: {problem}\n")
    write(f"{len(found)} passages go with the question:\n")
    for passage in found:
        write(f"- {passage.label}\n")
    prompt = assistant.build("", found).text
    try:
        answer = await ask([{"role": "system", "content": prompt}, {"role": "user", "content": question}])
    except ModelError as error:
        write(f"\nNo answer: {error.message}\n")
        return False
    write(f"\n{answer}\n")
    return True
