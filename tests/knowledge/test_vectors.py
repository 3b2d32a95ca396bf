"""Passages found by their meaning: beside the words, from vectors that are kept, and never in the way of an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from relay.config.logs import REQUEST_ID
from relay.config.settings import Settings
from relay.core.errors import ModelError, ModelFailure, StorageError
from relay.core.messages import Platform
from relay.core.prompt import Embed
from relay.knowledge.assistant import REFRESH_SECONDS, Assistant
from relay.knowledge.preview import print_answer, printed_prompt
from relay.knowledge.vectors import BATCH, RETRY_SECONDS, fused

MEANINGS = (("dog", "puppy", "hound"), ("car", "vehicle"), ("rain", "weather"), ("thing",))


class Model:
    """Vectors by the meanings that a text mentions; `error` is raised instead."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.named: list[str] = []
        self.error: Exception | None = None
        self.length = len(MEANINGS)

    async def embed(self, model: str, texts: Sequence[str]) -> Sequence[Sequence[float]]:  # noqa: ARG002 (one model)
        self.calls.append(list(texts))
        self.named.append(REQUEST_ID.get())
        if self.error is not None:
            raise self.error
        found = [[float(any(word in text for word in words)) for words in MEANINGS] for text in texts]
        return [vector[: self.length] for vector in found]


class Kept:
    """A VectorStore in memory."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], bytes] = {}
        self.error: Exception | None = None

    async def read_vectors(self, model: str, hashes: Sequence[str]) -> dict[str, bytes]:
        if self.error is not None:
            raise self.error
        return {key: self.rows[model, key] for key in hashes if (model, key) in self.rows}

    async def add_vectors(self, model: str, made: Mapping[str, bytes]) -> None:
        self.rows |= {(model, key): vector for key, vector in made.items()}


class Shop:
    """A folder that is too large to be given whole, with one passage about dogs among many."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model, self.kept, self.now = folder, Model(), Kept(), 1000.0
        self.document = folder / "knowledge" / "all.md"
        self.document.parent.mkdir()
        rows = [f"# Article {number}\nsome words about thing {number} and more" for number in range(60)]
        self.document.write_text("\n".join([*rows, "# Pets\nA hound is welcome."]))
        self.assistant = self.opened()

    def opened(self, **values: Any) -> Assistant:
        settings = Settings(knowledge_max_bytes=700, **{"embedding_model": "vec", **values})
        found = Assistant(settings, Platform("sms"), folder=self.folder, clock=lambda: self.now)
        found.search_by_meaning(self.kept, self.model.embed)
        return found

    async def asked(self, question: str) -> tuple[str, ...]:
        """The best passages for a question, when the vectors that are under way have come."""
        await self.assistant.refresh()
        await self.settled()
        return (await self.assistant("", question)).sources

    async def settled(self) -> None:
        under_way = [task for task in asyncio.all_tasks() if task.get_name() == "passage-vectors"]
        await asyncio.gather(*under_way)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


async def test_a_passage_is_found_that_shares_no_word_with_the_question(shop: Shop) -> None:
    """And one that shares words is found as before."""
    assert (await shop.asked("may I bring a puppy?"))[0] == "all.md: Pets"
    assert (await shop.asked("article 7"))[0] == "all.md: Article 7"


async def test_each_vector_is_computed_once(shop: Shop) -> None:
    """In batches; by another process, or after a start, they are read; of a changed document only what is new."""
    await shop.asked("puppy")
    texts = [text for call in shop.model.calls for text in call if "\n" in text]
    assert (len(texts), len(set(texts))) == (61, 61)
    assert max(map(len, shop.model.calls)) == BATCH
    shop.model.calls.clear()
    shop.assistant = shop.opened()
    assert (await shop.asked("puppy"))[0] == "all.md: Pets"
    assert {text for call in shop.model.calls for text in call} == {"puppy"}
    shop.document.write_text(shop.document.read_text().replace("A hound", "A small hound"))
    shop.now += REFRESH_SECONDS + 1
    shop.model.calls.clear()
    await shop.asked("puppy")
    assert [text for call in shop.model.calls for text in call if "\n" in text] == ["Pets\nA small hound is welcome."]


FAILURES = [
    ("the model is away", ModelError(ModelFailure.UNAVAILABLE, "away"), None),
    ("the database is away", None, StorageError("locked")),
]


@pytest.mark.parametrize(("model", "store"), [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES])
async def test_while_it_fails_the_words_decide_and_the_operator_is_told(
    shop: Shop, model: Exception | None, store: Exception | None
) -> None:
    """It is asked again a minute later, not with every question."""
    shop.model.error, shop.kept.error = model, store
    assert (await shop.asked("article 7"))[0] == "all.md: Article 7"
    assert (await shop.asked("puppy")) == ()
    assert len(shop.model.calls) <= 1
    [problem] = (await shop.assistant.knowledge()).problems
    assert "words alone" in problem
    shop.model.error = shop.kept.error = None
    shop.now += RETRY_SECONDS + 1
    assert (await shop.asked("puppy"))[0] == "all.md: Pets"
    assert (await shop.assistant.knowledge()).problems == ()


async def test_a_failure_with_a_question_costs_that_question_nothing(shop: Shop) -> None:
    """The vectors are there, and the model fails afterwards; then it answers with vectors of another length."""
    await shop.asked("puppy")
    shop.model.error = ModelError(ModelFailure.TIMEOUT, "late")
    assert (await shop.assistant("", "puppy")).sources == ()
    assert (await shop.assistant("", "article 7")).sources[0] == "all.md: Article 7"
    shop.model.error, shop.model.length = None, 2
    shop.now += RETRY_SECONDS + 1
    assert (await shop.assistant("", "puppy")).sources == ()


@pytest.mark.parametrize("values", [{"embedding_model": None}, {"knowledge_max_bytes": 100_000}])
async def test_where_it_is_off_or_not_needed_no_model_is_asked(tmp_path: Path, values: dict[str, Any]) -> None:
    """A folder that is given whole needs no search."""
    shop = Shop(tmp_path)
    settings = Settings(**{"knowledge_max_bytes": 700, "embedding_model": "vec", **values})
    shop.assistant = Assistant(settings, Platform("sms"), folder=tmp_path)
    shop.assistant.search_by_meaning(shop.kept, shop.model.embed)
    await shop.asked("puppy")
    assert shop.model.calls == []


async def test_vectors_are_computed_outside_the_question_that_noticed_a_change(shop: Shop) -> None:
    """Their requests do not carry its id, and that for the question's own vector does."""
    token = REQUEST_ID.set("sms-12")
    await shop.asked("puppy")
    REQUEST_ID.reset(token)
    assert {named for named, texts in zip(shop.model.named, shop.model.calls, strict=True) if len(texts) > 1} == {""}
    assert [shop.model.named[-1], shop.model.calls[-1]] == ["sms-12", ["puppy"]]


@asynccontextmanager
async def opened_embed(_: Settings, model: Model) -> AsyncIterator[Embed]:
    yield model.embed


def previewed(arguments: list[str], model: Model, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr("sys.argv", ["server.py", *arguments])
    return printed_prompt(Settings, Platform("sms"), lambda _: "Be brief.", partial(opened_embed, model=model))


def test_the_prompt_is_printed_with_passages_found_by_their_meaning(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once their vectors are there; while the model is away, with those found by words, and a remark aside."""
    monkeypatch.chdir(shop.folder)
    (shop.folder / ".env").write_text("KNOWLEDGE_MAX_BYTES=700\nEMBEDDING_MODEL=vec\n")
    question = ["--prompt", "puppy?"]
    assert previewed(question, shop.model, monkeypatch)
    printed = capsys.readouterr()
    assert (printed.out.startswith("Be brief."), "A hound is welcome." in printed.out, printed.err) == (True, True, "")
    shop.model.error = ModelError(ModelFailure.UNAVAILABLE, "away")
    assert previewed(question, shop.model, monkeypatch)
    printed = capsys.readouterr()
    assert ("A hound is welcome." in printed.out, "words alone: away" in printed.err) == (False, True)
    assert not previewed([], shop.model, monkeypatch)


async def test_the_answer_to_a_question_is_printed_with_what_was_found(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first passage is the one by meaning; without an answer there is the reason."""
    asked: list[str] = []

    async def ask(messages: Sequence[Mapping[str, str]]) -> str:
        asked.append(messages[0]["content"])
        if len(asked) > 1:
            raise ModelError(ModelFailure.UNAVAILABLE, "away")
        return "Yes, bring it."

    for is_answered in (True, False):
        given = Assistant(Settings(knowledge_max_bytes=700, embedding_model="vec"), Platform("llm"), folder=shop.folder)
        assert await print_answer(given, "may I bring a puppy?", ask, shop.model.embed) is is_answered
    printed = capsys.readouterr().out
    assert printed.splitlines()[1] == "- all.md: Pets"
    assert "\nYes, bring it.\n" in printed
    assert printed.endswith("\nNo answer: away\n")
    assert "A hound is welcome." in asked[0]


def test_rankings_are_fused_by_reciprocal_ranks() -> None:
    """What stands in both comes first; without a second ranking the first stays as it is."""
    assert fused("abc", "cx") == ["c", "a", "b", "x"]
    assert fused("abc", "") == ["a", "b", "c"]
    assert fused("", "xy") == ["x", "y"]
    assert fused("ab", "ba") == ["a", "b"]
