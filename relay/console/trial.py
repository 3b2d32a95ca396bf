"""A test question: the system prompt exactly as a channel's server sends it, and the answer of the running model."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from relay.channels.spec import ChannelSpec
from relay.config.settings import Settings
from relay.core.errors import ModelError
from relay.core.messages import Platform
from relay.llm.client import LlmClient

PROGRAM_FOLDER = Path(__file__).resolve().parents[2]
_PROMPT_SECONDS = 60.0
_ANSWER_SECONDS = 60.0
_NAME = Platform("console")


@dataclass(frozen=True, slots=True)
class Trial:
    """problem: why there is no prompt or no answer, as a sentence."""

    channel: str
    prompt: str = ""
    answer: str = ""
    problem: str = ""


async def ask_as_channel(
    http: httpx.AsyncClient,
    settings: Settings,
    channel: ChannelSpec,
    question: str,
    before: Sequence[dict[str, str]] = (),
) -> Trial:
    """Ask as an unnamed user of the channel would; never raises. Costs what one question costs.

    before: the messages of the conversation until then, as the model gets them.
    """
    module = (channel.host or channel).module
    try:
        async with asyncio.timeout(_PROMPT_SECONDS):
            prompt, error = await _printed(module, f"--prompt={question}")
    except TimeoutError:
        return Trial(channel.title, problem=f"the prompt was not ready within {_PROMPT_SECONDS:g} s")
    if error:
        return Trial(channel.title, problem=error)
    messages = [{"role": "system", "content": prompt}, *before, {"role": "user", "content": question}]
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            answer = await LlmClient(http, settings).ask(messages, platform=_NAME, user="operator", name=None)
    except TimeoutError:
        return Trial(channel.title, prompt, problem=f"no answer within {_ANSWER_SECONDS:g} s")
    except ModelError as failure:
        hint = f": {failure.hint}" if failure.hint else ""
        return Trial(channel.title, prompt, problem=f"{failure.message}{hint}")
    return Trial(channel.title, prompt, answer.text)


async def _printed(module: str, argument: str) -> tuple[str, str]:
    """What the channel's program prints, or its error: it alone knows its prompt, and reads the files anew."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, argument),
        env={**os.environ, "PYTHONPATH": str(PROGRAM_FOLDER)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, errors = await process.communicate()
    except BaseException:
        process.kill()
        raise
    text = printed.decode("utf-8", "replace").strip()
    return (text, "") if process.returncode == 0 else ("", errors.decode("utf-8", "replace").strip()[-400:])
