"""What the AI drafts for an operator: it is shown in the form, and nothing of it is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.core.messages import UserId
from relay.core.prompt import NO_ANSWER
from relay.storage.schema import conversations, outbound
from tests.console.running import browsing, listening, opened, settings_after
from tests.console.sample_data import ALICE, SampleData, alice_asks
from tests.settings import Settings

FORM = {"platform": "sms", "id": ALICE}


class DraftingModel:
    """Stands for the LLM server: keeps what it is asked, and answers with one text."""

    def __init__(self, text: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self._text = text
        self.app = Starlette(routes=[Route("/api/chat", self._chat, methods=["POST"])])

    async def _chat(self, request: Request) -> Response:
        self.asked.append(await request.json())
        lines = ({"message": {"content": self._text}, "done": False}, {"message": {"content": ""}, "done": True})
        return Response("".join(f"{json.dumps(line)}\n" for line in lines), media_type="application/x-ndjson")


async def alice_waits(database: MessagingDatabase) -> None:
    """An operator has taken over from the AI, and two messages of Alice wait."""
    await alice_asks(database)
    for text in ("And 6 times 8?", "Quickly!"):
        await SampleData(database).receive(SMS, ALICE, text)
    assert await database.take_over(SMS, UserId(ALICE), 3600)


async def stored(settings: Settings) -> list[int]:
    """How many messages the history has, and how many parts were planned."""
    async with opened(settings) as database:
        return await database.query(
            lambda connection: [
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (conversations, outbound)
            ]
        )


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prompt is printed by the channel's own program, which must find no `.env` of a developer."""
    monkeypatch.chdir(tmp_path)


async def test_a_draft_answers_what_was_written_last_and_is_only_shown(tmp_path: Path) -> None:
    """The model gets the prompt of the channel and the conversation; what the operator has typed stays before it."""
    model = DraftingModel("It is <48>.")
    async with listening(model.app) as url:
        settings = await settings_after(alice_waits, tmp_path, llm_server_port=int(url.rpartition(":")[2]))
        before = await stored(settings)
        async with browsing(settings) as browser:
            page = await browser.post("/person/draft", data={**FORM, "message": "Hello Alice,"})
    [asked] = model.asked
    assert "text messages (SMS)" in asked["messages"][0]["content"]
    assert [message["content"] for message in asked["messages"][1:]] == [
        *("What is 6 times 7?", "It is 42."),
        "And 6 times 8?\nQuickly!",
    ]
    assert (page.status_code, "\nHello Alice,\n\nIt is &lt;48&gt;.</textarea>" in page.text) == (200, True)
    assert await stored(settings) == before


@pytest.mark.parametrize(
    ("story", "answer", "reason"),
    [
        (alice_asks, "", "There is nothing to answer: the latest message is ours."),
        (alice_waits, NO_ANSWER, "its documents have no answer"),
        (alice_waits, None, "the LLM server"),
    ],
)
async def test_without_a_draft_the_page_gives_the_reason(
    tmp_path: Path, story: Any, answer: str | None, reason: str
) -> None:
    """Nothing to answer, no answer in the documents, or no model; what the operator has typed stays."""
    async with listening(DraftingModel(answer or "").app) as url:
        running = {} if answer is None else {"llm_server_port": int(url.rpartition(":")[2])}
        settings = await settings_after(story, tmp_path, **running)
        async with browsing(settings) as browser:
            page = await browser.post("/person/draft", data={**FORM, "message": "Hello Alice,"})
    assert page.status_code == 502
    assert reason in page.text
    assert "\nHello Alice,</textarea>" in page.text


async def test_only_known_people_get_a_draft(tmp_path: Path) -> None:
    """An unknown address is refused before the model is asked."""
    async with browsing(await settings_after(alice_asks, tmp_path)) as browser:
        assert (await browser.post("/person/draft", data={**FORM, "id": "+12025550199"})).status_code == 404
