"""What the SMS server's routes refuse, and to whom: one server for all, because nothing here leaves a trace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.channels.sms.sms_harness import PERSON, SmsHarness, running_sms_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIELDS = {"From": PERSON, "Body": "hello"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sms(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SmsHarness]:
    """In try-out mode."""
    folder: Path = tmp_path_factory.mktemp("sms")
    async with running_sms_server(folder) as one:
        yield one


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "offset=-1", "limit=x"])
async def test_a_page_that_cannot_be_is_422(query: str, sms: SmsHarness) -> None:
    """With the field that is wrong."""
    response = await sms.client.get(f"/sms/status?{query}")
    assert response.status_code == 422
    assert query.partition("=")[0] in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"phone_number": "12345", "message": "x"}, 422),
        ({"phone_number": "nobody", "message": "x"}, 422),
        ({"phone_number": "whatsapp:+12345678900", "message": "x"}, 422),
        ({"phone_number": "+15550100000", "message": "x"}, 422),
        ({"phone_number": PERSON, "message": " \u200b"}, 422),
        ({"phone_number": PERSON, "message": "x" * 20_000}, 422),
        ({"phone_number": PERSON}, 422),
        ({"phone_number": 12345678900, "message": "x"}, 422),
        ([], 422),
    ],
)
async def test_what_cannot_be_sent_is_said_at_once(body: object, status: int, sms: SmsHarness) -> None:
    """Bad number, our own, empty, too long, missing fields: a clear 4xx and nothing is sent."""
    response = await sms.client.post("/sms/send", json=body)
    assert response.status_code == status
    assert response.json()["error"]
    assert response.json()["hint"]
    assert sms.rows("select count(*) from outbound") == [(0,)]


@pytest.mark.parametrize("number", ["+19995550000", "nobody", "%00"])
async def test_clearing_the_history_of_nobody_is_404(number: str, sms: SmsHarness) -> None:
    """With a hint where the numbers are."""
    response = await sms.client.delete(f"/sms/user/{number}/history")
    assert response.status_code == 404
    assert response.json()["hint"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sms/status"),
        ("POST", "/sms/send"),
        ("DELETE", "/sms/user/+12345678900/history"),
        ("GET", "/metrics"),
        ("GET", "/docs"),
    ],
)
async def test_the_operators_routes_are_closed_to_strangers(method: str, path: str, sms: SmsHarness) -> None:
    """A request through a tunnel is not the operator's."""
    response = await sms.client.request(method, path, headers={"X-Forwarded-For": "1.2.3.4"})
    assert response.status_code == 403


@pytest.mark.parametrize("path", ["/", "/health", "/ready"])
async def test_everybody_may_ask_how_the_server_is(path: str, sms: SmsHarness) -> None:
    """And learns no name, number or secret."""
    response = await sms.client.get(path, headers={"X-Forwarded-For": "1.2.3.4"})
    assert response.status_code == 200
    assert "+1555" not in response.text


async def test_wrong_methods_and_paths_get_our_kind_of_error(sms: SmsHarness) -> None:
    """JSON with a hint, as everywhere."""
    for response in (await sms.client.get("/sms/webhook"), await sms.client.get("/sms/nothing")):
        assert response.status_code in {404, 405}
        assert response.json()["hint"]


@pytest.mark.parametrize("headers", [{"X-Forwarded-For": "1.2.3.4"}, {"Host": "evil.example"}, {"Origin": "http://e"}])
async def test_in_try_out_mode_strangers_are_refused(headers: dict[str, str], sms: SmsHarness) -> None:
    """A tunnel, another host name, another web page: not this machine."""
    assert (await sms.client.post("/sms/webhook", data=FIELDS, headers=headers)).status_code == 403


async def test_ten_megabytes_are_refused(sms: SmsHarness) -> None:
    """With a sentence that reaches even a client that does nothing but write."""
    response = await sms.text("x" * 10_000_000)
    assert response.status_code == 413
    assert response.json()["hint"]


@pytest.mark.parametrize("fields", [{}, {"MessageStatus": "odd"}, {"MessageSid": ""}])
async def test_a_broken_report_is_counted_and_answered(fields: dict[str, str], sms: SmsHarness) -> None:
    """Nothing is guessed, and Twilio is not told to try again."""
    before = await _not_understood(sms)
    assert (await sms.client.post("/sms/delivery?part=x&part=y", data=fields)).status_code == 200
    assert await _not_understood(sms) == before + 1


async def _not_understood(sms: SmsHarness) -> float:
    line = 'relay_delivery_events_total{platform="sms",state="not understood"} '
    found = (await sms.client.get("/metrics")).text.partition(line)[2]
    return float(found.split()[0]) if found else 0.0


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[1]", b'"text"', b'{"phone_number": null, "message": {}}'])
async def test_a_body_that_is_no_json_object_is_refused(content: bytes, sms: SmsHarness) -> None:
    """Never a traceback, always our kind of error."""
    response = await sms.client.post("/sms/send", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code in {400, 422}
    assert set(response.json()) == {"error", "hint"}


async def test_only_somebody_who_is_paused_can_be_released(sms: SmsHarness) -> None:
    """A 409 that says so."""
    response = await sms.client.post(f"/sms/user/{PERSON}/release")
    assert response.status_code == 409
    assert "not paused" in response.json()["error"]
