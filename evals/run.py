"""Asks the configured AI the questions of an example shop, and counts the answers that contain what they must.

    python -m evals.run --questions mine.json --knowledge knowledge

The LLM server must run, with the source that is to be judged. Each question is asked alone, as a text message, with
the documents that the SMS channel would give it. A question of the file has `ask`; `must`, expressions that all have to
occur in the answer; `must_not`, those that may not; and `from`, the heading of the section that answers it. Ends with
status 1 when fewer answers pass than `--least` demands.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.channels.registry import settings_as
from relay.channels.sms import texts
from relay.channels.sms.settings import SmsSettings
from relay.channels.sms.spec import SMS
from relay.config.loading import load_or_exit
from relay.core.errors import ModelError
from relay.core.http_client import open_http_client
from relay.core.messages import Answer
from relay.core.text import one_line
from relay.knowledge.assistant import Assistant
from relay.llm.client import LlmClient
from relay.texts import ENGLISH

FOLDER = Path(__file__).parent

DEFAULT_SEGMENTS = 4
"""Of the setting sms_max_segments."""


@dataclass(frozen=True, slots=True)
class Result:
    """One question: its answer, None when there was none; its faults; whether the search found its section."""

    question: str
    answer: Answer | None
    faults: tuple[str, ...]
    found: bool | None

    @property
    def passed(self) -> bool:
        return self.answer is not None and not self.faults


def faults_of(row: Mapping[str, Any], text: str) -> tuple[str, ...]:
    """A sentence for each expression that is missing from an answer, or that may not be in it."""
    missing = [f"lacks {one}" for one in row.get("must", ()) if not re.search(one, text, re.IGNORECASE)]
    wrong = [f"has {one}" for one in row.get("must_not", ()) if re.search(one, text, re.IGNORECASE)]
    return (*missing, *wrong)


async def ask_all(rows: Sequence[Mapping[str, Any]], assistant: Assistant, model: LlmClient) -> list[Result]:
    """The results in the order of the questions; one question at a time, so that the times can be compared."""
    return [await _ask(row, assistant, model) for row in rows]


async def _ask(row: Mapping[str, Any], assistant: Assistant, model: LlmClient) -> Result:
    built = await assistant(texts.system_prompt(None, texts.max_characters(DEFAULT_SEGMENTS, ENGLISH)), row["ask"])
    found = any(row["from"] in source for source in built.sources) if "from" in row else None
    messages = [{"role": "system", "content": built.text}, {"role": "user", "content": row["ask"]}]
    try:
        answer = await model.ask(messages, platform=SMS, user="evals", name=None)
    except ModelError as error:
        return Result(row["ask"], None, (f"no answer: {error.message}",), found)
    return Result(row["ask"], answer, faults_of(row, answer.text), found)


def report(results: Sequence[Result]) -> str:
    """Each answer that did not pass, then the figures of all."""
    failed = [(one, one_line(one.answer.text, 200) if one.answer else "") for one in results if not one.passed]
    lines = [f"- {one.question}\n    {'; '.join(one.faults)}: {text}" for one, text in failed]
    answers = [one.answer for one in results if one.answer]
    searched = [one.found for one in results if one.found is not None]
    costs = [answer.cost_usd for answer in answers if answer.cost_usd is not None]
    models = sorted({f"{answer.source}:{answer.model}" for answer in answers})
    lines += [
        f"passed          {sum(one.passed for one in results)} of {len(results)}",
        f"section found   {sum(searched)} of {len(searched)}, among the best of the search",
        f"cost            {f'{sum(costs):.5f} USD' if len(costs) == len(answers) else 'unknown'}",
        f"seconds         median {statistics.median([answer.total_seconds for answer in answers] or [0]):.2f}",
        f"model           {', '.join(models) or 'none answered'}",
    ]
    return "\n".join(lines)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=Path, default=FOLDER / "questions.json")
    parser.add_argument("--knowledge", type=Path, default=FOLDER / "shop", help="folder with the documents")
    parser.add_argument("--least", type=int, default=0, help="how many answers have to pass")
    options = parser.parse_args()
    rows = json.loads(options.questions.read_text(encoding="utf-8"))
    own = {"knowledge_folder": str(options.knowledge.resolve()), "demo_faq_file": "there-is-none.json"}
    settings = load_or_exit(settings_as(SmsSettings)).model_copy(update=own)
    with tempfile.TemporaryDirectory() as nothing:
        async with open_http_client() as http:
            assistant = Assistant(settings, SMS, folder=Path(nothing))
            results = await ask_all(rows, assistant, LlmClient(http, settings, max_tokens=settings.sms_answer_tokens))
    print(report(results))
    return 0 if sum(one.passed for one in results) >= options.least else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
