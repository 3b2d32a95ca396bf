"""People who text the number: the webhook, its signature, keywords, TwiML, lost and repeated deliveries."""

from __future__ import annotations

from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator

from relay.channels.sms.settings import SIMULATED_AUTH_TOKEN, SIMULATED_PHONE_NUMBER
from tests.simulator.running_simulator import ADA_PHONE, Receiver, RunningSimulator


def text(sim: RunningSimulator, body: str, **more: Any) -> Any:
    return sim.sim("POST", "sms/send", json={"from": ADA_PHONE, "body": body, **more})


def test_a_text_reaches_the_webhook_with_all_fields_and_a_valid_signature(
    sim: RunningSimulator, hook: Receiver
) -> None:
    """Blank fields are there too, and are signed."""
    result = text(sim, " Hi & bye = 1 \n")
    got = hook.next()
    assert result == {
        "message_sid": got.form["MessageSid"],
        "webhook_status": 200,
        "webhook_body": "<Response/>",
        "error": None,
    }
    assert got.form["Body"] == " Hi & bye = 1 \n"
    assert (got.form["From"], got.form["To"], got.form["NumMedia"]) == (ADA_PHONE, SIMULATED_PHONE_NUMBER, "0")
    assert got.form["FromCity"] == ""
    validator = RequestValidator(SIMULATED_AUTH_TOKEN)
    assert validator.validate(f"{hook.url}/sms/webhook", got.form, got.headers["x-twilio-signature"])


def test_an_unsigned_text_has_no_signature(sim: RunningSimulator, hook: Receiver) -> None:
    """For tests of a server that must refuse it."""
    text(sim, "x", unsigned=True)
    assert "x-twilio-signature" not in hook.next().headers


def test_pictures_come_as_urls_that_can_be_read(sim: RunningSimulator, hook: Receiver) -> None:
    """Media without text is a message of its own, behind the account's credentials."""
    text(sim, "", media=["image/png", "video/mp4"])
    form = hook.next().form
    assert (form["NumMedia"], form["MediaContentType1"], form["Body"]) == ("2", "video/mp4", "")
    assert form["MessageSid"].startswith("MM")
    path = form["MediaUrl0"].removeprefix(sim.base)
    assert sim.http.get(path).status_code == 401
    account = (form["AccountSid"], SIMULATED_AUTH_TOKEN)
    store = sim.http.get(path, auth=account).headers["location"]
    assert sim.http.get(store).content.startswith(b"\x89PNG")
    assert sim.http.get(store, auth=account).status_code == 400, "the store refuses a second kind of credentials"


def test_a_file_of_the_tester_is_sent_and_served_as_it_is(sim: RunningSimulator, hook: Receiver) -> None:
    """By both providers; in the browser it is no page, whatever is in it."""
    content, headers = b"<svg><script>alert(1)</script></svg>" * 50_000, {"Content-Type": "image/svg+xml"}
    file = sim.http.post("/sim/files?name=x.svg", content=content, headers=headers).json()["file"]
    text(sim, "look", files=[file])
    form = hook.next().form
    assert (form["NumMedia"], form["MediaContentType0"]) == ("1", "image/svg+xml")
    path = form["MediaUrl0"].removeprefix(sim.base)
    store = sim.http.get(path, auth=(form["AccountSid"], SIMULATED_AUTH_TOKEN)).headers["location"]
    assert sim.http.get(store).content == content
    shown = sim.http.get(f"/sim/files/{file}")
    assert (shown.content, shown.headers["content-disposition"]) == (content, "attachment")
    assert "sandbox" in shown.headers["content-security-policy"]


def test_a_repeated_sid_is_one_bubble(sim: RunningSimulator, hook: Receiver) -> None:
    """The webhook comes twice, the person wrote once."""
    first = text(sim, "once")
    text(sim, "once", sid=first["message_sid"])
    assert hook.next().form["MessageSid"] == hook.next().form["MessageSid"]
    assert len(sim.bubbles("sms", "Ada", "in")) == 1


@pytest.mark.parametrize(("status", "shown"), [(200, "received"), (204, "received"), (403, "failed"), (500, "failed")])
def test_the_answer_of_the_webhook_decides_about_the_bubble(
    sim: RunningSimulator, hook: Receiver, status: int, shown: str
) -> None:
    """No retry by default: a failure is 11200 and the text is gone."""
    hook.answers = [(status, "")]
    assert text(sim, "x")["webhook_status"] == status
    bubble = sim.bubbles("sms", "Ada", "in")[0]
    assert (bubble["status"], bubble["error_code"]) == (shown, None if shown == "received" else 11200)
    assert hook.requests.qsize() == 1


def test_a_fragment_asks_for_retries_and_is_not_signed(sim: RunningSimulator, hook: Receiver) -> None:
    """#rc and #rp work as they do at Twilio; the token of the retries is the same."""
    sim.sim("POST", "options", json={"twilio_webhook_url": f"{hook.url}/sms/webhook#rc=3&rp=all"})
    hook.answers = [(503, ""), (503, "")]
    assert text(sim, "x")["webhook_status"] == 200
    requests = [hook.next() for _ in range(3)]
    assert len({request.headers["i-twilio-idempotency-token"] for request in requests}) == 1
    validator = RequestValidator(SIMULATED_AUTH_TOKEN)
    assert validator.validate(f"{hook.url}/sms/webhook", requests[2].form, requests[2].headers["x-twilio-signature"])


def test_a_webhook_without_a_server_is_reported(sim: RunningSimulator) -> None:
    """Reported, not raised: the caller of the control API decides."""
    result = text(sim, "x")
    assert result["webhook_status"] is None
    assert "connection failed" in result["error"]
    assert sim.sim("GET", "stats")["webhooks"] == {"failed": 1}


def test_a_slow_webhook_runs_into_the_read_timeout(sim: RunningSimulator) -> None:
    """The simulator's own route answers too late here; the text is lost as at Twilio."""
    sim.fault(target="telegram", method="getMe", effect="slow", seconds=30, count=1)
    url = f"{sim.base}/bot5150000000:SIMULATED-bot-token-of-the-try-out-mode/getMe"
    sim.sim("POST", "options", json={"twilio_webhook_url": url, "twilio_read_seconds": 0.2})
    try:
        assert text(sim, "x")["error"] == "no answer in time"
    finally:
        sim.sim("POST", "options", json={"twilio_read_seconds": 15})


def test_a_message_in_twiml_is_texted(sim: RunningSimulator, hook: Receiver) -> None:
    """The old way of answering; entities of XML are decoded."""
    hook.answers = [(200, "<Response><Message><Body>1 &lt; 2</Body></Message><Message>two</Message></Response>")]
    text(sim, "x")
    assert [bubble["text"] for bubble in sim.bubbles("sms", "Ada")] == ["1 < 2", "two"]


@pytest.mark.parametrize(
    "body", ["<Response><Message>", "<Message", "{}", "\0", "<!DOCTYPE x [<!ENTITY a 'b'>]><Message/>"]
)
def test_twiml_that_is_no_xml_is_ignored(sim: RunningSimulator, hook: Receiver, body: str) -> None:
    """Error 12100 at Twilio: no phone gets a message, nothing breaks."""
    hook.answers = [(200, body)]
    assert text(sim, "x")["webhook_status"] == 200
    assert [one["text"] for one in sim.bubbles("sms", "Ada") if one["text"]] == []


def test_stop_blocks_until_start(sim: RunningSimulator, hook: Receiver) -> None:
    """Twilio answers itself, refuses sends with 21610, and the webhook still hears the words."""
    client = sim.twilio()
    text(sim, " stop ")
    assert hook.next().form["Body"] == " stop "
    assert [bubble["sender"] for bubble in sim.bubbles("sms", "Ada")] == ["twilio"]
    with pytest.raises(TwilioRestException) as caught:
        client.messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="x")
    assert caught.value.code == 21610
    text(sim, "Unstop")
    client.messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="welcome back")
    assert [bubble["sender"] for bubble in sim.bubbles("sms", "Ada")] == ["twilio", "twilio", "bot"]


@pytest.mark.parametrize("body", ["stop please", "YES", "start", "hello"])
def test_other_words_are_no_business_of_twilio(sim: RunningSimulator, hook: Receiver, body: str) -> None:
    """Only whole keywords count, and START is not answered for a user who never stopped."""
    text(sim, body)
    assert hook.next().form["Body"] == body
    assert sim.bubbles("sms", "Ada") == []


def test_help_is_answered_by_twilio(sim: RunningSimulator, hook: Receiver) -> None:
    """Also by the newer word INFO."""
    text(sim, "Info")
    assert hook.next().form["Body"] == "Info"
    assert len(sim.bubbles("sms", "Ada")) == 1


def test_a_text_over_the_limit_is_cut(sim: RunningSimulator, hook: Receiver) -> None:
    """Twilio truncates inbound texts; an emoji is never cut in two."""
    text(sim, "x" * 1599 + "😀")
    assert hook.next().form["Body"] == "x" * 1599


def test_a_send_to_a_stranger_creates_the_stranger(sim: RunningSimulator) -> None:
    """The manual test with curl has an answer that can be seen."""
    sim.twilio().messages.create(to="+12345678900", from_=SIMULATED_PHONE_NUMBER, body="hi")
    assert sim.bubbles("sms", "+12345678900")[0]["text"] == "hi"
    assert "+12345678900" in [person["phone_number"] for person in sim.sim("GET", "people")["people"]]


@pytest.mark.parametrize(("effect", "deliveries"), [("duplicate", 2), ("lose", 0)])
def test_deliveries_are_repeated_or_lost_by_fault(
    sim: RunningSimulator, hook: Receiver, effect: str, deliveries: int
) -> None:
    """The same MessageSid twice, or not at all."""
    sim.fault(target="twilio_webhook", effect=effect, count=1)
    result = text(sim, "x")
    assert hook.requests.qsize() == deliveries
    assert (result["webhook_status"] is None) == (deliveries == 0)


def test_texts_overtake_one_another_by_fault(sim: RunningSimulator, hook: Receiver) -> None:
    """The first is held back, and the second arrives meanwhile."""
    sim.fault(target="twilio_webhook", effect="disorder", seconds=30, count=1)
    assert text(sim, "first")["error"] == "held back by a fault"
    text(sim, "second")
    assert hook.next().form["Body"] == "second"


def test_a_text_that_was_held_back_arrives_after_all(sim: RunningSimulator, hook: Receiver) -> None:
    """When its time is over."""
    sim.fault(target="twilio_webhook", effect="disorder", seconds=0.05, count=1)
    assert text(sim, "late")["error"] == "held back by a fault"
    assert hook.next().form["Body"] == "late"
