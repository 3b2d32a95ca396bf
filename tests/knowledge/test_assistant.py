"""The system prompt: identity, instructions, documents and time, as they are now."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from relay.config.errors import SettingsError
from relay.config.loading import load_settings
from relay.config.settings import Settings
from relay.core.messages import Platform
from relay.core.prompt import Knowledge
from relay.knowledge.assistant import MAX_SOURCES, REFRESH_SECONDS, Assistant
from relay.llm.chat import ChatMessage, ChatRequest
from relay.llm.providers.demo import reply
from relay.llm.providers.faq import Faq

SMS = Platform("sms")
FRIDAY = 1_795_780_800.0  # 2026-11-27 12:00 UTC


class Clock:
    """Seconds since the epoch, advanced by a test."""

    now = FRIDAY

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def assistant(folder: Path, clock: Clock, **values: Any) -> Assistant:
    return Assistant(Settings(**values), SMS, folder=folder, clock=clock)


async def prompt(given: Assistant, question: str = "?") -> str:
    return (await given("You answer text messages.", question)).text


async def test_without_settings_and_documents_only_the_time_is_added(tmp_path: Path, clock: Clock) -> None:
    """A model that knows no date would guess one."""
    text = await prompt(assistant(tmp_path, clock))
    assert text.startswith("You answer text messages.")
    assert text.endswith("It is Friday, 2026-11-27, 12:00 (UTC).")
    assert "documents" not in text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"assistant_name": "Willow"}, "Your name is Willow."),
        ({"business_name": "the Linde inn"}, "You speak for the Linde inn."),
        ({"instructions": "# Tone\nBe warm."}, "# Tone\nBe warm."),
        ({"channel_instructions": {"sms": "No links."}}, "No links."),
        ({"timezone": "Asia/Tokyo"}, "It is Friday, 2026-11-27, 21:00 (Asia/Tokyo)."),
        ({"knowledge_only": True}, "say that you do not know it"),
    ],
)
async def test_a_setting_is_in_the_prompt(tmp_path: Path, clock: Clock, values: dict[str, Any], expected: str) -> None:
    """Each one by itself."""
    assert expected in await prompt(assistant(tmp_path, clock, **values))


async def test_instructions_for_another_channel_are_left_out(tmp_path: Path, clock: Clock) -> None:
    """A channel has its own additions."""
    given = assistant(tmp_path, clock, channel_instructions={"telegram": "Use tables."})
    assert "tables" not in await prompt(given)


def test_an_unknown_time_zone_is_refused_with_advice(tmp_path: Path) -> None:
    """Before the first question, not at it."""
    with pytest.raises(SettingsError, match="Europe/Berlin"):
        load_settings(Settings, tmp_path, {"TIMEZONE": "Berlin"})


async def test_a_small_folder_is_given_whole(tmp_path: Path, clock: Clock) -> None:
    """Then no search can miss it, in any language; the sources are what the search finds for the question."""
    (tmp_path / "knowledge").mkdir()
    (tmp_path / "knowledge" / "a.md").write_text("# Hours\n9-18\n# Parking\nBehind us")
    (tmp_path / "knowledge" / "b.txt").write_text("Tea costs 4.")
    given = assistant(tmp_path, clock)
    built = await given("", "¿hola?")
    assert built.sources == ()
    for question, sources in (("your hours", ("a.md: Hours",)), ("what costs tea", ("b.txt",))):
        assert (await given("", question)).sources == sources
    for expected in ('<passage source="a.md" title="Hours">\n9-18\n</passage>', "Behind us", "Tea costs 4."):
        assert expected in built.text


async def test_of_a_large_folder_the_fitting_passages_are_given_within_the_budget(tmp_path: Path, clock: Clock) -> None:
    """The rest of the folder costs nothing."""
    (tmp_path / "knowledge").mkdir()
    rows = "\n".join(f"# Article {number}\nsome words about thing{number} and more" for number in range(200))
    (tmp_path / "knowledge" / "all.md").write_text(rows)
    given = assistant(tmp_path, clock, knowledge_max_bytes=1000)
    built = await given("", "what about thing77?")
    assert "thing77" in built.text
    assert built.text.count("<passage") < 10
    assert built.sources[0] == "all.md: Article 77"
    assert len(built.sources) <= MAX_SOURCES
    assert sum(passage.size for passage in given.find("what about thing77?")) <= 1000


async def test_what_is_not_used_is_known_to_the_operator(tmp_path: Path, clock: Clock) -> None:
    """How many passages there are, and a sentence for each file that is not used and for wrong settings."""
    (tmp_path / "knowledge").mkdir()
    (tmp_path / "knowledge" / "a.md").write_text("# Hours\n9-18")
    (tmp_path / "knowledge" / "scan.pdf").write_bytes(b"no pdf")
    (tmp_path / ".env").write_text("")

    def reread() -> Settings:
        return load_settings(Settings, tmp_path, {})

    given = Assistant(reread(), SMS, reread=reread, folder=tmp_path, clock=clock)
    assert await given.knowledge() == Knowledge()
    assert "9-18" in await prompt(given)
    assert (await given.knowledge()).passages == 1
    (tmp_path / ".env").write_text("ASSISTANT_NAM=Eve\n")
    await given.refresh()
    scan, settings = (await given.knowledge()).problems
    assert scan.startswith("scan.pdf: it cannot be read")
    assert "assistant_nam" in settings.lower()
    (tmp_path / ".env").write_text("")
    (tmp_path / "knowledge" / "scan.pdf").unlink()
    await given.refresh()
    assert await given.knowledge() == Knowledge(1)


async def test_every_question_waits_until_the_documents_were_read_once(tmp_path: Path, clock: Clock) -> None:
    """Also the second one, which comes while they are read for the first."""
    (tmp_path / "faq.json").write_text('{"entries": [{"questions": ["parking"], "answer": "Behind us"}]}')
    given = assistant(tmp_path, clock)
    assert ["Behind us" in text for text in await asyncio.gather(prompt(given), prompt(given))] == [True, True]


async def test_the_model_names_the_topic_of_its_answer_on_request(tmp_path: Path, clock: Clock) -> None:
    """Only beside documents: without them it would invent one."""
    assert "in parentheses" not in await prompt(assistant(tmp_path, clock, knowledge_name_source=True))
    (tmp_path / "faq.json").write_text('{"entries": [{"questions": ["parking"], "answer": "See FAQ"}]}')
    assert "in parentheses" in await prompt(assistant(tmp_path, clock, knowledge_name_source=True))
    assert "in parentheses" not in await prompt(assistant(tmp_path, clock))


async def test_changed_documents_and_settings_count_from_the_next_question(tmp_path: Path, clock: Clock) -> None:
    """Without a restart; wrong settings leave the old ones in force."""
    (tmp_path / "knowledge").mkdir()
    (tmp_path / ".env").write_text("ASSISTANT_NAME=Ann\n")

    def reread() -> Settings:
        return load_settings(Settings, tmp_path, {})

    given = Assistant(reread(), SMS, reread=reread, folder=tmp_path, clock=clock)
    assert "Your name is Ann." in await prompt(given)
    for name, text, expected in (
        ("knowledge/a.md", "Tea costs 4.", "Tea costs 4."),
        (".env", "ASSISTANT_NAME=Bob\n", "Your name is Bob."),
        (".env", "ASSISTANT_NAM=Eve\n", "Your name is Bob."),
    ):
        (tmp_path / name).write_text(text)
        clock.now += REFRESH_SECONDS
        await given.refresh()
        assert expected in await prompt(given)


def test_the_demo_answers_from_the_documents_in_the_prompt(tmp_path: Path, clock: Clock) -> None:
    """What is not in its FAQ, and only what is like the question."""
    (tmp_path / "knowledge").mkdir()
    (tmp_path / "knowledge" / "a.md").write_text("# Opening hours\n9 to 18\n# Parking\nBehind the house {name}")
    entries = [
        {"questions": ["parking"], "answer": "See FAQ"},
        {"questions": ["hours", "hello"], "answer": "I am a demo", "demo": True},
    ]
    (tmp_path / "faq.json").write_text(json.dumps({"entries": entries}))
    given = assistant(tmp_path, clock)
    given._refresh()
    system = ChatMessage("system", given.build("", given.find("")).text)

    def answer(question: str) -> str:
        return reply(Faq(tmp_path / "faq.json"), ChatRequest(messages=(system, ChatMessage("user", question))))

    (tmp_path / "faq.json").rename(tmp_path / "other.json")
    assert answer("your opening hours") == "From *Opening hours*:\n\n9 to 18"
    assert "faq.json is missing" in answer("quantum mechanics")
    (tmp_path / "other.json").rename(tmp_path / "faq.json")
    assert answer("your opening hours") == "From *Opening hours*:\n\n9 to 18"
    assert answer("Are you open, what are your hours?") == "From *Opening hours*:\n\n9 to 18"
    assert answer("parking") == "See FAQ"
    assert answer("is there parking") == "See FAQ"
    assert answer("hello there") == "I am a demo"
    assert answer("hours") == "I am a demo"
    assert "not an AI" in answer("quantum mechanics")
