"""WhatsApp over Twilio: what comes in, what is decided, and what the person sees."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from relay.channels.sms.webhook import Form
from relay.channels.whatsapp.by_hand import MESSAGE_LIMIT
from relay.channels.whatsapp.formatting import to_whatsapp
from relay.channels.whatsapp.service import WhatsAppService
from relay.channels.whatsapp.spec import WHATSAPP
from relay.core.errors import PayloadError, SendFailure
from relay.core.messages import User, UserId, UserState
from tests.channels.sms.scripted_twilio import ACCOUNT, CALLBACK, NUMBER, USER
from tests.channels.whatsapp.contract import recorded
from tests.english import english
from tests.settings import Settings

SETTINGS = Settings(
    twilio_account_sid=ACCOUNT,
    twilio_auth_token="token",
    twilio_phone_number="+15550100001",
    whatsapp_number=NUMBER,
    whatsapp_max_parts=3,
)
SERVICE = WhatsAppService(SETTINGS, httpx.AsyncClient(), clock=lambda: 1000.0)


def form(body: str = "hello", **changes: str) -> Form:
    return Form(tuple(parse_qsl(recorded("SM1", body, **changes).decode(), keep_blank_values=True)))


def known(state: UserState = UserState.ACTIVE, name: str | None = "Ann") -> User:
    return User(
        WHATSAPP, UserId(USER), name=name, username=None, state=state, message_count=1, created_at=1.0, updated_at=1.0
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (USER, "hello", "Ann")),
        ({"From": f"WhatsApp:{USER}"}, (USER, "hello", "Ann")),
        ({"From": "whatsapp:US.13491208655302741918"}, ("US.13491208655302741918", "hello", "Ann")),
        ({"ProfileName": ""}, (USER, "hello", None)),
        ({"Body": "", "ButtonText": "Yes, please", "ButtonPayload": "p1"}, (USER, "Yes, please", "Ann")),
        (
            {"Body": "", "Latitude": "48.2", "Longitude": "16.37", "Label": "The shop"},
            (USER, "[A place: The shop, 48.2, 16.37]", "Ann"),
        ),
        ({"Body": "", "Latitude": "48.2", "Longitude": ""}, (USER, "", "Ann")),
    ],
)
def test_a_webhook_becomes_a_message(changes: dict[str, str], expected: tuple[Any, ...]) -> None:
    """The address without its scheme, what was written, pressed or shared, and the name of the profile."""
    message = SERVICE.parse_inbound(form(**{"body": "hello", **_lower_body(changes)}))
    assert (message.user_id, message.text, message.name) == expected
    assert message.platform == WHATSAPP


def _lower_body(changes: dict[str, str]) -> dict[str, str]:
    """The field Body is the first argument of `form`."""
    return {"body" if key == "Body" else key: value for key, value in changes.items()}


@pytest.mark.parametrize("changes", [{"From": "whatsapp:"}, {"SmsStatus": "delivered", "MessageStatus": "delivered"}])
def test_what_is_no_message_is_refused(changes: dict[str, str]) -> None:
    """A form without a person, and a status callback at the wrong address."""
    with pytest.raises(PayloadError):
        SERVICE.parse_inbound(form(**changes))


@pytest.mark.parametrize(
    ("text", "user", "reply"),
    [
        ("hello", None, None),
        ("yes", known(), None),
        ("start", known(), None),
        ("stop it raining on my day", known(), None),
        ("help", None, english("whatsapp-help")),
        ("START", known(UserState.STOPPED), english("sms-back")),
        ("Clear", known(), english("whatsapp-cleared")),
        ("forget me", known(), english("sms-forgotten")),
        ("forget it", known(), None),
        ("\u200b", known(), english("whatsapp-empty-text")),
        ("x" * (SETTINGS.max_message_length + 1), known(), english("sms-too-long", limit=SETTINGS.max_message_length)),
    ],
)
def test_what_a_message_leads_to(text: str, user: User | None, reply: str | None) -> None:
    """A reply of its own, or a question for the model: registration is not required."""
    decision = SERVICE.decide(SERVICE.parse_inbound(form(text)), user)
    assert decision.reply == reply
    assert decision.prompt == (text if reply is None else None)


@pytest.mark.parametrize("text", ["hello", "yes, I am back", "help me"])
def test_after_stop_only_start_is_answered(text: str) -> None:
    """Until then every message is kept unanswered."""
    decision = SERVICE.decide(SERVICE.parse_inbound(form(text)), known(UserState.STOPPED))
    assert (decision.reply, decision.prompt) == (None, None)


@pytest.mark.parametrize(("text", "confirmed"), [("STOP", True), ("stop!", True), ("stopp", True), ("stop by?", False)])
def test_stop_is_confirmed_by_us(text: str, confirmed: bool) -> None:
    """No carrier answers the word on WhatsApp."""
    found = SERVICE.opt_out(SERVICE.parse_inbound(form(text)))
    assert ([part.text for part in found] if found else None) == ([english("whatsapp-stopped")] if confirmed else None)


def test_the_name_of_the_profile_is_taken_once() -> None:
    """It registers a new person, and renames none who has a name."""
    message = SERVICE.parse_inbound(form())
    names = [SERVICE.decide(message, user).name for user in (None, known(name=None), known(name="Bob"))]
    assert names == ["Ann", "Ann", None]


def test_our_own_number_is_never_answered() -> None:
    """A message from ourselves would be answered for ever."""
    decision = SERVICE.decide(SERVICE.parse_inbound(form(From=f"whatsapp:{NUMBER}")), None)
    assert (decision.reply, decision.prompt) == (None, None)


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("**Open** from *nine*", "*Open* from _nine_"),
        ("~~old~~ `x = 1`", "~old~ `x = 1`"),
        ("# Hours\n\nNine to five", "*Hours*\nNine to five"),
        ("```py\nprint(1)\n```", "```print(1)```"),
        ("- a\n- **b**", "- a\n- *b*"),
        ("**open\nevery day**", "*open*\n*every day*"),
        ("*open  \nevery* day", "_open_\n_every_ day"),
        ("```\na\n\nb\n```", "```a\n\nb```"),
        ("[menu](https://shop.example/menu)", "menu (https://shop.example/menu)"),
        ("2*3*4 and snake_case_name", "2*3*4 and snake_case_name"),
        ("a ** b", "a ** b"),
    ],
)
def test_markdown_becomes_the_marks_of_whatsapp(markdown: str, shown: str) -> None:
    """One mark where Markdown has two; what is no markup stays."""
    assert to_whatsapp(markdown) == shown


@pytest.mark.parametrize("length", [10, MESSAGE_LIMIT - 10, MESSAGE_LIMIT + 10, 4000, 20_000, 60_000])
def test_an_answer_fits_into_its_messages(length: int) -> None:
    """At most 1,600 characters each, as many as the setting allows, and a note where the rest is missing."""
    parts = SERVICE.plan("word " * (length // 5))
    assert 1 <= len(parts) <= SETTINGS.whatsapp_max_parts
    assert all(0 < len(part.text) <= MESSAGE_LIMIT for part in parts)
    assert parts[-1].text.endswith(f"[{english('whatsapp-cut')}]") is (length > 3 * MESSAGE_LIMIT)


@pytest.mark.parametrize("markdown", ["", " ", "\x00\x1f"])
def test_an_empty_answer_becomes_a_sentence(markdown: str) -> None:
    """A message is never empty."""
    assert [part.text for part in SERVICE.plan(markdown)] == [english("sms-empty-answer")]


@pytest.mark.parametrize(
    ("to", "user_id", "country"),
    [
        ("whatsapp:+14155550123", "+14155550123", "US"),
        ("whatsapp:+447700900123", "+447700900123", "GB"),
        ("whatsapp:US.13491208655302741918", None, None),
        ("", None, None),
    ],
)
def test_a_refusal_names_its_person_and_their_country(to: str, user_id: str | None, country: str | None) -> None:
    """So that a registration which one country demands holds up no other; an identifier has no country."""
    fields = {**CALLBACK, "To": to, "MessageStatus": "undelivered", "ErrorCode": "30034"}
    event = SERVICE.parse_delivery(Form(tuple(fields.items())), None)
    assert (event.failure, event.user_id) == (SendFailure.COUNTRY, user_id)
    assert SERVICE.country(event.user_id or UserId(to)) == country
