"""Sending and settling over real sockets: what is asked of Twilio, and what each way of failing means."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from email.utils import formatdate

import httpx
import pytest
import pytest_asyncio

from relay.channels.sms.client import TwilioTransport, refusal
from relay.channels.sms.error_codes import TWILIO_ERRORS
from relay.channels.sms.prices import price_for
from relay.channels.sms.spec import SMS
from relay.channels.sms.twilio_messages import status_callback
from relay.channels.sms.webhook import Form
from relay.core.errors import OutcomeUnknown, SendError, SendFailure
from relay.core.http_client import MAX_ERROR_CHARS, open_http_client
from relay.core.messages import PartId, UserId
from relay.core.parts import Part, PartState
from sms_service import SmsService
from tests.channels.scripted_server import CUT, GARBAGE, HANG, Reply, ScriptedServer, listening
from tests.channels.sms.scripted_twilio import CALLBACK, created, listed, message, refused, scripted_twilio
from tests.config.test_logs import ENCODINGS
from tests.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACCOUNT = "AC" + "1" * 32
MOMENT = 1_795_230_000.0  # Sat, 21 Nov 2026 03:00:00 +0000
PART = Part(
    id=PartId("0123456789abcdef" * 2),
    platform=SMS,
    user_id=UserId("+12345678900"),
    number=1,
    count=1,
    text="Hello",
    style=None,
    reply_to=None,
    created_at=MOMENT,
    attempts=1,
    lease_until=MOMENT + 15,
    owner="sms@here",
    attempted_at=MOMENT,
)


def settings_for(base_url: str, **changes: object) -> Settings:
    values: dict[str, object] = {
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": "12345",
        "twilio_phone_number": "+15550100000",
        "twilio_api_base_url": base_url,
        "public_url": "https://relay.example.com",
    }
    return Settings.model_validate(values | changes)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with open_http_client() as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def twilio() -> AsyncIterator[ScriptedServer]:
    async with listening(scripted_twilio()) as server:
        yield server


@pytest.fixture
def service(twilio: ScriptedServer, http: httpx.AsyncClient) -> SmsService:
    return SmsService(settings_for(twilio.base_url), http)


async def test_a_part_is_sent_with_our_number_our_callback_and_our_credentials(
    service: SmsService, twilio: ScriptedServer
) -> None:
    """One POST in the form that Twilio documents; the callback's URL carries the part's own id."""
    receipt = await service.send(PART)
    [request] = twilio.requests
    assert (request.method, request.path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    assert request.form == {
        "To": ["+12345678900"],
        "From": ["+15550100000"],
        "Body": ["Hello"],
        "ValidityPeriod": ["14400"],
        "StatusCallback": [f"https://relay.example.com/sms/delivery?part={PART.id}#rc=3&rp=all"],
    }
    assert request.headers["authorization"] == "Basic " + base64.b64encode(f"{ACCOUNT}:12345".encode()).decode()
    assert (receipt.provider_id, receipt.state, receipt.segments) == ("SM" + "a" * 32, PartState.ACCEPTED, 1)


async def test_an_api_key_takes_the_place_of_the_auth_token_but_for_signatures(
    twilio: ScriptedServer, http: httpx.AsyncClient
) -> None:
    """The account stays in the path; what Twilio signs is still checked with the token."""
    key = "SK" + "3" * 32
    settings = settings_for(twilio.base_url, twilio_api_key_sid=key, twilio_api_key_secret="of-the-key")
    service = SmsService(settings, http)
    await service.send(PART)
    twilio.script.append(listed())
    await service.lookup(PART, ())
    basic = "Basic " + base64.b64encode(f"{key}:of-the-key".encode()).decode()
    assert {request.headers["authorization"] for request in twilio.requests} == {basic}
    assert {request.path for request in twilio.requests} == {f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"}
    assert service.signatures.tokens == ("12345",)


async def test_pictures_go_by_their_addresses(service: SmsService, twilio: ScriptedServer) -> None:
    """Twilio fetches them; the message is billed as one with pictures, whatever its length."""
    urls = ("https://example.com/a.png", "https://example.com/b.png")
    receipt = await service.send(replace(PART, media=urls))
    assert twilio.requests[0].form["MediaUrl"] == list(urls)
    assert receipt.cost_usd == price_for(PART.user_id, 0.0083).media


async def test_a_messaging_service_picks_the_sender(twilio: ScriptedServer, http: httpx.AsyncClient) -> None:
    """With a service no From is sent, and its zero segments are not taken for a count."""
    settings = settings_for(twilio.base_url, twilio_messaging_service_sid="MG" + "2" * 32)
    twilio.script.append(created(status="accepted", num_segments="0"))
    receipt = await SmsService(settings, http).send(PART)
    assert "From" not in twilio.requests[0].form
    assert twilio.requests[0].form["MessagingServiceSid"] == ["MG" + "2" * 32]
    assert receipt.segments is None


@pytest.mark.parametrize(
    ("changes", "callback"),
    [
        ({"public_url": None}, None),
        ({"public_url": None, "simulated": True, "sms_server_port": 9000}, "http://127.0.0.1:9000/sms/delivery?part="),
        ({"public_url": "https://a.example/base/"}, "https://a.example/base/sms/delivery?part="),
        ({"public_url": "https://under_score.example"}, None),
    ],
)
async def test_a_callback_is_asked_for_only_where_it_can_arrive(
    changes: dict[str, object], callback: str | None
) -> None:
    """The public URL, or ourselves under the simulator; Twilio refuses host names with an underscore."""
    found = status_callback(settings_for("http://127.0.0.1:1", **changes), PART.id)
    assert found == (None if callback is None else f"{callback}{PART.id}#rc=3&rp=all")


async def test_an_edge_in_the_environment_changes_nothing(
    twilio: ScriptedServer, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK would go to another host; the base URL of the settings is the one that counts."""
    monkeypatch.setenv("TWILIO_EDGE", "dublin")
    await SmsService(settings_for(twilio.base_url), http).send(PART)
    assert len(twilio.requests) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (20005, SendFailure.CONFIG),
        (20006, SendFailure.CONFIG),
        (21212, SendFailure.CONFIG),
        (21704, SendFailure.CONFIG),
        (21606, SendFailure.DESTINATION),
        (21659, SendFailure.DESTINATION),
        (21703, SendFailure.DESTINATION),
        (30032, SendFailure.COUNTRY),
        (30034, SendFailure.COUNTRY),
        (30017, SendFailure.LATER),
        (30027, SendFailure.LIMIT),
        (63016, SendFailure.WINDOW),
        (63017, SendFailure.BUSY),
        (63018, SendFailure.BUSY),
    ],
)
async def test_codes_that_were_judged_wrongly_or_missing(code: int, kind: SendFailure) -> None:
    """What concerns one destination does not concern the account; a limit passes, and so does congestion."""
    assert TWILIO_ERRORS[code][0] is kind


async def test_a_message_that_is_created_as_failed_is_refused_with_its_code(
    service: SmsService, twilio: ScriptedServer
) -> None:
    """Twilio answers 201 and says in the body that nothing will be sent."""
    twilio.script.append(created(status="failed", error_code=30034, error_message=None))
    with pytest.raises(SendError) as raised:
        await service.send(PART)
    assert (raised.value.kind, raised.value.code) == (SendFailure.COUNTRY, "30034")
    assert "A2P" in raised.value.message


async def test_a_refusal_in_a_callback_names_its_person(service: SmsService) -> None:
    """By whose country others are held up or not; a fetched status has the person too."""
    fields = {**CALLBACK, "To": "+14165550123", "MessageStatus": "undelivered", "ErrorCode": "30032"}
    event = service.parse_delivery(Form(tuple(fields.items())), None)
    assert (event.failure, event.user_id) == (SendFailure.COUNTRY, "+14165550123")
    assert service.country(UserId("+14165550123")) == "CA"
    assert service.country(UserId("+12125550123")) == "US"


async def test_an_unknown_code_without_words_gets_a_link() -> None:
    """As status callbacks have none, the reason would otherwise be empty."""
    assert "/errors/39999" in refusal(39999, SendFailure.REJECTED, "").message


PUBLIC_CODES = """
10001 10002 14101 14102 14103 14107 14108 14109 14110 14111 20001 20003 20004 20005 20006 20008 20010 20403 20404 20409
20422 20423 20429 20500 20503 21210 21211 21212 21214 21215 21216 21217 21219 21401 21407 21408 21601 21602 21603 21604
21605 21606 21607 21608 21609 21610 21611 21612 21613 21614 21615 21616 21617 21618 21619 21620 21621 21622 21623 21624
21626 21627 21631 21649 21650 21651 21652 21653 21654 21655 21656 21701 21702 21703 21704 21705 21709 21900 21901 21910
30001 30002 30003 30004 30005 30006 30007 30008 30009 30010 30011 30012 30013 30014 30015 30016 30017 30018 30019 30020
30021 30022 30023 30024 30025 30026 30027 30028 30029 30030 30031 30032 30400 30404 30409 30410 63001 63002 63003 63005
63006 63007 63008 63009 63010 63011 63012 63013 63014 63015 63016 63017 63018 63019 63020 63021 63022 63023 63024 63025
63026 63027 63028 63029 63030 63031 63032 63033 63034 63035 63036 63037 63038 63039 63040 63041
"""
"""The codes of Twilio's public list that concern the sending of a message, or the account."""


async def test_each_public_code_has_a_class_and_words() -> None:
    """But 20500 and 20503: they leave it open whether the message was sent."""
    listed_codes = {int(code) for code in PUBLIC_CODES.split()}
    assert listed_codes - TWILIO_ERRORS.keys() == {20500, 20503}
    assert all(words and not words.endswith(".") for _, words in TWILIO_ERRORS.values())


@pytest.mark.parametrize(("code", "kind"), [(code, kind) for code, (kind, _) in TWILIO_ERRORS.items()])
async def test_each_code_of_the_table_has_its_meaning_whatever_the_status(
    code: int, kind: SendFailure, service: SmsService, twilio: ScriptedServer
) -> None:
    """The code decides, under 400 and under 429 alike, and nothing is repeated."""
    for status in (400, 429):
        twilio.script.append(refused(status, code))
        with pytest.raises(SendError) as caught:
            await service.send(PART)
        assert (caught.value.kind, caught.value.code) == (kind, str(code))
    assert len(twilio.requests) == 2


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refused(400, 99999), SendFailure.REJECTED),
        (refused(401, 20099), SendFailure.CONFIG),
        (refused(404, 29999), SendFailure.CONFIG),
        (refused(429, 99999), SendFailure.BUSY),
        (Reply(429, b"slow down"), SendFailure.BUSY),
        (Reply(403, b"<html>proxy</html>"), SendFailure.CONFIG),
        (Reply(301, b"", {"Location": "http://127.0.0.1:1/"}), SendFailure.CONFIG),
        (refused(503, 20429), SendFailure.BUSY),
    ],
)
async def test_an_unknown_code_is_judged_by_its_status(
    reply: Reply, kind: SendFailure, service: SmsService, twilio: ScriptedServer
) -> None:
    """What Twilio refused for sure is a SendError of the fitting kind."""
    twilio.script.append(reply)
    with pytest.raises(SendError) as caught:
        await service.send(PART)
    assert caught.value.kind is kind
    assert not isinstance(caught.value, OutcomeUnknown)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("0.5", 0.5), ("soon", None), ("99999999", 86_400.0)])
async def test_retry_after_is_handed_on(
    header: str, seconds: float | None, service: SmsService, twilio: ScriptedServer
) -> None:
    """The pause that Twilio asks for reaches the outbox; nonsense does not."""
    twilio.script.append(refused(429, 20429, **{"Retry-After": header}))
    with pytest.raises(SendError) as caught:
        await service.send(PART)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    "reply",
    [
        CUT,
        GARBAGE,
        refused(500, 20500),
        Reply(502, b"<html>bad gateway</html>"),
        Reply(408, b""),
        Reply(201, b"<html>login</html>"),
        Reply(201, b""),
        Reply(201, b"[1, 2]"),
        Reply(201, b'{"status": "queued"}'),
        Reply(201, b'{"sid": 5}'),
        Reply(201, b'{"sid": "SM1", "date_crea'),
    ],
)
async def test_what_may_have_been_sent_is_unknown_and_not_repeated(
    reply: Reply | str, service: SmsService, twilio: ScriptedServer
) -> None:
    """A cut connection, a 5xx, a success that cannot be read: one request, and the doubt is said."""
    twilio.script.append(reply)
    with pytest.raises(OutcomeUnknown):
        await service.send(PART)
    assert len(twilio.requests) == 1


async def test_a_connection_cut_on_reuse_is_unknown_too(service: SmsService, twilio: ScriptedServer) -> None:
    """The transport calls a cut keep-alive connection a ConnectTimeout; the request had left all the same."""
    twilio.script.extend([created(), CUT])
    await service.send(PART)
    with pytest.raises(OutcomeUnknown):
        await service.send(PART)
    assert len(twilio.requests) == 2


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("status", [400, 500])
async def test_no_secret_that_is_repeated_to_us_stays_in_an_error(
    status: int, encode: Callable[[str], str], twilio: ScriptedServer, http: httpx.AsyncClient
) -> None:
    """Of no provider: an error is logged, stored with the part, and shown. Also where the text is cut."""
    secrets = {
        "twilio_auth_token": "auth/token+0123456789",
        "openai_api_key": 'sk-"0123456789"',
        "admin_token": "ä" * 16,
    }
    service = SmsService(settings_for(twilio.base_url, **secrets), http)
    for secret in secrets.values():
        told = encode(secret)
        for before in ("", "x" * (MAX_ERROR_CHARS - len(told) // 2)):
            twilio.script.append(Reply(status, json.dumps({"code": 99999, "message": f"{before} {told}!"}).encode()))
            with pytest.raises(SendError) as caught:
                await service.send(PART)
            assert told.strip('"=')[: len(told) // 2] not in str(caught.value)
            assert caught.value.message == str(caught.value)
            assert len(str(caught.value)) <= MAX_ERROR_CHARS


async def test_a_status_callback_repeats_no_secret(twilio: ScriptedServer, http: httpx.AsyncClient) -> None:
    """Its error is stored too."""
    service = SmsService(settings_for(twilio.base_url, twilio_auth_token="auth-token-0123"), http)
    fields = {
        "MessageSid": "SM1",
        "MessageStatus": "failed",
        "ErrorCode": "99999",
        "ErrorMessage": "no auth-token-0123",
    }
    assert service.parse_delivery(Form(tuple(fields.items())), None).error == "no [secret]"


async def test_a_stalled_answer_is_unknown_after_the_timeout(twilio: ScriptedServer, http: httpx.AsyncClient) -> None:
    """The timeout is obeyed, and the request is not repeated."""
    twilio.script.append(HANG)
    transport = TwilioTransport(http, twilio.base_url, seconds=1.5)
    with pytest.raises(OutcomeUnknown) as caught:
        await transport.request("POST", "https://api.twilio.com/2010-04-01/x", data={"Body": "x"})
    assert caught.value.code == "timeout"
    assert len(twilio.requests) == 1


async def test_nobody_listening_means_that_nothing_was_sent(
    http: httpx.AsyncClient, free_port: Callable[[], int]
) -> None:
    """A refused connection is safe to repeat."""
    with pytest.raises(SendError) as caught:
        await SmsService(settings_for(f"http://127.0.0.1:{free_port()}"), http).send(PART)
    assert caught.value.kind is SendFailure.OUTAGE
    assert "12345" not in str(caught.value)


# -- the sender --------------------------------------------------------------------------------------------------------


OTHER = "+15005550099"
FROM_OTHER = replace(PART, sender=OTHER)


async def test_an_answer_comes_from_the_number_that_was_texted(service: SmsService, twilio: ScriptedServer) -> None:
    """And is looked up whatever number it went out from."""
    await service.send(FROM_OTHER)
    twilio.script.append(listed())
    await service.lookup(FROM_OTHER, ())
    assert twilio.requests[0].form["From"] == [OTHER]
    assert "From" not in twilio.requests[1].query


@pytest.mark.parametrize("service_sid", [None, "MG" + "0" * 32])
async def test_a_person_of_another_channel_is_written_to_from_its_address(
    twilio: ScriptedServer, service_sid: str | None
) -> None:
    """Neither the Messaging Service nor our number can write there, also after that address was refused."""
    part = replace(PART, user_id=UserId("rcs:+12345678900"), sender="rcs:shop_agent")
    twilio.script.append(refused(400, 21606))
    async with httpx.AsyncClient() as http:
        service = SmsService(settings_for(twilio.base_url, twilio_messaging_service_sid=service_sid), http)
        with pytest.raises(SendError):
            await service.send(part)
    (request,) = twilio.requests
    assert (request.form["To"], request.form["From"]) == (["rcs:+12345678900"], ["rcs:shop_agent"])
    assert "MessagingServiceSid" not in request.form


async def test_a_number_that_we_gave_away_is_replaced_by_the_usual_one(
    service: SmsService, twilio: ScriptedServer
) -> None:
    """Nothing was sent at the first attempt, so this is no repetition; another refusal is none of the sender's."""
    twilio.script.append(refused(400, 21606))
    assert (await service.send(FROM_OTHER)).provider_id
    assert [request.form["From"] for request in twilio.requests] == [[OTHER], ["+15550100000"]]
    for part, code in ((FROM_OTHER, 21610), (PART, 21606)):
        twilio.script.append(refused(400, code))
        with pytest.raises(SendError):
            await service.send(part)
    assert len(twilio.requests) == 4


# -- settling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (message(status="delivered"), PartState.DELIVERED),
        (message(status="queued", date_sent=None), PartState.ACCEPTED),
        (message(status="failed", error_code=30003), PartState.FAILED),
        (message(body="Sent from your Twilio trial account - Hello"), PartState.ACCEPTED),
    ],
)
async def test_a_part_found_in_the_list_was_sent(
    found: dict[str, object], state: PartState, service: SmsService, twilio: ScriptedServer
) -> None:
    """Same person, same text, made since the attempt: that was it, whatever became of it."""
    twilio.script.append(listed(message(sid="SM" + "b" * 32, body="Other"), found))
    receipt = await service.lookup(PART, ())
    assert receipt is not None
    assert (receipt.provider_id, receipt.state) == ("SM" + "a" * 32, state)
    assert twilio.requests[0].query["To"] == ["+12345678900"]
    assert twilio.requests[0].query["From"] == ["+15550100000"]


@pytest.mark.parametrize(
    "other",
    [
        message(body="Hello!"),
        message(direction="inbound"),
        message(date_created="Sat, 21 Nov 2026 02:59:00 +0000"),
    ],
)
async def test_another_message_is_not_taken_for_the_part(
    other: dict[str, object], service: SmsService, twilio: ScriptedServer
) -> None:
    """Another text, the person's own, or the same text of an hour ago prove nothing."""
    twilio.script.append(listed(other))
    assert await service.lookup(PART, ()) is None


@pytest.mark.parametrize("ahead", [-600.0, -60.0, 0.0, 60.0])
async def test_a_clock_that_is_wrong_finds_the_part_all_the_same(
    ahead: float, twilio: ScriptedServer, http: httpx.AsyncClient
) -> None:
    """The Date of Twilio's answer tells how far its clock is ahead of ours."""
    attempt = replace(PART, attempted_at=time.time() - ahead)
    made = message(date_created=formatdate(time.time(), usegmt=True))
    older = message(sid="SM" + "c" * 32, date_created=formatdate(time.time() - 60, usegmt=True))
    service = SmsService(settings_for(twilio.base_url), http, clock=lambda: time.time() - ahead)
    for found, sid in ((listed(made, older), "SM" + "a" * 32), (listed(older), None)):
        twilio.script.append(replace(found, headers={"Date": formatdate(time.time(), usegmt=True)}))
        receipt = await service.lookup(attempt, ())
        assert (receipt.provider_id if receipt else None) == sid


@pytest.mark.parametrize(
    ("made", "before", "found"),
    [
        (-60, -90, True),  # accepted after the message before it
        (-90, -90, True),  # in the same second
        (-120, -90, False),  # an older message with the same text
        (-2 * 86_400, -3 * 86_400, False),  # and one of the day before yesterday
    ],
)
async def test_a_clock_that_was_set_back_since_the_attempt_finds_the_part_all_the_same(
    made: float, before: float, twilio: ScriptedServer, http: httpx.AsyncClient, *, found: bool
) -> None:
    """Our time of the attempt is that of the stepped clock then; Twilio's time of the message before is not."""
    attempt = replace(PART, attempted_at=time.time() - 600)
    sent = message(date_created=formatdate(time.time() + made, usegmt=True))
    known = message(sid="SM" + "c" * 32, body="Before", date_created=formatdate(time.time() + before, usegmt=True))
    service = SmsService(settings_for(twilio.base_url), http, clock=lambda: time.time() - 600)
    twilio.script.append(replace(listed(sent, known), headers={"Date": formatdate(time.time(), usegmt=True)}))
    assert (await service.lookup(attempt, {"SM" + "c" * 32}) is not None) is found


@pytest.mark.parametrize(
    ("reply", "state", "code"),
    [
        (message(status="delivered"), PartState.DELIVERED, None),
        (message(status="undelivered", error_code=30003), PartState.UNDELIVERED, "30003"),
        (message(status="queued"), None, None),
        (None, None, None),
    ],
)
async def test_the_state_of_a_text_can_be_fetched(
    reply: dict[str, object] | None,
    state: PartState | None,
    code: str | None,
    service: SmsService,
    twilio: ScriptedServer,
) -> None:
    """For a callback that was lost; what is not known yet, or any more, changes nothing."""
    twilio.script.append(refused(404, 20404) if reply is None else Reply(200, json.dumps(reply).encode()))
    event = await service.fetch_status(PART.id, "SM" + "a" * 32)
    assert (event and (event.state, event.error_code, event.part_id)) == (state and (state, code, PART.id))
    assert twilio.requests[0].path.endswith(f"/Messages/SM{'a' * 32}.json")


@pytest.mark.parametrize(
    "reply",
    [CUT, GARBAGE, refused(500, 20500), refused(429, 20429), refused(401, 20003), Reply(200, b"{}"), Reply(200, b"x")],
)
async def test_a_list_that_cannot_be_read_decides_nothing(
    reply: Reply | str, service: SmsService, twilio: ScriptedServer
) -> None:
    """Without the list the doubt remains; it never turns into "not sent"."""
    # A GET may be repeated by the HTTP client, so the same thing happens twice.
    twilio.script.extend([reply, reply])
    with pytest.raises(OutcomeUnknown):
        await service.lookup(PART, ())
