"""The SMS server on a real socket: the way of a message, proofs, bad input, reports, the operator's verbs, start."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from relay.channels.sms.settings import SIMULATED_AUTH_TOKEN
from relay.config.errors import SettingsError
from relay.storage import sqlite_file
from sms_server import EMPTY_TWIML, create_app
from tests.channels.harness import model_reply
from tests.channels.scripted_server import HANG, Reply
from tests.channels.sms.sms_harness import PERSON, TOKEN, SmsHarness, running_sms_server
from tests.english import english
from tests.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
REAL = {"simulated": False, "validate_twilio_signature": None}


SECRET = SecretStr(TOKEN)


@pytest.fixture
async def sms(tmp_path: Path) -> AsyncIterator[SmsHarness]:
    """In try-out mode: unsigned messages from this machine are taken."""
    async with running_sms_server(tmp_path) as one:
        yield one


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[SmsHarness]:
    """With an account: only signed messages are taken."""
    async with running_sms_server(tmp_path, **REAL, twilio_auth_token=SECRET) as one:
        yield one


# -- the way of a message ----------------------------------------------------------------------------------------------


async def test_a_person_registers_asks_and_is_answered(sms: SmsHarness) -> None:
    """The whole dialog, through the REST API and in order."""
    for number, body in enumerate(["hi", "name=John", "What is up?", "name=Mary"], 1):
        response = await sms.text(body)
        assert (response.status_code, response.text) == (200, EMPTY_TWIML)
        assert response.headers["content-type"].startswith("text/xml")
        await sms.twilio.wait_for_requests(number)
    hello, welcome, reply, renamed = sms.texts()
    assert "name=" in hello
    assert "John" in welcome
    assert reply == "Hello from the model."
    assert "Mary" in renamed
    [request] = sms.questions()
    question = json.loads(request.body)["messages"]
    assert "John" in question[0]["content"]
    assert question[-1] == {"role": "user", "content": "What is up?"}


STORY = "".join(f"Chapter {number} of the story. " for number in range(150))


async def test_a_long_answer_is_texted_in_order(tmp_path: Path) -> None:
    """Part after part, each accepted before the next goes."""
    async with running_sms_server(tmp_path, sms_max_segments=100) as sms:
        await sms.text("name=John")
        await sms.twilio.wait_for_requests(1)
        sms.model.script.append(model_reply(STORY))
        await sms.text("Tell me a long story")
        await sms.twilio.wait_for_requests(4)
        assert [text[:5] for text in sms.texts()[1:]] == ["(1/3)", "(2/3)", "(3/3)"]


async def test_more_brings_the_rest_without_the_model_and_the_model_knows_it(sms: SmsHarness) -> None:
    """It is part of the answer in the history; a new answer makes an end of the old rest."""
    await sms.text("name=John")
    await sms.twilio.wait_for_requests(1)
    sms.model.script.append(model_reply(STORY))
    for number, body in enumerate(("Tell me a long story", "MORE", "Thanks a lot", "More"), 2):
        await sms.text(body)
        await sms.twilio.wait_for_requests(number)
    first, second, third, fourth = sms.texts()[1:]
    assert first.endswith("(Text MORE for the rest.)")
    assert second.startswith(f"Chapter {first.count('Chapter')} of")
    assert third == fourth == "Hello from the model."
    assert len(sms.questions()) == 3
    known = [one["content"] for one in json.loads(sms.questions()[1].body)["messages"] if one["role"] == "assistant"]
    assert known == [first, second]


async def test_a_new_owner_of_a_number_inherits_nothing(sms: SmsHarness) -> None:
    """Neither history nor name nor a rest; the next text is the first one of somebody unknown."""
    await sms.text("name=John")
    await sms.twilio.wait_for_requests(1)
    sms.model.script.append(model_reply(STORY))
    for number, body in enumerate(("Tell me a long story", "Forget me", "What did I say?"), 2):
        await sms.text(body)
        await sms.twilio.wait_for_requests(number)
    assert english("sms-forgotten") in sms.texts()
    assert "name=" in sms.texts()[-1]
    assert sms.rows("select name, state from users") == [(None, "new")]
    assert "rest" not in sms.rows("select settings from users")[0][0]
    assert [role for (role,) in sms.rows("select role from conversations order by id")] == ["user", "assistant"]
    status = (await sms.client.get("/sms/status")).json()
    assert (status["total_users"], status["total_messages"]) == (0, 2)


async def test_spending_is_shown_and_ends_at_its_cap_with_one_sentence(tmp_path: Path) -> None:
    """The first texts cost 2 * 0.0083 in and 2 * 0.012 out; what comes then is kept unanswered. STOP still counts."""
    async with running_sms_server(tmp_path, sms_user_daily_usd=0.04) as sms:
        for number, body in enumerate(("name=John", "What is up?", "And now?"), 1):
            await sms.text(body)
            await sms.twilio.wait_for_requests(number)
        await sms.text("And so?")
        await sms.until("select count(*) from inbound where state = 'done'", (4,))
        spending = (await sms.client.get("/sms/status")).json()["spending"]
        assert sms.texts()[2] == "That is all that I can send you today. Please write again tomorrow."
        assert len(sms.texts()) == 3
        assert spending["caps_usd"] == {"user_day": 0.04, "day": 50.0, "month": 500.0}
        assert (spending["today"]["segments_in"], spending["today"]["segments_out"]) == (4, 3)
        assert spending["today"]["usd"] == spending["month"]["usd"] == pytest.approx(4 * 0.0083 + 3 * 0.012)
        assert [one["user_id"] for one in spending["users_today"]] == [PERSON]
        await sms.text("Stop.")
        await sms.twilio.wait_for_requests(4)
        assert sms.texts()[3] == english("sms-stopped")


@pytest.mark.parametrize("cap", ["sms_daily_usd", "sms_monthly_usd"])
async def test_a_cap_of_all_is_one_of_each(cap: str, tmp_path: Path) -> None:
    """Nobody is answered, each person gets one sentence, and the operator sees why."""
    async with running_sms_server(tmp_path, **{cap: 0.02}) as sms:
        await sms.text("name=John")
        await sms.twilio.wait_for_requests(1)
        await sms.text("name=Ann", From="+12345678901")
        await sms.twilio.wait_for_requests(2)
        assert "any more for now" in sms.texts()[1]
        assert (await sms.client.get("/sms/status")).json()["spending"]["cap_reached"] == cap


async def test_a_model_that_hangs_for_many_keeps_no_part_from_being_sent(tmp_path: Path) -> None:
    """Each of them holds a connection; a text of the operator's goes out at once."""
    async with running_sms_server(tmp_path, sms_registration="off", stop_seconds=0.5) as sms:
        sms.model.script.extend([HANG] * 300)
        await asyncio.gather(*(sms.text("hello", From=f"+1415555{number:04}") for number in range(130)))
        await sms.model.wait_for_requests(130)
        body = {"phone_number": PERSON, "message": "We are busy."}
        assert (await sms.client.post("/sms/send", json=body)).status_code == 202
        await sms.twilio.wait_for_requests(1)
        assert sms.texts() == ["We are busy."]


async def test_a_question_before_registration_is_answered_behind_the_confirmation(sms: SmsHarness) -> None:
    """Several are answered in one answer, in their order; the prompt comes once."""
    await sms.text("When do you open on Sundays?")
    await sms.twilio.wait_for_requests(1)
    await sms.text("And on Mondays?")
    await sms.until("select count(*) from inbound where state = 'held'", (2,))
    await sms.text("John")
    await sms.twilio.wait_for_requests(3)
    prompt, welcome, reply = sms.texts()
    assert "name=" in prompt
    assert "John" in welcome
    assert reply == "Hello from the model."
    [request] = sms.questions()
    assert json.loads(request.body)["messages"][-1]["content"] == "When do you open on Sundays?\nAnd on Mondays?"
    history = [text for (text,) in sms.rows("select message from conversations where role = 'user' order by id")]
    assert history == ["John", "When do you open on Sundays?\nAnd on Mondays?"]
    assert sms.rows("select message_count from users") == [(5,)]


async def test_a_name_and_a_question_in_one_text_are_both_taken(sms: SmsHarness) -> None:
    """Confirmed, then answered."""
    await sms.text("name=John, what time is it?")
    await sms.twilio.wait_for_requests(2)
    assert "John!" in sms.texts()[0]
    assert json.loads(sms.questions()[0].body)["messages"][-1]["content"] == "what time is it?"


# -- opting out --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "confirmations"), [("STOP", 0), ("Stop!", 1)])
async def test_stop_ends_a_question_that_the_model_works_on(word: str, confirmations: int, sms: SmsHarness) -> None:
    """It counts when it is stored: the answer that comes later is not sent, and START brings it."""
    await sms.text("name=John")
    await sms.twilio.wait_for_requests(1)
    answering = asyncio.Event()
    sms.model.script.append(replace(model_reply("Too late."), after=answering))
    await sms.text("Tell me something")
    await sms.wait_for_question()
    await sms.text(word)
    assert sms.rows("select state from users") == [("stopped",)]
    await sms.twilio.wait_for_requests(1 + confirmations)
    answering.set()
    await sms.text(word)
    await sms.text("START")
    await sms.twilio.wait_for_requests(2 + 2 * confirmations)
    confirmed = [english("sms-stopped"), english("sms-back")] if confirmations else []
    assert sms.texts()[1:] == [*confirmed, "Hello from the model."]


async def test_stop_ends_a_question_that_waits_for_the_model(sms: SmsHarness) -> None:
    """No notice and no answer goes out while the model is down or when it is back."""
    await sms.text("name=John")
    await sms.twilio.wait_for_requests(1)
    sms.model.otherwise = Reply(503)
    await sms.text("Tell me something")
    await sms.until("select max(failures) from inbound", (1,))
    await sms.text("STOP")
    assert sms.rows("select count(*) from inbound where state = 'received'") == [(0,)]
    assert sms.rows("select count(*) from outbound where state = 'planned'") == [(0,)]


# -- proofs ------------------------------------------------------------------------------------------------------------

FIELDS = {"From": PERSON, "Body": "hello", "FromCity": "", "MessageSid": "SM1"}


async def test_a_signed_message_is_taken(strict: SmsHarness) -> None:
    """Blank fields are part of what is signed."""
    assert (await strict.signed("/sms/webhook", FIELDS)).status_code == 200
    await strict.twilio.wait_for_requests(1)


@pytest.mark.parametrize("how", [{"token": "wrong"}, {"signature": ""}, {"signature": "x" * 28}, {"url": "http://x/"}])
async def test_a_forged_message_is_403_and_leaves_nothing(how: dict[str, str], strict: SmsHarness) -> None:
    """Wrong secret, no signature, another URL: refused before anything is stored."""
    response = await strict.signed("/sms/webhook", FIELDS, **how)
    assert response.status_code == 403
    assert TOKEN not in response.text
    assert strict.rows("select count(*) from inbound") == [(0,)]


@pytest.mark.parametrize("path", ["/sms/webhook", "/sms/delivery"])
async def test_an_unsigned_message_is_403_with_an_account(path: str, strict: SmsHarness) -> None:
    """Both webhooks want the proof."""
    response = await strict.client.post(path, data=FIELDS)
    assert response.status_code == 403
    assert set(response.json()) == {"error", "hint"}


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("curl")), reason="openssl or curl is missing")
async def test_the_command_of_the_hint_works_as_printed(strict: SmsHarness) -> None:
    """Copied out of the answer as curl shows it, with the token in the environment."""
    shown = (await strict.client.post("/sms/webhook", data=FIELDS)).text
    command = re.search(r"curl '.*base64\)", shown)
    assert command is not None
    process = await asyncio.create_subprocess_shell(
        f"{command[0]} -s -o /dev/null -w %{{http_code}}",
        stdout=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "TWILIO_AUTH_TOKEN": TOKEN},
    )
    status, _ = await process.communicate()
    assert status == b"200"
    assert strict.rows("select user_id from inbound") == [(PERSON,)]


async def test_behind_a_tunnel_the_public_url_is_what_counts(tmp_path: Path) -> None:
    """Twilio signs what it was told to call; our own host name is unknown to it."""
    public = "https://relay.example.com"
    async with running_sms_server(tmp_path, **REAL, twilio_auth_token=SECRET, public_url=public) as sms:
        right = await sms.signed("/sms/webhook", FIELDS, url="https://relay.example.com/sms/webhook")
        wrong = await sms.signed("/sms/webhook", FIELDS)
    assert (right.status_code, wrong.status_code) == (200, 403)
    assert "https://relay.example.com/sms/webhook" in wrong.json()["hint"]


@pytest.mark.parametrize("host", ["evil.example", "x';rm -rf ~;'", "[::1"])
async def test_a_strange_host_never_enters_the_command(host: str, strict: SmsHarness) -> None:
    """The hint is meant to be pasted into a shell."""
    response = await strict.client.post("/sms/webhook", data=FIELDS, headers={"Host": host})
    assert response.status_code in {400, 403}
    assert "rm -rf" not in response.text


@pytest.mark.parametrize("query", ["a" * 40_000, "a=b&" * 5000, "%20" * 9000, "Body=" + "%F0%9F%91%8B" * 900])
@pytest.mark.parametrize("path", ["/sms/webhook", "/sms/delivery"])
async def test_a_refusal_is_short_whatever_was_asked_for(path: str, query: str, strict: SmsHarness) -> None:
    """A long URL is not repeated, neither in the answer nor in the log."""
    response = await strict.client.post(f"{path}?{query}", data=FIELDS)
    assert response.status_code == 403
    assert len(response.content) < 1000
    assert "curl '" in response.json()["hint"]


async def test_in_try_out_mode_a_signature_that_is_there_must_fit(sms: SmsHarness) -> None:
    """The simulator signs; another signature is not the simulator's."""
    right = await sms.signed("/sms/webhook", FIELDS, token=SIMULATED_AUTH_TOKEN)
    wrong = await sms.signed("/sms/webhook", FIELDS, token="other")
    assert (right.status_code, wrong.status_code) == (200, 403)


async def test_the_check_can_be_switched_off_in_so_many_words(tmp_path: Path) -> None:
    """An operator whose proxy rewrites URLs may say so; then nothing is checked."""
    async with running_sms_server(tmp_path, simulated=False, validate_twilio_signature=False) as sms:
        assert (await sms.signed("/sms/webhook", FIELDS, token="other")).status_code == 200


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"garbage \xff\x00", "text/plain"),
        (b'{"From": "+12345678900"}', "application/json"),
        (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--", "multipart/form-data; boundary=x"),
        (b"From=%2B12345678900&From=%2B12345678901&Body=x", "application/x-www-form-urlencoded"),
        (b"MessageSid=SM7&Body=x", "application/x-www-form-urlencoded"),
        (b"From=%00&Body=%00", "application/x-www-form-urlencoded"),
    ],
)
async def test_what_cannot_be_understood_is_kept_raw_once(content: bytes, content_type: str, sms: SmsHarness) -> None:
    """Answered 200, so that Twilio does not call it an error, and kept where the operator sees it."""
    for _ in range(2):
        response = await sms.client.post("/sms/webhook", content=content, headers={"Content-Type": content_type})
        assert (response.status_code, response.text) == (200, EMPTY_TWIML)
    assert sms.rows("select state, count(*) from inbound group by state") == [("dead", 1)]
    assert (await sms.client.get("/sms/status")).json()["dead_letters"] == 1


@pytest.mark.parametrize(
    "body",
    [
        b"From=%2B12345678900&Body=%00a%00",
        b"From=+12345678900&Body=\xff\xfe",
        "From=+12345678900&Body=שלום 👋".encode(),
    ],
)
async def test_odd_letters_are_answered_all_the_same(body: bytes, sms: SmsHarness) -> None:
    """NUL, broken UTF-8, right to left, and a plus that was not escaped."""
    response = await sms.client.post("/sms/webhook", content=body)
    assert response.status_code == 200
    assert (await sms.twilio.wait_for_requests(1))[0].form["To"] == [PERSON]


async def test_half_a_character_from_an_operator_is_mended(sms: SmsHarness) -> None:
    """JSON may hold what no text can: it is sent as U+FFFD."""
    body = b'{"phone_number": "+12345678900", "message": "a\\ud83d\\u0000b"}'
    response = await sms.client.post("/sms/send", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in {202, 422}
    if response.status_code == 202:
        assert (await sms.twilio.wait_for_requests(1))[0].form["Body"] == ["a\ufffdb"]


async def test_a_danger_to_the_database_is_in_status_and_readiness(
    sms: SmsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes on working, so it is ready all the same."""
    assert "database_warning" not in (await sms.client.get("/ready")).json()
    monkeypatch.setattr(sqlite_file, "WAL_WARNING_BYTES", 1)
    await sms.text("name=John")
    await sms.twilio.wait_for_requests(1)  # by then a transaction began after the first that wrote the log
    ready, status = [(await sms.client.get(path)).json() for path in ("/ready", "/sms/status")]
    assert "write-ahead log" in ready["database_warning"]
    assert (ready["ready"], "write-ahead log" in status["database_warning"]) == (True, True)


async def test_while_the_database_is_locked_twilio_is_told_to_come_back(tmp_path: Path) -> None:
    """503 and nothing lost or half stored; when the lock is gone all works by itself."""
    async with running_sms_server(tmp_path, database_timeout_seconds=0.1) as sms:
        lock = sqlite3.connect(sms.database, isolation_level=None)
        lock.execute("begin immediate")
        refused_now = await sms.text("hi", MessageSid="SM1")
        assert (refused_now.status_code, (await sms.client.get("/ready")).status_code) == (503, 503)
        assert refused_now.headers["retry-after"]
        lock.execute("rollback")
        lock.close()
        while (await sms.text("hi", MessageSid="SM1")).status_code == 503:
            pass  # a tenth of a second may be too short for a busy disk as well, and Twilio would come again
        await sms.twilio.wait_for_requests(1)


async def test_our_own_number_is_not_answered(sms: SmsHarness) -> None:
    """Or we would talk to ourselves for ever."""
    await sms.text("hi", From="+15550100000")
    await sms.text("hi")
    await sms.twilio.wait_for_requests(1)
    assert sms.twilio.requests[0].form["To"] == [PERSON]


# -- delivery reports --------------------------------------------------------------------------------------------------


def part_id(request: Any) -> str:
    return str(request.form["StatusCallback"][0].partition("part=")[2].partition("#")[0])


async def report(sms: SmsHarness, part: str, status: str, **fields: str) -> httpx.Response:
    data = {"MessageSid": "SM" + "a" * 32, "MessageStatus": status, "To": PERSON, **fields}
    return await sms.client.post(f"/sms/delivery?part={part}", data=data)


async def test_an_opt_out_that_a_report_tells_of_is_kept(sms: SmsHarness) -> None:
    """21610 may come by callback as well."""
    await sms.text("name=John")
    [request] = await sms.twilio.wait_for_requests(1)
    await report(sms, part_id(request), "failed", ErrorCode="21610")
    assert sms.rows("select state from users") == [("stopped",)]


async def test_a_report_sent_to_the_webhook_is_a_report_all_the_same(sms: SmsHarness) -> None:
    """A console that sends both to one address loses nothing and is told nothing."""
    data = {"MessageSid": "SM1", "SmsStatus": "delivered", "MessageStatus": "delivered", "From": PERSON, "To": PERSON}
    assert (await sms.client.post("/sms/webhook", data=data)).status_code == 200
    assert sms.rows("select count(*) from inbound") == [(0,)]


# -- the operator's routes ---------------------------------------------------------------------------------------------


async def test_the_status_tells_what_was_promised(sms: SmsHarness) -> None:
    """The documented fields, and people page by page."""
    await sms.text("name=John")
    await sms.text("name=Ann", From="+12345678901")
    await sms.twilio.wait_for_requests(2)
    await sms.until("select count(*) from outbound where state = 'accepted'", (2,))
    status = (await sms.client.get("/sms/status", params={"limit": 1, "offset": 1})).json()
    assert (status["total_users"], status["users_by_platform"]) == (2, {"sms": 2, "whatsapp": 0, "telegram": 0})
    assert set(status["messages_by_platform"]) == {"sms", "whatsapp", "telegram"}
    assert (len(status["users"]), status["limit"], status["offset"]) == (1, 1, 1)
    assert status["cost"]["segments"] >= 2
    assert status["cost"]["sms_usd_estimate"] > 0
    assert status["simulated"] is True
    expected = {"queue_depth", "oldest_unanswered_seconds", "delivery", "model", "last_errors"}
    expected |= {"sending_paused", "sending_outage"}
    assert set(status) >= expected


async def test_sending_answers_with_the_id_and_the_state(sms: SmsHarness) -> None:
    """Through the outbox, with the number in E.164 and the text as it stands."""
    response = await sms.client.post("/sms/send", json={"phone_number": "(234) 567-8900", "message": "**Hi** 👋"})
    body = response.json()
    assert (response.status_code, body["phone_number"]) == (202, PERSON)
    assert body["id"]
    assert body["state"] in {"planned", "sending", "accepted"}
    [request] = await sms.twilio.wait_for_requests(1)
    assert request.form["Body"] == ["**Hi** 👋"]
    assert part_id(request) == body["parts"][0]["id"]


async def test_clearing_a_history_says_how_much_went(sms: SmsHarness) -> None:
    """By the number as people write it; the person stays known."""
    await sms.text("name=John")
    await sms.text("hello")
    await sms.twilio.wait_for_requests(2)
    before = sms.rows("select count(*) from conversations")[0][0]
    response = await sms.client.delete("/sms/user/%2B12345678900/history")
    assert response.json() == {"phone_number": PERSON, "removed": before}
    assert before >= 2
    assert (await sms.client.delete("/sms/user/1-234-567-8900/history")).json()["removed"] == 0


# -- start -------------------------------------------------------------------------------------------------------------


def test_without_credentials_there_is_no_server() -> None:
    """The sentence names the keys, and the way to try without an account."""
    with pytest.raises(SettingsError, match=r"twilio_account_sid, twilio_auth_token.*--demo"):
        create_app(Settings())


def test_the_program_ends_with_one_sentence_and_status_2(tmp_path: Path) -> None:
    """No traceback for a setting that is missing."""
    run = subprocess.run(
        [sys.executable, str(ROOT / "sms_server.py")],
        cwd=tmp_path,
        env={"PATH": "/usr/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 2
    assert "start_all_servers.py --demo" in run.stderr
    assert "Traceback" not in run.stderr
