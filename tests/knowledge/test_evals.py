"""The evaluation of answers: what counts as passed, what the search found, and a run against a scripted model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from evals.run import FOLDER, ask_all, faults_of, report
from relay.channels.sms.spec import SMS
from relay.core.errors import ModelError, ModelFailure
from relay.core.messages import Answer
from relay.knowledge.assistant import Assistant
from tests.settings import Settings

QUESTIONS = json.loads((FOLDER / "questions.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("We are closed.", ()),
        ("CLOSED on Sundays, it is 5 dollars", ("has 5 dollars",)),
        ("We open at nine.", ("lacks closed|shut",)),
        ("5 dollars", ("lacks closed|shut", "has 5 dollars")),
    ],
)
def test_an_answer_passes_with_all_that_it_must_have(text: str, faults: tuple[str, ...]) -> None:
    """Expressions without regard to case."""
    assert faults_of({"must": ["closed|shut"], "must_not": ["5 dollars"]}, text) == faults


class Shopkeeper:
    """Answers with the section of the prompt that the question is about; of cars it gives no answer."""

    async def ask(self, messages: Sequence[Mapping[str, str]], **_: Any) -> Answer:
        if "cars" in messages[-1]["content"]:
            raise ModelError(ModelFailure.EMPTY, "nothing")
        return Answer(messages[0]["content"], "m", "s", cost_usd=0.001, total_seconds=2.0)


async def test_the_questions_of_the_example_shop_are_answered_from_its_documents(tmp_path: Path) -> None:
    """Each expression occurs in the documents, so a model that reads them can pass; the search finds the sections."""
    settings = Settings(knowledge_folder=str(FOLDER / "shop"), demo_faq_file="none.json")
    rows = [{**row, "must_not": []} for row in QUESTIONS if "from" in row or "cars" in row["ask"]]
    results = await ask_all(rows, Assistant(settings, SMS, folder=tmp_path), Shopkeeper())  # type: ignore[arg-type]
    text = report(results)
    assert [one.question for one in results if not one.passed] == ["Do you repair cars?"]
    assert f"passed          {len(rows) - 1} of {len(rows)}" in text
    assert "cost            0.02600 USD" in text
    assert "median 2.00" in text
    found = re.search(r"section found   (\d+) of 26", text)
    assert found is not None
    assert int(found[1]) >= 24
