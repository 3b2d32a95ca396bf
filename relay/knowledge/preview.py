"""Commands of the operator: what the AI is sent for a question, which documents were found, and what it answers."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

from relay.config.loading import load_or_exit
from relay.config.settings import S
from relay.core.errors import ModelError
from relay.core.messages import Platform
from relay.knowledge.assistant import Assistant

Ask = Callable[[Sequence[Mapping[str, str]]], Awaitable[str]]


def question_of(option: str, help_text: str) -> str | None:
    """The question given after `option` on the command line; None when the program is to serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument(option, metavar="QUESTION", dest="question", help=help_text)
    question: str | None = parser.parse_args().question
    return question


def printed_prompt(kind: type[S], platform: Platform, channel_prompt: Callable[[S], str]) -> bool:
    """With `--prompt QUESTION`, print the system prompt exactly as it is sent with this question; else False."""
    question = question_of("--prompt", "print the system prompt that is sent with a question, and end")
    if question is None:
        return False
    settings = load_or_exit(kind)
    assistant = Assistant(settings, platform)
    asyncio.run(assistant.refresh())
    sys.stdout.write(assistant.build(channel_prompt(settings), assistant.find(question)).text + "\n")
    return True


async def print_answer(assistant: Assistant, question: str, ask: Ask) -> bool:
    """Print the passages found for a question and the answer made from them; False when there is no answer."""
    await assistant.refresh()
    found = assistant.find(question)
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
