"""WhatsApp over the simulated Twilio: addresses with a scheme, its webhooks, read receipts, the window of a day."""

from __future__ import annotations

from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException

from relay.channels.sms.settings import SIMULATED_PHONE_NUMBER
from relay.channels.whatsapp.settings import SIMULATED_WHATSAPP_NUMBER
from tests.settings import Settings
from tests.simulator.running_simulator import ADA_PHONE, BEN_PHONE, Receiver, RunningSimulator

OURS, ADA = f"whatsapp:{SIMULATED_WHATSAPP_NUMBER}", f"whatsapp:{ADA_PHONE}"


def write(sim: RunningSimulator, body: str, **more: Any) -> Any:
    return sim.sim("POST", "sms/send", json={"from": ADA_PHONE, "channel": "whatsapp", "body": body, **more})


def states(hook: Receiver, count: int) -> list[tuple[str, str | None]]:
    forms = [hook.next().form for _ in range(count)]
    return [(form["MessageStatus"], form.get("ErrorCode")) for form in forms]


def test_a_message_reaches_the_webhook_as_twilio_posts_it(sim: RunningSimulator, hook: Receiver) -> None:
    """Both addresses have the scheme; the profile's name comes along, and no carrier answers a STOP."""
    write(sim, "STOP")
    form = hook.next().form
    assert (form["From"], form["To"], form["Body"]) == (ADA, OURS, "STOP")
    assert (form["ProfileName"], form["WaId"]) == ("Ada", ADA_PHONE.removeprefix("+"))
    assert sim.bubbles("whatsapp", ADA_PHONE) == []
    assert [bubble["text"] for bubble in sim.bubbles("whatsapp", ADA_PHONE, "in")] == ["STOP"]
    assert sim.bubbles("sms", ADA_PHONE, "in") == []


def test_an_answer_is_delivered_and_read(sim: RunningSimulator, hook: Receiver) -> None:
    """Every state is reported; a text of the same person is none of it."""
    write(sim, "hello")
    hook.next()
    made = sim.twilio().messages.create(to=ADA, from_=OURS, body="*Hi*", status_callback=f"{hook.url}/d")
    assert (made.from_, made.to, made.status) == (OURS, ADA, "queued")
    assert [state for state, _ in states(hook, 4)] == ["sending", "sent", "delivered", "read"]
    assert [bubble["text"] for bubble in sim.bubbles("whatsapp", ADA_PHONE)] == ["*Hi*"]
    assert sim.bubbles("sms", ADA_PHONE) == []


def test_outside_the_window_nothing_arrives(sim: RunningSimulator, hook: Receiver) -> None:
    """Who has not written within 24 hours gets no free text: it is taken, and reported as failed."""
    sim.twilio().messages.create(to=f"whatsapp:{BEN_PHONE}", from_=OURS, body="x", status_callback=f"{hook.url}/d")
    assert states(hook, 3) == [("sending", None), ("sent", None), ("undelivered", "63016")]


@pytest.mark.parametrize("code", [63016, 63018])
def test_a_delivery_fails_by_a_fault(sim: RunningSimulator, hook: Receiver, code: int) -> None:
    """With the code that it names, once; the next one arrives."""
    write(sim, "hello")
    hook.next()
    sim.fault(target="twilio_delivery", effect="status", code=code, count=1)
    for _ in range(2):
        sim.twilio().messages.create(to=ADA, from_=OURS, body="x", status_callback=f"{hook.url}/d")
        found = states(hook, 3)
    assert found[-1] == ("delivered", None)
    (strike,) = sim.sim("GET", "faults")["strikes"]
    assert strike["target"] == "twilio_delivery"


def test_a_delivery_of_a_text_fails_by_a_fault(sim: RunningSimulator, hook: Receiver) -> None:
    """Any code of a carrier, beside the magic numbers."""
    sim.fault(target="twilio_delivery", effect="status", code=30007)
    sim.twilio().messages.create(to=ADA_PHONE, from_=SIMULATED_PHONE_NUMBER, body="x", status_callback=f"{hook.url}/d")
    assert states(hook, 3)[-1] == ("undelivered", "30007")


@pytest.mark.parametrize(
    ("to", "from_", "code"),
    [
        (ADA, SIMULATED_PHONE_NUMBER, 21910),
        (ADA_PHONE, OURS, 21910),
        (ADA, "whatsapp:+15550109999", 63007),
        ("whatsapp:+1", OURS, 21211),
        ("messenger:123", SIMULATED_PHONE_NUMBER, 63007),
    ],
)
def test_what_twilio_refuses_is_refused(sim: RunningSimulator, to: str, from_: str, code: int) -> None:
    """Channels are not mixed, and only our own sender writes."""
    with pytest.raises(TwilioRestException) as raised:
        sim.twilio().messages.create(to=to, from_=from_, body="x")
    assert raised.value.code == code


@pytest.mark.parametrize(("given", "simulated"), [(None, None), ("+12345678900", SIMULATED_WHATSAPP_NUMBER)])
def test_try_out_mode_has_whatsapp_where_a_number_is_set(given: str | None, simulated: str | None) -> None:
    """The real number is left out, as every credential."""
    assert Settings(whatsapp_number=given).for_simulator().whatsapp_number == simulated
