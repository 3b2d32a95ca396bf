"""The control API: people, transcripts, waiting, events, faults, options, and who may use it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from relay.channels.sms.settings import SIMULATED_ACCOUNT_SID, SIMULATED_AUTH_TOKEN, SIMULATED_PHONE_NUMBER
from tests.simulator.running_simulator import ADA, ADA_PHONE, BEN_PHONE, PATIENCE, RunningSimulator

SMS_LIST = f"/2010-04-01/Accounts/{SIMULATED_ACCOUNT_SID}/Messages.json"
TWILIO_AUTH = (SIMULATED_ACCOUNT_SID, SIMULATED_AUTH_TOKEN)


def sms(sim: RunningSimulator, body: str, to: str = ADA_PHONE, **more: str) -> httpx.Response:
    form = {"To": to, "From": SIMULATED_PHONE_NUMBER, "Body": body, **more}
    return sim.http.post(SMS_LIST, data=form, auth=TWILIO_AUTH)


def test_a_password_of_the_console_does_not_lock_the_phones(sim: RunningSimulator) -> None:
    """The set-up asks for it while the phones are open; they answer this machine alone, with and without one."""
    assert sim.http.get("/sim/people").status_code == 200
    assert sim.http.get("/sim/people", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 403


def test_a_new_person_has_everything_made_up_that_was_left_out(sim: RunningSimulator) -> None:
    """And is found by each of it."""
    person = sim.sim("POST", "people", json={"name": "Chloé"})["person"]
    for key in ("id", "name", "phone_number"):
        seen = sim.sim("GET", "transcript", params={"platform": "sms", "person": person[key]})
        assert seen["person"]["id"] == person["id"]
    seen = sim.sim("GET", "transcript", params={"platform": "telegram", "person": person["chat_id"]})
    assert seen["person"]["id"] == person["id"]


def test_a_number_with_a_bare_plus_in_the_query_is_not_found_as_404(sim: RunningSimulator) -> None:
    """A plain curl does not encode the plus, and it arrives as a blank."""
    answer = sim.http.get(f"/sim/transcript?platform=sms&person={ADA_PHONE}")
    assert answer.json()["person"]["name"] == "Ada"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "X", "phone_number": ADA_PHONE}, 409),
        ({"name": "X", "chat_id": ADA}, 409),
        ({"name": "X", "phone_number": "12"}, 422),
        ({"name": "X", "chat_id": -5}, 422),
        ({"name": ""}, 422),
        ({"name": "X", "phone": "+1"}, 422),
        ({}, 422),
    ],
)
def test_a_person_that_cannot_be_is_refused(sim: RunningSimulator, body: dict[str, Any], status: int) -> None:
    """With the reason and what to do."""
    answer = sim.http.post("/sim/people", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert answer.json()["hint"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("sms/send", {"from": "nobody", "body": "x"}),
        ("sms/send", {"body": "x"}),
        ("telegram/send", {"chat_id": ADA}),
        ("telegram/send", {"chat_id": ADA, "text": "x", "edit_of": 1}),
        ("telegram/send", {"chat_id": "x", "text": "x"}),
        ("telegram/send", {"chat_id": ADA, "text": "x", "kind": "opera"}),
        ("telegram/raw", []),
        ("telegram/block", {"chat_id": 42}),
        ("telegram/stop", {"chat_id": ADA}),
        ("telegram/migrate", {"chat_id": ADA}),
        ("faults", {"target": "twilio", "effect": "lose"}),
        ("faults", {"target": "telegram_update", "effect": "cut"}),
        ("faults", {"target": "moon", "effect": "cut"}),
        ("faults", {"target": "twilio", "effect": "cut", "count": 0}),
        ("options", {}),
        ("options", {"twilio_webhook_url": "file:///etc/passwd"}),
        ("options", {"no_such": 1}),
    ],
)
def test_a_mistake_gets_a_sentence(sim: RunningSimulator, path: str, body: Any) -> None:
    """4xx with error and hint, and nothing happens."""
    answer = sim.http.post(f"/sim/{path}", json=body)
    assert answer.status_code in {404, 422}
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "query", ["", "?platform=fax&person=Ada", "?platform=sms&person=Nobody", "?platform=sms&person="]
)
def test_an_unknown_transcript_gets_a_sentence(sim: RunningSimulator, query: str) -> None:
    """4xx with what to do."""
    answer = sim.http.get(f"/sim/transcript{query}")
    assert answer.status_code in {404, 422}
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("sms/send", b'{"from": "+12025550101", "body": "\\ud83d"}'),
        ("telegram/send", b'{"chat_id": 700000001, "text": "\\ud83d"}'),
    ],
)
def test_half_a_character_is_refused(sim: RunningSimulator, path: str, body: bytes) -> None:
    """422 in words; it could not be shown either."""
    answer = sim.http.post(f"/sim/{path}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "half a character" in answer.json()["error"]


def test_waiting_ends_with_the_message(sim: RunningSimulator) -> None:
    """No sleeping in tests: the answer comes when there is more than before."""
    sms(sim, "first")
    with ThreadPoolExecutor() as pool:
        query = {"platform": "sms", "person": "Ada", "after": 1, "timeout": 20}
        waiting = pool.submit(sim.sim, "GET", "wait", params=query)
        sms(sim, "second")
        seen = waiting.result(PATIENCE)
    assert (seen["reached"], seen["outgoing"], seen["bubbles"][1]["text"]) == (True, 2, "second")


def test_one_can_wait_for_the_first_message_to_a_stranger(sim: RunningSimulator) -> None:
    """The number has no user until the message comes."""
    with ThreadPoolExecutor() as pool:
        query = {"platform": "sms", "person": "+12345678900", "timeout": 20}
        waiting = pool.submit(sim.sim, "GET", "wait", params=query)
        sms(sim, "hello stranger", "+12345678900")
        assert waiting.result(PATIENCE)["bubbles"][0]["text"] == "hello stranger"


def test_waiting_for_certain_words_passes_over_others(sim: RunningSimulator) -> None:
    """Also a message that was edited later."""
    query = {"platform": "sms", "person": "Ada", "contains": "needle", "timeout": 0.05}
    sms(sim, "hay")
    assert sim.sim("GET", "wait", params=query)["reached"] is False
    sms(sim, "a needle in it")
    assert sim.sim("GET", "wait", params=query)["reached"] is True


def test_events_tell_of_every_bubble(sim: RunningSimulator) -> None:
    """The page shows nothing else."""
    with sim.http.stream("GET", "/sim/events") as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data: "))
        assert json.loads(next(lines).removeprefix("data: ")) == {"simulated": True}
        sms(sim, "héllo")
        event = json.loads(next(lines).removeprefix("data: "))
    assert (event["type"], event["key"], event["bubble"]["text"]) == ("bubble", ADA_PHONE, "héllo")


@pytest.mark.parametrize(
    ("fault", "status", "code", "sent"),
    [
        ({"effect": "status", "retry_after": 7}, 429, 20429, 0),
        ({"effect": "status", "status": 429, "code": 63038}, 429, 63038, 0),
        ({"effect": "status", "status": 503}, 503, 20503, 0),
        ({"effect": "status", "status": 500, "when": "after"}, 500, 20500, 1),
        ({"effect": "slow", "seconds": 0.01}, 201, None, 1),
        ({"effect": "slow", "seconds": 0.01, "when": "after"}, 201, None, 1),
    ],
)
def test_a_fault_strikes_as_often_as_it_says(
    sim: RunningSimulator, fault: dict[str, Any], status: int, code: int | None, sent: int
) -> None:
    """Once here; the request after it goes well."""
    sim.fault(target="twilio", method="messages.create", count=1, **fault)
    answer = sms(sim, "x")
    assert (answer.status_code, answer.json().get("code")) == (status, code)
    assert answer.headers.get("retry-after") == (str(fault["retry_after"]) if "retry_after" in fault else None)
    assert len(sim.bubbles("sms", ADA_PHONE)) == sent
    assert sms(sim, "y").status_code == 201
    assert sim.sim("GET", "faults")["faults"] == []


def test_a_broken_answer_is_half_a_page(sim: RunningSimulator) -> None:
    """201 with HTML: accepted, and the client cannot know."""
    sim.fault(target="twilio", effect="broken", when="after", count=1)
    answer = sms(sim, "x")
    assert (answer.status_code, answer.headers["content-type"]) == (201, "text/html; charset=utf-8")
    assert len(sim.bubbles("sms", ADA_PHONE)) == 1


def test_a_fault_may_mean_certain_requests_only(sim: RunningSimulator) -> None:
    """By method and by text; it can be switched off again."""
    sim.fault(target="telegram", method="sendMessage", effect="status", status=502, contains="cursed")
    sim.write("/start")
    assert sim.ok("getMe")
    assert sim.ok("sendMessage", chat_id=ADA, text="blessed")
    assert sim.bot("sendMessage", chat_id=ADA, text="cursed")["error_code"] == 502
    assert sim.sim("GET", "faults")["faults"][0]["used"] == 1
    assert sim.sim("DELETE", "faults") == {"removed": 1}
    assert sim.ok("sendMessage", chat_id=ADA, text="cursed")
    assert sim.http.delete("/sim/faults/999").status_code == 404


def test_chances_repeat_themselves_with_a_seed(sim: RunningSimulator) -> None:
    """A campaign can be run again."""

    def rolls() -> list[int]:
        sim.sim("POST", "reset", json={"seed": 7})
        sim.fault(target="twilio", effect="status", status=500, chance=0.5)
        return [sms(sim, "x").status_code for _ in range(12)]

    first = rolls()
    assert first == rolls()
    assert set(first) == {201, 500}


def test_telegram_faults_have_telegrams_shape(sim: RunningSimulator) -> None:
    """retry_after rides in the parameters."""
    sim.fault(target="telegram", method="getMe", effect="status", retry_after=9, count=1)
    assert sim.bot("getMe")["parameters"] == {"retry_after": 9}


def test_a_fault_leaves_a_trace_of_what_it_struck_and_of_the_next_try(sim: RunningSimulator) -> None:
    """The page shows it: that nothing is lost can be seen."""
    sim.fault(target="twilio", method="messages.create", effect="status", status=500, count=1)
    assert sms(sim, "hello", ADA_PHONE).status_code == 500
    (struck,) = sim.sim("GET", "faults")["strikes"]
    assert (struck["target"], struck["method"], struck["text"]) == ("twilio", "messages.create", "hello")
    assert (struck["status"], struck["again_after"]) == (500, None)
    assert sms(sim, "another", ADA_PHONE).status_code == 201
    assert sim.sim("GET", "faults")["strikes"][0]["again_after"] is None
    assert sms(sim, "hello", ADA_PHONE).status_code == 201
    assert sim.sim("GET", "faults")["strikes"][0]["again_after"] >= 0
    sim.sim("POST", "reset")
    assert sim.sim("GET", "faults") == {"faults": [], "strikes": []}


def test_repetitions_are_counted(sim: RunningSimulator) -> None:
    """The same text, and the same part, twice to the same person."""
    callback = "http://127.0.0.1:9/d?part=p7"
    for to in (ADA_PHONE, ADA_PHONE, BEN_PHONE):
        sms(sim, "again", to, StatusCallback=callback)
    stats = sim.sim("GET", "stats")
    assert stats["duplicate_texts"] == [{"platform": "sms", "key": ADA_PHONE, "text": "again", "count": 2}]
    assert stats["duplicate_parts"] == [{"platform": "sms", "key": ADA_PHONE, "part_key": "p7", "count": 2}]
    assert stats["answers"] == {"twilio.messages.create 201": 3}


def test_a_reset_forgets_all_but_two_fresh_people(sim: RunningSimulator) -> None:
    """Opt-outs, messages, faults and updates are gone."""
    sim.write("/start")
    sms(sim, "x", "+12345678900")
    sim.fault(target="twilio", effect="cut")
    sim.sim("POST", "reset")
    assert [person["name"] for person in sim.sim("GET", "people")["people"]] == ["Ada", "Ben"]
    assert sim.bubbles("telegram", ADA, "in") == []
    assert sim.sim("GET", "faults")["faults"] == []
    assert sim.ok("getUpdates") == []


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "1.2.3.4"},
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"CF-Connecting-IP": "1.2.3.4"},
    ],
)
def test_the_control_api_answers_this_machine_only(sim: RunningSimulator, headers: dict[str, str]) -> None:
    """Through a tunnel, a foreign name or a foreign page: 403."""
    assert sim.http.get("/sim/people", headers=headers).status_code == 403
    assert sim.http.post("/sim/reset", headers=headers).status_code == 403
    assert sim.http.get("/health", headers=headers).status_code == 200


def test_the_page_loads_nothing_from_elsewhere_and_lets_no_script_in(sim: RunningSimulator) -> None:
    """Its files are here, a policy forbids others, and it says what it is."""
    page = sim.http.get("/")
    assert "Simulated" in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    names = [part.split('"')[0] for part in page.text.split("/page/")[1:]]
    assert {sim.http.get(f"/page/{name}").status_code for name in names} == {200}


@pytest.mark.parametrize("name", ["..%2f..%2fconfig.json", "nothing.js", "%2e%2e", "../page_routes.py"])
def test_no_other_file_is_served(sim: RunningSimulator, name: str) -> None:
    """Only what lies in the page's folder."""
    assert sim.http.get(f"/page/{name}").status_code == 404
