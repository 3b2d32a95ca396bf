"""The stand-in for Twilio's REST API, reached by the real SDK."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException

from relay.channels.sms.settings import SIMULATED_ACCOUNT_SID, SIMULATED_AUTH_TOKEN, SIMULATED_PHONE_NUMBER
from tests.simulator.running_simulator import ADA_PHONE, BEN_PHONE, Receiver, RunningSimulator

LIST = f"/2010-04-01/Accounts/{SIMULATED_ACCOUNT_SID}/Messages.json"
AUTH = (SIMULATED_ACCOUNT_SID, SIMULATED_AUTH_TOKEN)


def test_a_message_is_queued_and_reaches_the_person(sim: RunningSimulator) -> None:
    """The SDK gets the Message resource, the person a bubble."""
    made = sim.twilio().messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="Hello Ada")
    assert (made.status, made.direction, made.num_segments, made.error_code) == ("queued", "outbound-api", "1", None)
    assert made.sid is not None
    assert made.sid.startswith("SM")
    assert [bubble["text"] for bubble in sim.bubbles("sms", ADA_PHONE)] == ["Hello Ada"]


def test_every_state_but_the_first_is_reported_with_a_signature(sim: RunningSimulator, hook: Receiver) -> None:
    """Status callbacks carry our part id and can be checked with the SDK's validator."""
    url = f"{hook.url}/sms/delivery?part=abc"
    sim.twilio().messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="x", status_callback=url)
    reports = [hook.next() for _ in range(3)]
    assert [report.form["MessageStatus"] for report in reports] == ["sending", "sent", "delivered"]
    assert all(report.path == "/sms/delivery?part=abc" and "x-twilio-signature" in report.headers for report in reports)
    assert sim.bubbles("sms", ADA_PHONE)[0]["part_key"] == "abc"


def test_no_report_holds_up_the_message_or_overtakes_another(sim: RunningSimulator, hook: Receiver) -> None:
    """However long a server thinks about the first one: the message arrives meanwhile, and the others come in order."""
    hook.gate.clear()
    made = sim.twilio().messages.create(
        to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="x", status_callback=f"{hook.url}/d"
    )
    first = hook.next()
    while made.fetch().status != "delivered":
        pass
    assert hook.requests.empty()
    hook.gate.set()
    assert [report.form["MessageStatus"] for report in (first, hook.next(), hook.next())] == [
        "sending",
        "sent",
        "delivered",
    ]


def test_a_report_is_overtaken_by_fault(sim: RunningSimulator, hook: Receiver) -> None:
    """As it may be at Twilio, which promises no order."""
    sim.fault(target="twilio_callback", method="sending", effect="disorder", seconds=30)
    sim.twilio().messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="x", status_callback=hook.url)
    assert [hook.next().form["MessageStatus"] for _ in range(2)] == ["sent", "delivered"]


def test_a_messaging_service_accepts_before_it_queues(sim: RunningSimulator, hook: Receiver) -> None:
    """Without a sender yet there are no segments, and the first report is queued."""
    made = sim.twilio().messages.create(
        to=ADA_PHONE, messaging_service_sid="MG" + "a" * 32, body="x", status_callback=hook.url
    )
    assert (made.status, made.num_segments, made.from_) == ("accepted", "0", None)
    assert [hook.next().form["MessageStatus"] for _ in range(4)] == ["queued", "sending", "sent", "delivered"]


@pytest.mark.parametrize(
    ("to", "body", "status", "code"),
    [
        ("+15005550001", "x", 400, 21211),
        ("+15005550002", "x", 400, 21612),
        ("+15005550003", "x", 400, 21408),
        ("+15005550004", "x", 400, 21610),
        ("+15005550009", "x", 400, 21614),
        ("12025550101", "x", 400, 21211),
        ("+12", "x", 400, 21211),
        ("nonsense", "x", 400, 21211),
        ("12345", "x", 400, 21211),
        ("123", "x", 400, 21211),
        ("whatsapp:+12025550101", "x", 400, 21910),
        (SIMULATED_PHONE_NUMBER, "x", 400, 21266),
        (ADA_PHONE, "", 400, 21602),
        (ADA_PHONE, "x" * 1601, 400, 21617),
        (ADA_PHONE, "😀" * 801, 400, 21617),
    ],
)
def test_what_twilio_would_refuse_is_refused(sim: RunningSimulator, to: str, body: str, status: int, code: int) -> None:
    """Code and HTTP status are Twilio's, and no phone shows the message."""
    with pytest.raises(TwilioRestException) as caught:
        sim.twilio().messages.create(to=to, from_=SIMULATED_PHONE_NUMBER, body=body)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert sim.bubbles("sms", ADA_PHONE) == []


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"Body": "x", "From": SIMULATED_PHONE_NUMBER}, 21604),
        ({"Body": "x", "To": ADA_PHONE}, 21603),
        ({"Body": "x", "To": ADA_PHONE, "From": "+12025550199"}, 21606),
        ({"Body": "x", "To": ADA_PHONE, "MessagingServiceSid": "MGx"}, 21705),
        ({"Body": "x", "To": ADA_PHONE, "From": SIMULATED_PHONE_NUMBER, "StatusCallback": "http://a_b.example"}, 21609),
        ({"Body": "x", "To": ADA_PHONE, "From": SIMULATED_PHONE_NUMBER, "StatusCallback": "http://[::1"}, 21609),
        ({"Body": "x", "To": ADA_PHONE, "From": SIMULATED_PHONE_NUMBER, "ValidityPeriod": "36001"}, 21624),
        ({}, 21604),
    ],
)
def test_a_form_that_lacks_something_is_refused(sim: RunningSimulator, form: dict[str, str], code: int) -> None:
    """What the SDK would not even send is refused as well."""
    answer = sim.http.post(LIST, data=form, auth=AUTH)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_sixteen_hundred_characters_are_taken(sim: RunningSimulator) -> None:
    """The limit itself is allowed, and billed by segments of 153."""
    made = sim.twilio().messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="x" * 1600)
    assert made.num_segments == "11"


@pytest.mark.parametrize(
    "auth", [("AC" + "0" * 32, SIMULATED_AUTH_TOKEN), (SIMULATED_ACCOUNT_SID, "wrong"), ("", ""), ("ü", "ü")]
)
def test_wrong_credentials_are_refused(sim: RunningSimulator, auth: tuple[str, str]) -> None:
    """401 and code 20003, and nothing is sent."""
    answer = sim.http.post(LIST, data={"To": ADA_PHONE, "Body": "x"}, auth=auth)
    assert (answer.status_code, answer.json()["code"]) == (401, 20003)
    assert sim.http.post(LIST, data={"To": ADA_PHONE, "Body": "x"}).status_code == 401
    assert sim.bubbles("sms", ADA_PHONE) == []


def test_the_sdk_says_that_it_may_not_list_with_a_wrong_token(sim: RunningSimulator) -> None:
    """The SDK's list has an error of its own."""
    with pytest.raises(TwilioException, match="20003"):
        sim.twilio("wrong").messages.list(limit=1)


def test_another_account_is_not_there(sim: RunningSimulator) -> None:
    """The account in the address must be the one that knocks."""
    answer = sim.http.get(f"/2010-04-01/Accounts/AC{'0' * 32}/Messages.json", auth=AUTH)
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)


def test_messages_are_found_again_by_number_and_time(sim: RunningSimulator) -> None:
    """What settles an unknown outcome: the list by To, From and DateSent."""
    client = sim.twilio()
    for to, body in ((ADA_PHONE, "one"), (BEN_PHONE, "two"), (ADA_PHONE, "three")):
        client.messages.create(to=to, from_=SIMULATED_PHONE_NUMBER, body=body)
    now = datetime.now(UTC)
    ago, later = now - timedelta(minutes=1), now + timedelta(minutes=1)
    assert [one.body for one in client.messages.list(to=ADA_PHONE, date_sent_after=ago)] == ["three", "one"]
    assert [one.body for one in client.messages.list(from_=SIMULATED_PHONE_NUMBER)] == ["three", "two", "one"]
    assert client.messages.list(to=ADA_PHONE, date_sent_after=later) == []
    assert client.messages.list(to=ADA_PHONE, date_sent_before=ago) == []
    assert client.messages.list(to=BEN_PHONE, date_sent=now)[0].body == "two"


def test_a_long_list_comes_in_pages(sim: RunningSimulator) -> None:
    """The SDK follows next_page_uri until there is none."""
    client = sim.twilio()
    for number in range(5):
        client.messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body=str(number))
    assert [one.body for one in client.messages.list(to=ADA_PHONE, page_size=2)] == ["4", "3", "2", "1", "0"]


@pytest.mark.parametrize(
    "query", [{"DateSent>": "yesterday"}, {"PageSize": "-1"}, {"Page": "x"}, {"PageSize": "9" * 30}]
)
def test_odd_list_queries_get_an_answer(sim: RunningSimulator, query: dict[str, str]) -> None:
    """Bad filters are an error, bad page sizes are taken as Twilio takes them: the nearest possible."""
    assert sim.http.get(LIST, params=query, auth=AUTH).status_code in {200, 400}


def test_a_message_can_be_fetched_redacted_and_deleted(sim: RunningSimulator) -> None:
    """Twilio's books forget the text; the phone does not."""
    client = sim.twilio()
    made = client.messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="secret")
    assert made.fetch().body == "secret"
    assert made.update(body="").body == ""
    assert made.delete() is True
    with pytest.raises(TwilioRestException) as caught:
        made.fetch()
    assert (caught.value.status, caught.value.code) == (404, 20404)
    assert sim.bubbles("sms", ADA_PHONE)[0]["text"] == "secret"


def test_the_account_and_its_number_can_be_read(sim: RunningSimulator) -> None:
    """What a diagnosis asks for."""
    client = sim.twilio()
    assert client.api.accounts(SIMULATED_ACCOUNT_SID).fetch().status == "active"
    assert [one.phone_number for one in client.incoming_phone_numbers.list()] == [SIMULATED_PHONE_NUMBER]


def test_the_account_has_a_balance_and_its_number_a_webhook_that_can_be_set(sim: RunningSimulator) -> None:
    """With the fragment by which Twilio repeats; an address that is none is refused."""
    client = sim.twilio()
    assert float(client.api.account.balance.fetch().balance or 0) > 0
    [number] = client.incoming_phone_numbers.list()
    url = "https://relay.example.com/sms/webhook#rc=3&rp=all"
    assert number.update(sms_url=url).sms_url == url
    assert client.incoming_phone_numbers.list()[0].sms_url == url
    with pytest.raises(TwilioRestException) as caught:
        number.update(sms_url="nonsense")
    assert caught.value.code == 21402


def test_a_message_has_media_and_takes_feedback(sim: RunningSimulator) -> None:
    """The list of media is empty for a plain text."""
    client = sim.twilio()
    urls = ["https://e.org/a.png", "https://e.org/b.png"]
    made = client.messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="x", media_url=urls)
    assert len(made.media.list()) == 2
    plain = client.messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="y")
    assert plain.media.list() == []
    assert plain.feedback.create(outcome="confirmed").message_sid == plain.sid


def test_only_a_scheduled_message_can_be_canceled(sim: RunningSimulator) -> None:
    """It is scheduled through a Messaging Service; one that was sent is not taken back."""
    client = sim.twilio()
    when = datetime.now(UTC) + timedelta(hours=1)
    made = client.messages.create(
        to=ADA_PHONE, messaging_service_sid="MG" + "a" * 32, body="later", schedule_type="fixed", send_at=when
    )
    assert made.status == "scheduled"
    assert made.update(status="canceled").status == "canceled"
    sent = client.messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="now")
    for message in (made, sent):
        with pytest.raises(TwilioRestException) as caught:
            message.update(status="canceled")
        assert (caught.value.status, caught.value.code) == (400, 30409)
    with pytest.raises(TwilioRestException) as caught:
        client.messages.create(
            to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="x", schedule_type="fixed", send_at=when
        )
    assert caught.value.code == 35118


def test_a_magic_number_fails_after_it_was_accepted(sim: RunningSimulator, hook: Receiver) -> None:
    """The last report says undelivered, with the code that the number names."""
    sim.twilio().messages.create(
        to="+15005530003", from_=SIMULATED_PHONE_NUMBER, body="x", status_callback=f"{hook.url}/d"
    )
    last = [hook.next() for _ in range(3)][-1].form
    assert (last["MessageStatus"], last["ErrorCode"]) == ("undelivered", "30003")
    bubble = sim.bubbles("sms", "+15005530003")[0]
    assert (bubble["status"], bubble["error_code"]) == ("undelivered", 30003)


@pytest.mark.parametrize("body", [b"\xff\xfe=\xff", b"", b"To=%00&Body=%ff", b"&&==;;", b"{" * 1000])
def test_garbage_is_refused_without_a_traceback(sim: RunningSimulator, body: bytes) -> None:
    """A 400 with Twilio's JSON, whatever the bytes."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = sim.http.post(LIST, content=body, headers=headers, auth=AUTH)
    assert answer.status_code == 400
    assert isinstance(answer.json()["code"], int)


def test_a_sent_message_has_a_price(sim: RunningSimulator, hook: Receiver) -> None:
    """Segments times the price of one, once it was sent."""
    made = sim.twilio().messages.create(
        to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="€" * 100, status_callback=f"{hook.url}/d"
    )
    for _ in range(2):
        hook.next()
    assert (made.fetch().num_segments, made.fetch().price) == ("2", "-0.01660")


def test_a_refused_connection_of_a_callback_is_only_counted(sim: RunningSimulator) -> None:
    """Best effort: the message still arrives."""
    sim.twilio().messages.create(
        to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="x", status_callback="http://127.0.0.1:9/d"
    )
    seen = sim.sim("GET", "wait", params={"platform": "sms", "person": "Ada", "after": 0})
    assert seen["reached"] is True


def test_the_sdk_reports_a_cut_connection(sim: RunningSimulator) -> None:
    """Accepted and then cut off: the SDK has an error, the person the message."""
    sim.fault(target="twilio", method="messages.create", effect="cut", when="after", count=1)
    with pytest.raises(Exception, match=r"aborted|disconnected|closed"):
        sim.twilio().messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="here")
    assert [bubble["text"] for bubble in sim.bubbles("sms", ADA_PHONE)] == ["here"]


def test_httpx_sees_no_byte_of_a_cut_answer(sim: RunningSimulator) -> None:
    """Cut before acceptance: no answer, and no message."""
    sim.fault(target="twilio", effect="cut", count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        sim.http.post(LIST, data={"To": ADA_PHONE, "From": SIMULATED_PHONE_NUMBER, "Body": "x"}, auth=AUTH)
    assert sim.bubbles("sms", ADA_PHONE) == []
