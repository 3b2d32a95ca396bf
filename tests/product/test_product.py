"""End to end: the launcher, all servers as processes, the simulator, a scripted model."""

from __future__ import annotations

import base64
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.product.running_product import SERVERS, Phone, RunningProduct
from tests.product.scripted_model import ScriptedModel, echo

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    scripted = ScriptedModel()
    yield scripted
    scripted.close()


@pytest.fixture(scope="module")
def product(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    folder: Path = tmp_path_factory.mktemp("product")
    (folder / "knowledge").mkdir()
    (folder / "knowledge" / "hours.md").write_text("# Hours\nOpen from 9 to 18.")
    (folder / ".env").write_text('BUSINESS_NAME=Willow\nCHANNEL_INSTRUCTIONS={"sms": "No links, please."}\n')
    source = {"LLM_SOURCE": "openai", "OPENAI_BASE_URL": model.url, "OPENAI_MODEL": "scripted"}
    running = RunningProduct(folder, **source, TRANSCRIPTION_BASE_URL=model.url)
    running.start()
    yield running
    running.close()


def test_a_stranger_is_asked_for_a_name_registers_renames_and_is_answered(product: RunningProduct) -> None:
    """The first conversation of the owner's guide, by text message."""
    alice = Phone(product, "sms", "Alice")
    assert "name=" in alice.ask("Hello?")
    assert "Alice" in alice.ask("name=Alice")
    assert alice.ask("What is new?") == "You said: What is new?"
    assert "Alicia" in alice.ask("name=Alicia")
    status = product.call("GET", product.url("sms_server") + "/sms/status", params={"limit": 500})
    names = {user["user_id"]: user["name"] for user in status["users"]}
    assert names[alice.address] == "Alicia"
    assert status["simulated"] is True


def test_start_registers_on_telegram_and_the_commands_answer(product: RunningProduct) -> None:
    """The same by Telegram, over long polling."""
    bob = Phone(product, "telegram", "Bob")
    assert "Bob" in bob.ask("/start")
    assert "/setname" in bob.ask("/help")
    assert "Robert" in bob.ask("/setname Robert")
    assert bob.ask("Good morning") == "You said: Good morning"
    assert "Robert" in bob.ask("/status")


@pytest.mark.parametrize("platform", ["sms", "telegram"])
def test_the_model_is_shown_exactly_the_last_five_exchanges(
    product: RunningProduct, model: ScriptedModel, platform: str
) -> None:
    """Six questions later the first one is forgotten and the other five are there, in order."""
    carol = Phone(product, platform, "Carol")
    carol.ask("name=Carol" if platform == "sms" else "/start")
    for number in range(1, 8):
        carol.ask(f"{platform} question {number}")
    shown = model.questions(f"{platform} question 7")[-1]
    contents = [line["content"] for line in shown if line["role"] != "system"]
    pairs = [(f"{platform} question {n}", f"You said: {platform} question {n}") for n in range(2, 7)]
    assert contents == [*(text for pair in pairs for text in pair), f"{platform} question 7"]


@pytest.mark.parametrize("platform", ["sms", "telegram"])
def test_the_model_is_shown_instructions_and_documents(
    product: RunningProduct, model: ScriptedModel, platform: str
) -> None:
    """On both platforms, from the folder of the settings, each with its own additions."""
    eve = Phone(product, platform, "Eve")
    eve.ask("name=Eve" if platform == "sms" else "/start")
    eve.ask(f"when are you open? ({platform})")
    system, *_ = model.questions(f"when are you open? ({platform})")[-1]
    assert system["role"] == "system"
    text = str(system["content"])
    assert "You speak for Willow." in text
    assert '<passage source="hours.md" title="Hours">\nOpen from 9 to 18.' in text
    assert ("No links, please." in text) == (platform == "sms")


PICTURES = [b"\x89PNG\r\n\x1a\n" + bytes([number]) * 200_000 for number in range(10)]


def _registered(product: RunningProduct, platform: str, name: str) -> Phone:
    phone = Phone(product, platform, name)
    phone.ask(f"name={name}" if platform == "sms" else "/start")
    return phone


def _pictures_of(messages: list[dict[str, Any]]) -> list[bytes]:
    """The pictures in the last message of a request, in OpenAI's form."""
    parts = messages[-1]["content"]
    assert isinstance(parts, list), parts
    addresses = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    return [base64.b64decode(address.partition(",")[2]) for address in addresses]


@pytest.mark.parametrize("platform", ["sms", "telegram"])
def test_the_model_sees_the_picture_that_a_phone_sends(
    product: RunningProduct, model: ScriptedModel, platform: str
) -> None:
    """Every byte of it, through the provider's store and the LLM server; and the console shows it."""
    fay = _registered(product, platform, "Fay")
    model.answer = lambda _: "A rose."
    try:
        fay.send_files(PICTURES[0], media_type="image/jpeg", text=f"what plant is this ({platform})?")
        assert fay.next_reply() == "A rose."
        assert _pictures_of(model.questions(f"what plant is this ({platform})?")[-1]) == PICTURES[:1]
        fay.send_files(PICTURES[1], media_type="image/jpeg")
        assert fay.next_reply() == "A rose."
        assert _pictures_of(model.requests[-1]) == PICTURES[1:2]
    finally:
        model.answer = echo
    console = product.url("admin_server")
    page = product.http.get(f"{console}/person", params={"platform": platform, "id": fay.address}).text
    address = re.search(r'<img class="sent" src="(/media/[0-9a-f]{64})', page)
    assert address
    shown = product.http.get(console + address[1])
    assert (shown.content, shown.headers["content-type"]) == (PICTURES[0], "image/png")


@pytest.mark.parametrize("platform", ["sms", "telegram"])
def test_what_is_spoken_is_answered(product: RunningProduct, model: ScriptedModel, platform: str) -> None:
    """The recording reaches the transcription server whole, and its words are the message."""
    gus = _registered(product, platform, "Gus")
    recording, model.transcript = b"OggS\x00\x02" + bytes(5000) + platform.encode(), f"spoken on {platform}"
    gus.send_files(recording, media_type="audio/ogg", kind="voice")
    assert gus.next_reply() == f"You said: spoken on {platform}"
    assert sum(recording in content for content in model.recordings) == 1
    history = product.http.get(
        f"{product.url('admin_server')}/person", params={"platform": platform, "id": gus.address}
    ).text
    assert f"spoken on {platform}" in history
    assert "<audio controls" in history


@pytest.mark.parametrize("platform", ["sms", "telegram"])
def test_ten_pictures_are_one_question(product: RunningProduct, model: ScriptedModel, platform: str) -> None:
    """An album of Telegram, an MMS without words."""
    hal = _registered(product, platform, "Hal")
    model.answer = lambda _: "Ten."
    try:
        hal.send_files(*PICTURES, media_type="image/png")
        assert hal.next_reply() == "Ten."
        assert _pictures_of(model.requests[-1]) == PICTURES
    finally:
        model.answer = echo
    assert hal.received()[-1:] == ["Ten."]


def test_what_is_said_on_one_platform_is_unknown_on_the_other(product: RunningProduct, model: ScriptedModel) -> None:
    """The same person by text message and by Telegram: two separate conversations."""
    by_text, by_bot = Phone(product, "sms", "Dora"), Phone(product, "telegram", "Dora")
    by_text.ask("name=Dora")
    by_bot.ask("/start")
    by_text.ask("my secret is 4711")
    by_bot.ask("what is my secret (telegram)?")
    shown = model.questions("what is my secret (telegram)?")[-1]
    assert "4711" not in str(shown)


@pytest.mark.parametrize("platform", ["sms", "telegram"])
def test_a_server_killed_while_the_model_works_answers_once_after_its_restart(
    product: RunningProduct, model: ScriptedModel, platform: str
) -> None:
    """Kill -9 in the middle of an answer: nothing is lost, nothing comes twice, the order holds."""
    erin = Phone(product, platform, "Erin")
    erin.ask("name=Erin" if platform == "sms" else "/start")
    model.gate.clear()
    before = len(model.requests)
    erin.send(f"{platform} before the crash")
    while len(model.requests) == before:
        assert model.asked.acquire(timeout=60)
    erin.send(f"{platform} right behind it")
    while product.sim("GET", "stats")["waiting_updates"]:
        time.sleep(0.01)  # what was not fetched before the kill would be answered separately
    product.kill(f"{platform}_server")
    model.gate.set()
    product.await_ready(f"{platform}_server")
    # Both wait when the server is back, so they are merged into one exchange.
    both = f"You said: {platform} before the crash\n{platform} right behind it"
    assert erin.next_reply() == both
    assert erin.ask("And now?") == "You said: And now?"
    assert erin.received()[1:] == [both, "You said: And now?"]


def test_a_long_answer_comes_in_parts_that_each_platform_takes(product: RunningProduct, model: ScriptedModel) -> None:
    """Numbered texts of at most 1,600 characters; Telegram messages of at most 4,096 with whole code blocks."""
    frank, grace = Phone(product, "sms", "Frank"), Phone(product, "telegram", "Grace")
    frank.ask("name=Frank")
    grace.ask("/start")
    long = "# Title\n\n" + "\n\n".join(f"Paragraph {n} with **bold** words and more of them. " * 4 for n in range(24))
    model.answer = lambda messages: long if "long" in str(messages[-1]["content"]) else echo(messages)
    try:
        first = frank.ask("something long please")
        assert first.startswith("(1/")
        count = int(first[3 : first.index(")")])
        texts = [first, *(frank.next_reply() for _ in range(count - 1))]
        assert all(len(text) <= 1600 for text in texts)
        assert [text[: text.index(")") + 1] for text in texts] == [f"({n}/{count})" for n in range(1, count + 1)]
        assert "**" not in "".join(texts)
        bubbles = [grace.ask("something long please"), grace.next_reply()]
        assert all(len(text) <= 4096 for text in bubbles)
        assert "Paragraph 23" in bubbles[1]
        assert "**" not in "".join(bubbles)
    finally:
        model.answer = echo


def test_the_manual_test_of_the_guide_works_with_plain_form_fields(product: RunningProduct) -> None:
    """An unsigned POST from this machine is accepted while no account is configured, and answered by text."""
    product.sim("POST", "people", json={"name": "Somebody", "phone_number": "+12345678900"})
    written_by_curl = b"From=+12345678900&Body=test message"  # curl -d encodes nothing, so the plus means a space
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = product.http.post(product.url("sms_server") + "/sms/webhook", content=written_by_curl, headers=form)
    assert (answer.status_code, "Response" in answer.text) == (200, True)
    query = {"platform": "sms", "person": "+12345678900", "after": 0, "timeout": 60}
    transcript = product.sim("GET", "wait", params=query)
    assert "name=" in transcript["bubbles"][-1]["text"]


def test_an_operator_sends_by_hand_and_clears_a_history(product: RunningProduct) -> None:
    """Both platforms: the message arrives, the history says how many lines it lost."""
    for platform, key in (("sms", "phone_number"), ("telegram", "chat_id")):
        henry = Phone(product, platform, "Henry")
        henry.ask("name=Henry" if platform == "sms" else "/start")
        server = product.url(f"{platform}_server")
        sent = product.call(
            "POST", f"{server}/{platform}/send", json={key: henry.address, "message": "We close at six."}
        )
        assert sent["state"] in {"planned", "sending", "accepted", "sent", "delivered"}
        assert henry.next_reply() == "We close at six."
        if platform == "sms":
            body = {key: henry.address, "message": "The menu.", "media_urls": ["https://example.com/menu.png"]}
            product.call("POST", f"{server}/sms/send", json=body)
            assert henry.next_reply() == "The menu."
            assert henry.bubbles()[-1]["media"] == ["https://example.com/menu.png"]
            wrong = product.http.post(f"{server}/sms/send", json={**body, "media_urls": ["file:///etc/passwd"]})
            assert wrong.status_code == 422
        cleared = product.call("DELETE", f"{server}/{platform}/user/{henry.address}/history")
        assert cleared["removed"] >= 1
        again = product.call("DELETE", f"{server}/{platform}/user/{henry.address}/history")
        assert again["removed"] == 0


def test_everything_ends_with_its_launcher_and_remembers_every_user(product: RunningProduct) -> None:
    """After kill -9 no server is left, their ports are free and the people known; SIGTERM ends all with status 0."""
    Phone(product, "sms", "Iris").ask("name=Iris")
    servers = [product.process(server) for server in SERVERS]
    product.launcher.kill()
    product.launcher.wait(60)
    assert psutil.wait_procs(servers, timeout=60)[1] == []
    product.start()
    status = product.call("GET", product.url("sms_server") + "/sms/status", params={"limit": 500})
    assert "Iris" in {user["name"] for user in status["users"]}
    servers = [product.process(server) for server in SERVERS]
    assert product.stop() == 0
    assert not any(server.is_running() for server in servers)
    with closing(sqlite3.connect(product.folder / "product.db")) as database:
        assert database.execute("SELECT count(*) FROM users WHERE name = 'Iris'").fetchone() == (1,)
