"""What Twilio's payloads mean and what they ask for: recorded forms, keywords, registration, planned answers."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from relay.channels.sms import texts
from relay.channels.sms.by_hand import plan_text
from relay.channels.sms.keywords import RESERVED_WORDS
from relay.channels.sms.prices import price_for, read_prices
from relay.channels.sms.segments import segments
from relay.channels.sms.senders import Sender, SenderKind, normal_number, sender_of
from relay.channels.sms.spec import SMS
from relay.channels.sms.time_zones import time_zones
from relay.channels.sms.twilio_messages import callback_base
from relay.channels.sms.webhook import Form, Signatures, external_id, is_delivery, read_form, sign
from relay.config.errors import SettingsError
from relay.core.channel import history_text
from relay.core.errors import PayloadError
from relay.core.http_client import open_http_client
from relay.core.messages import Attachment, InboundMessage, Kind, User, UserId, UserState
from relay.core.parts import PartState
from relay.texts import ENGLISH
from relay.texts.sentences import localize
from sms_service import SmsService
from tests.channels.sms.scripted_twilio import CALLBACK, RECORDED, SID, USER
from tests.english import english
from tests.settings import Settings

PERSON = UserId(USER)


def form(fields: Mapping[str, str] = RECORDED, /, **changes: str) -> Form:
    return Form(tuple({**fields, **changes}.items()))


def configured(**changes: object) -> Settings:
    values: dict[str, object] = {
        "twilio_account_sid": "AC" + "1" * 32,
        "twilio_auth_token": "12345",
        "twilio_phone_number": "+15550100000",
    }
    return Settings.model_validate(values | changes)


def service_with(**changes: object) -> SmsService:
    return SmsService(configured(**changes), open_http_client(), clock=lambda: 1000.0, new_id=lambda: "id")


SERVICE = service_with()


def person(name: str | None = "Ann", state: UserState = UserState.ACTIVE) -> User:
    return User(SMS, PERSON, name, None, state, 0, 0.0, 0.0)


def text_from(body: str, **changes: str) -> InboundMessage:
    return SERVICE.parse_inbound(form(Body=body, **changes))


# -- forms -------------------------------------------------------------------------------------------------------------


def test_a_recorded_webhook_becomes_a_message() -> None:
    """The fields that matter are taken, the rest is left alone."""
    message = SERVICE.parse_inbound(form())
    assert message == InboundMessage(
        platform=SMS,
        external_id=SID,
        user_id=PERSON,
        text="Hello there",
        language="en",
        received_at=1000.0,
        options={"sender": "phone"},
        segments=1,
        cost_usd=0.0083,
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"From=%2B12345678900&Body=caf%C3%A9", "café"),
        ("From=%2B12345678900&Body=café".encode(), "café"),
        (b"From=%2B12345678900&Body=%FF%FE", "\ufffd\ufffd"),
        (b"From=%2B12345678900&Body=\xff", "\ufffd"),
        (b"From=%2B12345678900&Body=a%00b", "ab"),
        (b"From=%2B12345678900&Body=%D7%A9%D7%9C%D7%95%D7%9D", "שלום"),
        (b"From=%2B12345678900&Body=one%0D%0Atwo", "one\ntwo"),
        (b"From=%2B12345678900&Body=a&Body=a", "a"),
        (b"From=%2B12345678900", ""),
    ],
)
def test_bodies_of_every_kind_are_read(body: bytes, text: str) -> None:
    """Escaped or raw, broken UTF-8, NUL, right to left, repeated or missing: the text that is there."""
    assert SERVICE.parse_inbound(read_form(body)).text == text


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", ""),
        (b"garbage", ""),
        (b"From=&Body=x", ""),
        (b"From=%2B12345678900&From=%2B12345678901&Body=x", ""),
        (b"From=%2B12345678900&Body=x&Body=y", ""),
        (b"From=%2B12345678900&Body=x", "application/json"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"&".join(b"a=%d" % number for number in range(600)), ""),
        (b"From=%2B12345678900&MessageSid=SM1&MessageStatus=sent", ""),
    ],
)
def test_what_holds_no_message_is_a_payload_error(body: bytes, content_type: str) -> None:
    """Empty, ambiguous, of another type, endless, or a status callback."""
    with pytest.raises(PayloadError):
        SERVICE.parse_inbound(read_form(body, content_type))


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (b"From=1", "multipart/form-data; boundary=x", r"expected a form .*, got multipart/form-data"),
        (b"{}", "application/json", r"expected a form .*, got application/json"),
        (b"&".join([b"a=1"] * 2000), "", "the form cannot be read: it has more than 500 fields"),
    ],
)
def test_a_body_that_is_no_form_is_refused_with_the_reason(body: bytes, content_type: str, why: str) -> None:
    """The dead letter shows it."""
    with pytest.raises(PayloadError, match=why):
        read_form(body, content_type)


def test_a_field_is_read_by_the_first_of_its_names_that_is_there() -> None:
    """An empty field is there; two different values of one are not guessed about."""
    form = read_form(b"Body=&SmsSid=SM2&SmsMessageSid=SM3&To=1&To=1&From=1&From=2&From=%ff")
    assert form.one("Body", "SmsSid") == ""
    assert (form.one("MessageSid", "Missing", "SmsSid"), form.one("To"), form.one("Missing")) == ("SM2", "1", "")
    with pytest.raises(PayloadError, match="the field From came with 3 different values"):
        form.one("From")
    assert form.getlist("From")[2] == "\ufffd"


@pytest.mark.parametrize("name", ["MessageSid", "SmsSid", "SmsMessageSid"])
def test_the_id_of_a_message_is_read_by_any_of_its_names(name: str) -> None:
    """Cut to the length of its column."""
    assert external_id(read_form(f"{name}={'S' * 70}".encode())) == "S" * 64


@given(st.binary(max_size=300))
def test_no_body_at_all_breaks_the_reader(body: bytes) -> None:
    """Whatever bytes arrive: a message or a PayloadError."""
    with contextlib.suppress(PayloadError):
        SERVICE.parse_inbound(read_form(body))


@given(
    st.text(st.sampled_from("aé&=+%;\x00 ") | st.characters(codec="utf-8"), max_size=60)
    | st.lists(st.sampled_from(["%41", "%C3%A9", "%FF", "%zz", "%2", "&", "=", "+", "a"])).map("".join)
)
def test_a_form_is_read_as_urllib_reads_it(text: str) -> None:
    """Blank fields and names, several signs, and escapes that are none."""
    usual = parse_qsl(text, keep_blank_values=True, errors="replace")
    assert list(read_form(text.encode()).pairs) == usual


def test_a_plus_that_was_not_escaped_is_still_a_plus() -> None:
    """A form of curl -d "From=+1..." holds a space; the number is meant all the same, whatever the region."""
    service = service_with(default_region="DE", twilio_phone_number="+15550100000")
    assert service.parse_inbound(read_form(b"From=+12345678900&Body=test message")).user_id == PERSON


def test_a_form_by_hand_without_an_id_is_a_message_of_its_own() -> None:
    """Without a MessageSid nothing can be recognised as a repetition."""
    assert SERVICE.parse_inbound(form({"From": "+12345678900", "Body": "x"})).external_id == "by-hand-id"


def test_a_picture_without_words_is_media() -> None:
    """The content types are kept, the kind says that there is no text."""
    media = {"NumMedia": "2", "MediaContentType0": "image/jpeg", "MediaUrl0": "https://...", "Body": " "}
    message = SERVICE.parse_inbound(form(**media))
    assert (message.kind, message.attachments) == (Kind.MEDIA, (Attachment("image/jpeg"), Attachment("unknown")))


MEDIA_PATH = f"/2010-04-01/Accounts/AC{'0' * 32}/Messages/MM{'1' * 32}/Media/ME{'2' * 32}"


@pytest.mark.parametrize(
    ("url", "reference"),
    [
        (f"https://api.twilio.com{MEDIA_PATH}", MEDIA_PATH),
        (f"https://api.dublin.ie1.twilio.com{MEDIA_PATH}", MEDIA_PATH),
        (f"http://evil.example{MEDIA_PATH}", MEDIA_PATH),
        (f"https://api.twilio.com{MEDIA_PATH}.json", ""),
        ("https://api.twilio.com/2010-04-01/Accounts/../Media/ME1", ""),
        ("http://[broken", ""),
        ("", ""),
    ],
)
def test_a_medium_is_known_by_its_path(url: str, reference: str) -> None:
    """Its host is not taken from the webhook: our credentials go to the API that the settings name."""
    (attachment,) = text_from("look", NumMedia="1", MediaUrl0=url, MediaContentType0="Image/JPEG").attachments
    assert attachment == Attachment("image/jpeg", reference)


def test_a_picture_with_words_is_text() -> None:
    """The words are the question; the picture is read when it is answered."""
    message = text_from("What plant is this?", NumMedia="1", MediaContentType0="image/png")
    assert message.kind is Kind.TEXT
    assert SERVICE.decide(message, person()).prompt == "What plant is this?"
    assert len(message.attachments) == 1


@pytest.mark.parametrize("count", ["-1", "x", "99999999999", "", "²"])
def test_a_broken_media_count_harms_nothing(count: str) -> None:
    """Nonsense counts as none."""
    assert text_from("hi", NumMedia=count).attachments == ()


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+12345678900", "+12345678900"),
        ("(234) 567-8900", "+12345678900"),
        ("1 234 567 8900", "+12345678900"),
        (" 12345678900", "+12345678900"),
        ("+44 7911 123456", "+447911123456"),
        ("+15550100000", "+15550100000"),
        ("12345", None),
        ("", None),
        ("Ann", None),
        ("1-800-FLOWERS", None),
        ("+1 234 567 8900 x5", None),
        ("whatsapp:+12345678900", None),
        ("++12345678900", None),
        ("+999999999999999999", None),
        ("+1", None),
    ],
)
def test_numbers_are_normalised_or_refused(written: str, number: str | None) -> None:
    """E.164 out of what people write; never a number invented out of a short code or a word."""
    assert normal_number(written, "US") == number


@pytest.mark.parametrize(
    ("sender", "reason"),
    [
        ("12345", "short code"),
        ("+12345", "short code"),
        ("ACME", "name instead of a number"),
        ("+266696687", "withheld"),
        ("+19005550100", "premium"),
        ("+15550100000", "ourselves"),
    ],
)
def test_machines_get_silence_with_a_reason(sender: str, reason: str) -> None:
    """Nothing is history_text, nothing is asked of the model, and the operator can see why."""
    decision = SERVICE.decide(text_from("hello", From=sender), None)
    assert decision.reply is None
    assert decision.prompt is None
    assert reason in decision.reason


@pytest.mark.parametrize(
    ("sender", "to", "language"),
    [
        ("rcs:+14155552671", "rcs:shop_agent", "en"),
        ("rcs:+4915123456789", "rcs:shop_agent", "de"),
        ("messenger:1234567890", "messenger:987654", "en"),
        ("whatsapp:+14155552671", "whatsapp:+14155238886", "en"),
        ("RCS:+14155552671", "RCS:shop_agent", "en"),
    ],
)
def test_a_person_of_another_channel_is_told_once_that_only_texts_are_answered(
    sender: str, to: str, language: str
) -> None:
    """From the address that they wrote to; then there is silence, with a reason."""
    message = text_from("What is open?", From=sender, To=to)
    decision = SERVICE.decide(message, None)
    assert (decision.reply, decision.prompt) == (localize("sms-only-at", language, number="+15550100000"), None)
    assert (message.user_id, message.to) == (sender, to)
    told = replace(person(), user_id=UserId(sender), settings=decision.settings)
    again = SERVICE.decide(text_from("hello?", From=sender, To=to), told)
    assert (again.reply, again.prompt) == (None, None)
    assert "not supported" in again.reason


def test_a_person_of_another_channel_who_opts_out_is_told_nothing() -> None:
    """The answer to a STOP is no advertisement of another number."""
    decision = SERVICE.decide(text_from("STOP", From="rcs:+14155552671", To="rcs:agent"), None)
    assert (decision.reply, decision.state) == (None, UserState.STOPPED)
    later = SERVICE.decide(text_from("hello", From="rcs:+14155552671"), person(state=UserState.STOPPED))
    assert later.reply is None


def test_without_a_number_of_our_own_none_is_named() -> None:
    """A Messaging Service chooses it for each person."""
    service = service_with(twilio_phone_number=None, twilio_messaging_service_sid="MG" + "0" * 32)
    decision = service.decide(text_from("hi", From="rcs:+14155552671", To="rcs:agent"), None)
    assert decision.reply == localize("sms-only", "en")


@pytest.mark.parametrize(
    ("written", "kind", "user_id"),
    [
        ("(415) 555-2671", SenderKind.PHONE, "+14155552671"),
        ("+15005550006", SenderKind.OWN, "+15005550006"),
        ("whatsapp:+14155552671", SenderKind.OTHER_CHANNEL, "whatsapp:+14155552671"),
        ("729725", SenderKind.SHORT_CODE, "729725"),
        ("+266696687", SenderKind.ANONYMOUS, "+266696687"),
        ("+7378742833", SenderKind.ANONYMOUS, "+7378742833"),
        ("+2562533", SenderKind.ANONYMOUS, "+2562533"),
        ("+8656696", SenderKind.ANONYMOUS, "+8656696"),
        ("+86282452253", SenderKind.ANONYMOUS, "+86282452253"),
        ("+19005550100", SenderKind.PREMIUM, "+19005550100"),
        ("+5215512345678", SenderKind.PHONE, "+525512345678"),
        ("+525512345678", SenderKind.PHONE, "+525512345678"),
        ("+554188881234", SenderKind.PHONE, "+5541988881234"),
        ("+554133331234", SenderKind.PHONE, "+554133331234"),
        ("+541112345678", SenderKind.PHONE, "+5491112345678"),
        ("+5491112345678", SenderKind.PHONE, "+5491112345678"),
        ("+26622123456", SenderKind.PHONE, "+26622123456"),
        ("MYBANK", SenderKind.ALPHANUMERIC, "MYBANK"),
    ],
)
def test_every_kind_of_sender_keeps_its_address(written: str, kind: SenderKind, user_id: str) -> None:
    """Those that get no answer are stored under their address too; the region completes a national number."""
    assert sender_of(written, "US", frozenset({UserId("+15005550006")})) == Sender(kind, UserId(user_id))


def test_a_country_that_the_library_does_not_know_is_answered() -> None:
    """A real text is never dropped because a table of numbers is old."""
    assert SERVICE.decide(text_from("hi", From="+99912345678"), None).reply is not None


def test_the_number_that_was_texted_counts_as_ours() -> None:
    """With a Messaging Service we may not know our numbers, but To is one of them."""
    assert "ourselves" in SERVICE.decide(text_from("hi", From="+12345678900", To="+12345678900"), None).reason


ACCOUNT = "AC" + "1" * 32


@pytest.mark.parametrize(
    ("to", "changes", "sender"),
    [
        ("+15005550099", {}, "+15005550099"),
        ("+15550100000", {}, None),
        ("+15005550099", {"twilio_other_numbers": ("+15005550099",)}, "+15005550099"),
        ("+15005550088", {"twilio_other_numbers": ("+15005550099",)}, None),
        ("+15005550099", {"validate_twilio_signature": False}, None),
        ("+15005550099", {"twilio_messaging_service_sid": "MG" + "2" * 32}, None),
        ("", {}, None),
    ],
)
def test_the_number_that_was_texted_answers_if_it_is_ours(
    to: str, changes: dict[str, object], sender: str | None
) -> None:
    """By the list, or because Twilio signed it for our account; a Messaging Service chooses by itself."""
    assert service_with(**changes).parse_inbound(form(To=to, AccountSid=ACCOUNT)).to == sender
    assert service_with(**changes).parse_inbound(form(To=to, AccountSid="AC" + "2" * 32)).to in {
        None,
        *changes.get("twilio_other_numbers", ()),  # type: ignore[misc]
    }


# -- keywords ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["STOP", "stopall", " Cancel ", "END\n", "quit", "revoke", "optout", "help", "Info"])
@pytest.mark.parametrize("user", [None, person(None, UserState.NEW), person(), person(state=UserState.STOPPED)])
def test_a_keyword_that_twilio_answers_is_met_with_silence(word: str, user: User | None) -> None:
    """No registration, no model, no reply beside Twilio's, to any sender."""
    decision = SERVICE.decide(text_from(word), user)
    assert (decision.reply, decision.prompt, decision.name) == (None, None, None)
    assert decision.reason
    assert not SERVICE.opt_out(text_from(word))


@pytest.mark.parametrize("word", ["yes", "YES", "Yes!", "start", "Start.", "unstop"])
def test_a_start_word_of_an_active_person_is_an_ordinary_text(word: str) -> None:
    """Nothing is blocked, so nothing is lifted: "yes" answers the model's question."""
    assert SERVICE.decide(text_from(word), person()).prompt == word
    assert SERVICE.decide(text_from(word), None).reply is not None


def test_help_is_answered_by_us_where_nobody_else_does() -> None:
    """On a standalone short code; START there is a text like any other, and STOP gets a confirmation."""
    service = service_with(twilio_phone_number="68849")
    assert service.decide(text_from("HELP"), person()).reply == english("sms-help")
    assert [part.text for part in service.opt_out(text_from("STOP")) or []] == [english("sms-stopped")]


def test_yes_does_not_end_an_opt_out_from_a_toll_free_number() -> None:
    """There the carrier knows STOP, START and UNSTOP; the other stop words are ours to confirm."""
    service = service_with(twilio_phone_number="+18885550100")
    assert service.opt_out(text_from("STOP")) == []
    assert service.opt_out(text_from("CANCEL"))


OPT_OUTS = [
    "Stop.", "STOP!", "“STOP”", "'stop'", "(stop)", "\uff33\uff34\uff2f\uff30", "st\u200bop",
    "STOP 🛑", "S T O P", "S.T.O.P.", "STOP STOP",
    "STOP ALL", "opt out", "OPT-OUT", "Unsubscribe.", "Unsubscribe me please", "stop please", "Please stop!",
    "Stop texting me", "stop sending me these messages", "remove me", "Remove me from your list", "REMOVE", "ARRET",
    "Arrêt", "stopp", "alto", "don't text me", "Do not contact me again.", "take me off your list", "no more texts",
    "end.", "Cancel!", "quit.",
]  # fmt: skip


@pytest.mark.parametrize("body", OPT_OUTS)
def test_an_opt_out_in_other_words_is_obeyed_and_confirmed_once(body: str) -> None:
    """Twilio acts on its own words only, so the confirmation is ours."""
    assert [part.text for part in SERVICE.opt_out(text_from(body)) or []] == [english("sms-stopped")]
    assert SERVICE.decide(text_from(body), person()).state is UserState.STOPPED


def test_an_opt_out_of_a_machine_or_a_blocked_person_is_not_confirmed() -> None:
    """A short code is never written to; somebody on the blocklist gets nothing."""
    assert SERVICE.opt_out(text_from("Stop.", From="12345")) is None
    assert service_with(blocklist=[PERSON]).opt_out(text_from("Stop.")) == []


@pytest.mark.parametrize(
    ("body", "opt_out", "user", "state"),
    [
        ("STOP", "", person(), UserState.STOPPED),
        ("stop", "", None, UserState.STOPPED),
        ("ARRET", "STOP", person(), UserState.STOPPED),
        ("START", "", person(state=UserState.STOPPED), UserState.ACTIVE),
        ("unstop", "", person(None, UserState.STOPPED), UserState.NEW),
        ("Start!", "", person(state=UserState.STOPPED), UserState.ACTIVE),
        ("OUI", "START", person(state=UserState.STOPPED), UserState.ACTIVE),
        ("AIDE", "HELP", person(), None),
        ("help", "", person(), None),
        ("STOP", "HELP", person(), UserState.STOPPED),
        ("stop", "START", person(state=UserState.STOPPED), UserState.STOPPED),
        ("yes", "STOP", person(), UserState.STOPPED),
        ("START", "HELP", person(state=UserState.STOPPED), UserState.ACTIVE),
    ],
)
def test_keywords_change_whether_we_may_write(
    body: str, opt_out: str, user: User | None, state: UserState | None
) -> None:
    """Ours and the ones that an operator set up at Twilio (OptOutType); STOP counts wherever it stands."""
    assert SERVICE.decide(text_from(body, OptOutType=opt_out), user).state == state


@pytest.mark.parametrize(
    "body",
    ["Yes, go on", "help me", "how do I stop smoking?", "stop by at noon", "cancel my order", "end of story",
     "Don't text and drive", "quit smoking", "remove a stain from my shirt", "what does optout mean"],
)  # fmt: skip
def test_a_keyword_within_a_text_is_no_keyword(body: str) -> None:
    """Only the whole text counts, as at Twilio."""
    assert SERVICE.decide(text_from(body), person()).prompt == body


@pytest.mark.parametrize("state", [UserState.STOPPED, UserState.BLOCKED])
def test_who_opted_out_is_left_alone(state: UserState) -> None:
    """An answer could not be delivered until START."""
    decision = SERVICE.decide(text_from("hello"), person(state=state))
    assert (decision.reply, decision.prompt, decision.state) == (None, None, None)


def test_who_could_not_be_reached_is_reachable_when_they_write() -> None:
    """A text from them proves that the number works."""
    decision = SERVICE.decide(text_from("hello"), person(state=UserState.UNREACHABLE))
    assert (decision.prompt, decision.state) == ("hello", UserState.ACTIVE)


# -- registration ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["hello", "John", "👍", "", "what is name=John?", "I'm late"])
@pytest.mark.parametrize("user", [None, person(None, UserState.NEW)])
def test_an_unknown_number_is_asked_for_a_name(body: str, user: User | None) -> None:
    """Whatever comes first, the answer says how to register."""
    decision = SERVICE.decide(text_from(body), user)
    assert decision.reply is not None
    assert "name=" in decision.reply
    assert decision.name is None


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("name=John", "John"),
        ("  NAME =  Mary Ann \n", "Mary Ann"),
        ("name=Łukasz", "Łukasz"),
        ("name=李小龙", "李小龙"),
        ("name=علي", "علي"),
        ("name=O'Brien-Smith Jr.", "O'Brien-Smith Jr."),
        ("name=" + "x" * 50, "x" * 50),
        ("name=Stopford", "Stopford"),
    ],
)
@pytest.mark.parametrize("user", [None, person("Old")])
def test_a_name_is_taken_and_confirmed(body: str, name: str, user: User | None) -> None:
    """At first and later, in any script, trimmed."""
    decision = SERVICE.decide(text_from(body), user)
    assert decision.name == name
    assert decision.reply is not None
    assert name in history_text(SERVICE.plan(decision.reply))


def asked(ago: float = 30.0) -> User:
    """Somebody without a name whom our prompt reached so many seconds ago; SERVICE's clock stands at 1000."""
    return User(SMS, PERSON, None, None, UserState.NEW, 2, 0.0, 0.0, settings={"name_asked_at": 1000.0 - ago})


@pytest.mark.parametrize(
    ("body", "name", "rest"),
    [
        ("John", "John", None),
        ("john smith", "john smith", None),
        ("John!", "John", None),
        ("John 😊", "John", None),
        ("I'm John", "John", None),
        ("My name is Mary-Ann O'Brien", "Mary-Ann O'Brien", None),
        ("name:John", "John", None),
        ("Will", "Will", None),
        ("Me llamo José", "José", None),
        ("Ich heiße Jürgen", "Jürgen", None),
        ("je m\u2019appelle Anaïs", "Anaïs", None),
        ("李小龙", "李小龙", None),
        ("اسمي علي", "علي", None),
        ("John, are you open today?", "John", "are you open today?"),
        ("My name is John. What time is it?", "John", "What time is it?"),
    ],
)
def test_a_bare_name_right_behind_the_prompt_registers(body: str, name: str, rest: str | None) -> None:
    """One to three words of letters; what follows the name is a message of its own."""
    decision = SERVICE.decide(text_from(body), asked())
    assert (decision.name, decision.rest, decision.release) == (name, rest, True)


@pytest.mark.parametrize(
    "body",
    ["opening hours", "What time do you close?", "Are you open today", "I'm late", "1234", "John2", "John?",
     "where is my order", "one two three four", "hi, are you open?", "tomorrow"],
)  # fmt: skip
def test_everything_else_behind_the_prompt_waits_as_a_question(body: str) -> None:
    """It is held, and within ten minutes the prompt is not repeated."""
    decision = SERVICE.decide(text_from(body), asked())
    assert (decision.name, decision.reply, decision.prompt, decision.hold) == (None, None, None, True)
    late = SERVICE.decide(text_from(body), asked(ago=700.0))
    assert (late.hold, late.settings) == (True, {"name_asked_at": 1000.0})
    assert late.reply is not None


@pytest.mark.parametrize("body", ["hi", "Hello!", "Good morning", "ok", "Thanks!", "yes", "👍", "", "START"])
def test_a_greeting_is_answered_by_the_prompt_alone(body: str) -> None:
    """It asks nothing, so nothing is kept, and it is no name."""
    first, second = SERVICE.decide(text_from(body), None), SERVICE.decide(text_from(body), asked())
    assert (first.reply is not None, first.hold, first.name) == (True, False, None)
    assert (second.reply, second.hold, second.name) == (None, False, None)


def test_a_sentence_with_a_name_needs_no_prompt() -> None:
    """It can mean nothing else, at first contact too; a bare word can."""
    assert SERVICE.decide(text_from("Hi, my name is John"), None).name == "John"
    assert SERVICE.decide(text_from("John"), None).name is None


@pytest.mark.parametrize("separator", [", ", " ", "\n", "; "])
def test_a_question_behind_the_command_is_answered_after_it(separator: str) -> None:
    """The name is the name alone."""
    decision = SERVICE.decide(text_from(f"name=John{separator}what time is it?"), None)
    assert (decision.name, decision.rest) == ("John", "what time is it?")


def test_the_first_text_says_what_this_is_and_how_to_stop() -> None:
    """One segment by itself, at most three with program and contact."""
    [part] = SERVICE.plan(texts.ask_for_name(None, None, ENGLISH))
    assert part.segments == 1
    assert all(words in part.text for words in ("automated", "name=John\n", "STOP"))
    [long] = SERVICE.plan(texts.ask_for_name("Ann's *Bakery*", "ann_b@bakery.example or +1 555 0100", ENGLISH))
    assert long.segments <= 3
    assert all(words in long.text for words in ("Ann's *Bakery*", "ann_b@bakery.example"))


def test_optional_registration_answers_at_once_and_asks_along_with_the_first_answer() -> None:
    """Only once; the text right behind it may be the name."""
    service = service_with(sms_registration="optional")
    first = service.decide(text_from("What is up?"), None)
    assert (first.prompt, first.settings) == ("What is up?", {"name_asked_at": 1000.0})
    assert "name=" in first.postscript
    assert service.decide(text_from("John"), asked()).name == "John"
    second = service.decide(text_from("And now?"), asked())
    assert (second.prompt, second.postscript, second.settings) == ("And now?", "", {"name_asked_at": 0.0})
    third = User(SMS, PERSON, None, None, UserState.NEW, 4, 0.0, 0.0, settings=second.settings)
    assert service.decide(text_from("Paris"), third).prompt == "Paris"


def test_without_registration_nobody_is_asked() -> None:
    """A name is still taken when it is given."""
    service = service_with(sms_registration="off")
    decision = service.decide(text_from("What is up?"), None)
    assert (decision.prompt, decision.postscript) == ("What is up?", "")
    assert service.decide(text_from("name=John"), None).name == "John"


def test_registration_makes_a_person_active() -> None:
    """Also one who came back with START before they had a name."""
    assert SERVICE.decide(text_from("name=John"), person(None, UserState.NEW)).state is UserState.ACTIVE


@pytest.mark.parametrize(
    "body",
    ["name=", "name=   ", "name=" + "x" * 51, "name=STOP", "name=help", "name=Yes!", "name=a\tb", "name=\u200b"],
)
@pytest.mark.parametrize("user", [None, person("Old")])
def test_a_bad_name_gets_a_friendly_sentence(body: str, user: User | None) -> None:
    """Empty, too long, reserved, with controls: refused in words, and nothing changes."""
    decision = SERVICE.decide(text_from(body), user)
    assert decision.name is None
    assert decision.reply is not None
    assert "name=John" in decision.reply


def test_a_name_that_looks_like_markdown_is_shown_as_it_is() -> None:
    """Asterisks and brackets in a name are not formatting."""
    decision = SERVICE.decide(text_from("name=*Star* [x](http://e.org)"), None)
    assert decision.reply is not None
    assert "*Star* [x](http://e.org)!" in history_text(SERVICE.plan(decision.reply))


@pytest.mark.parametrize("body", ["my name=x", "name=John\nWhat is the weather?", "rename=x"])
def test_a_text_that_is_not_just_a_name_goes_to_the_model(body: str) -> None:
    """Only `name=NewName` by itself renames."""
    assert SERVICE.decide(text_from(body), person()).prompt == body


# -- everything else ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["Hello", "👍", "???", "שלום", "/start"])
def test_a_text_of_a_known_person_goes_to_the_model(body: str) -> None:
    """As it was written."""
    assert SERVICE.decide(text_from(body), person()).prompt == body


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Body": " \u200b "}, "arrived empty"),
        ({"Body": "x" * 100_001}, "too long"),
    ],
)
def test_what_cannot_be_answered_gets_a_friendly_word(changes: dict[str, str], words: str) -> None:
    """Nothing, and far too much."""
    decision = SERVICE.decide(SERVICE.parse_inbound(form(**changes)), person())
    assert decision.reply is not None
    assert words in decision.reply


def test_a_picture_alone_is_a_question() -> None:
    """Of a known person; of an unknown one it is kept until there is a name."""
    message = SERVICE.parse_inbound(form(Body="", NumMedia="1", MediaContentType0="image/jpeg"))
    assert SERVICE.decide(message, person()).prompt == ""
    assert SERVICE.decide(message, None).hold


def test_the_prompt_names_the_person_and_asks_for_short_plain_text() -> None:
    """What keeps an answer readable and cheap."""
    prompt = SERVICE.system_prompt(person("Zoë"))
    assert "Zoë" in prompt
    assert "no Markdown" in prompt
    assert "None" not in SERVICE.system_prompt(None)


def test_the_prompt_never_names_a_keyword() -> None:
    """The model would ask for it. Our own sentences: tests/texts/test_sentences.py."""
    shouted = re.compile(rf"\b({'|'.join(word.upper() for word in RESERVED_WORDS)})\b")
    assert not any(shouted.search(SERVICE.system_prompt(user)) for user in (person(), None))


# -- planned answers ---------------------------------------------------------------------------------------------------


def test_an_answer_is_plain_cheap_and_counted() -> None:
    """Markdown is gone, typography is spelled in GSM-7, the segments are right."""
    [part] = SERVICE.plan("**It’s** — “fine” [here](https://e.org)…")  # noqa: RUF001 (such characters are what is tested)
    assert part.text == 'It\'s - "fine" here (https://e.org)...'
    assert (part.history_text, part.style, part.segments) == (part.text, None, 1)


def test_a_long_answer_goes_in_numbered_parts_of_1600() -> None:
    """The history gets the whole, without the numbers."""
    service = service_with(sms_max_segments=100)
    answer = "\n\n".join(f"Paragraph {number}. " + "All work and no play. " * 20 for number in range(10)).strip()
    parts = service.plan(answer)
    assert [part.text[:6] for part in parts] == ["(1/4) ", "(2/4) ", "(3/4) ", "(4/4) "]
    assert all(len(part.text) <= 1600 for part in parts)
    assert all(part.segments == segments(part.text) for part in parts)
    assert re.sub(r"\s+", " ", history_text(parts)) == re.sub(r"\s+", " ", answer)


@pytest.mark.parametrize("length", [20_000, 3_000_000])
def test_a_huge_answer_ends_at_the_ceiling_and_says_so(length: int) -> None:
    """No bill without end, and no pretence that this was all."""
    parts = service_with(sms_max_parts=3, sms_max_segments=400).plan("word " * (length // 5))
    assert len(parts) == 3
    assert parts[-1].text.endswith("Text MORE for the rest.)")
    assert max(len(part.text) for part in parts) <= 1600


def test_an_answer_over_the_budget_is_continued_by_more_without_the_model() -> None:
    """As it was: with its indentation, and cut again where it is long; without a rest MORE is a question."""
    answer = "Do this:\n\n```\n" + "\n".join(f"    step {number} of *many*" for number in range(60)) + "\n```"
    [part] = SERVICE.plan(answer)
    assert part.segments <= 4
    shown, parts = part.text, 1
    while part.rest:
        user = replace(person(), settings={"rest": part.rest})
        assert SERVICE.decide(text_from("more info"), user).prompt == "more info"
        decision = SERVICE.decide(text_from("More!"), user)
        assert decision.more
        [part] = SERVICE.plan(decision.reply or "")
        shown, parts = shown.removesuffix(texts.more(ENGLISH)) + "\n" + part.text, parts + 1
    assert parts > 1
    assert shown.split("\n\n", 1)[1].splitlines() == [f"    step {number} of *many*" for number in range(60)]
    assert SERVICE.decide(text_from("More!"), person()).prompt == "More!"


@pytest.mark.parametrize(
    ("body", "forget"),
    [
        ("CLEAR", False),
        ("clear!", False),
        ("/clear", False),
        ("Clear our conversation.", False),
        ("Forget me", True),
        ("please forget me!", True),
        ("delete my data", True),
        ("Vergiss mich", True),
        ("Olvídame", True),
    ],
)
def test_a_person_has_the_conversation_forgotten_by_text(body: str, *, forget: bool) -> None:
    """Or the name with it: a number may have a new owner, who must not inherit what the old one wrote."""
    decision = SERVICE.decide(text_from(body), person())
    assert (decision.clear_history, decision.forget, decision.prompt) == (True, forget, None)
    assert decision.state is (UserState.NEW if forget else None)
    assert SERVICE.decide(text_from(body), None).clear_history is False


@pytest.mark.parametrize("body", ["forget it", "Is it clear?", "clear skies today", "forget me not, the flower", "new"])
def test_other_texts_forget_nothing(body: str) -> None:
    """They go to the model."""
    assert SERVICE.decide(text_from(body), person()).prompt == body


def test_the_model_is_told_the_budget() -> None:
    """In characters, with room for the note about the rest."""
    assert "never more than 585 characters" in SERVICE.system_prompt(None)


@pytest.mark.parametrize(
    ("fields", "segments", "usd"),
    [
        ({"NumSegments": "3"}, 3, 3 * 0.0083),
        ({"NumSegments": "", "From": "+447911123456"}, 1, 0.0083),
        ({"NumMedia": "2", "MediaContentType0": "image/png"}, 1, 0.0165),
    ],
)
def test_what_a_text_costs_us_is_known_when_it_comes(fields: dict[str, str], segments: int, usd: float) -> None:
    """Twilio bills what people send, too: each segment, or one message with pictures."""
    message = text_from("hi", **fields)
    assert message.segments == segments
    assert message.cost_usd == pytest.approx(usd)


def test_an_answer_that_shrinks_below_the_ceiling_still_says_that_it_was_cut() -> None:
    """Most of a huge text may be marks; what was never read is not passed over in silence."""
    [part] = SERVICE.plan("word" + "\n" * 50_000 + "the end")
    assert part.text == "word" + texts.cut(ENGLISH)


@pytest.mark.parametrize("markdown", ["", "  \n", "\u200b", "---", "![](x)", "\x00"])
def test_an_empty_answer_becomes_a_friendly_sentence(markdown: str) -> None:
    """Twilio takes no empty text, and a person should not wait for one."""
    [part] = SERVICE.plan(markdown)
    assert part.text == english("sms-empty-answer")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Reply YES to go on.", "Reply YES PLEASE to go on."),
        ('Just text back "CANCEL" if not.', 'Just text back "CANCEL IT" if not.'),
        ("Answer with INFO or 2.", "Answer with MORE INFO or 2."),
        ("Reply STOP to opt out.", "Reply STOP to opt out."),
        ("Say yes to life.", "Say yes to life."),
        ("Reply yes or no.", "Reply yes please or no."),
        ("Reply Yes to continue", "Reply yes please to continue"),
        ("Press YES", "Press YES PLEASE"),
        ('Type "end".', 'Type "end it".'),
        ("Shall I go on? (YES/NO)", "Shall I go on? (1 = yes, 2 = no)"),
        ("Go on [yes or no]?", "Go on (1 = yes, 2 = no)?"),
        ("Text info@e.org for help.", "Text info@e.org for help."),
        ("Reply “yes” or “cancel” – für später ж", "Reply “yes please” or “cancel it” – für später ж"),  # noqa: RUF001
        ("Reply NO or YES", "Reply NO or YES PLEASE"),
        ("Reply END/QUIT/CANCEL", "Reply END IT/QUIT IT/CANCEL IT"),
        ("Text 1, 2 or HELP", "Text 1, 2 or HELP ME"),
        ("Confirm by replying 'yes'.", "Confirm by replying 'yes please'."),
        ("Just reply (cancel)", "Just reply (cancel it)"),
        ("Antworte mit START, um zu beginnen.", "Antworte mit START IT, um zu beginnen."),
        ("Responde CANCEL o HELP.", "Responde CANCEL IT o HELP ME."),
        ("I will send help to you.", "I will send help to you."),
        ("Press the end key twice", "Press the end key twice"),
        ("Enter info about yourself", "Enter info about yourself"),
        ("END OF STORY", "END OF STORY"),
    ],
)
def test_an_invitation_to_a_keyword_is_made_harmless(answer: str, text: str) -> None:
    """Two words reach us where one would be taken by Twilio; an honest way out stays as it is."""
    assert history_text(SERVICE.plan(answer)) == text


@given(st.text(max_size=4000))
def test_whatever_the_model_says_can_be_sent(markdown: str) -> None:
    """Never empty, never over the limit, always valid UTF-8."""
    parts = SERVICE.plan(markdown)
    assert parts
    assert all(0 < len(part.text.encode("utf-16-le")) // 2 <= 1600 for part in parts)


def test_an_operators_text_is_sent_as_it_stands() -> None:
    """Asterisks are asterisks; nothing is cut, the route decides about length."""
    [part] = plan_text("Sale: **50%** off, reply STOP to opt out")
    assert part.text == "Sale: **50%** off, reply STOP to opt out"
    assert plan_text(" \n ") == []
    assert len(plan_text("word " * 10_000)) > 30


@pytest.mark.parametrize(
    ("number", "price"),
    [
        ("+12345678900", 0.5),
        ("+14165550100", 0.5),
        ("+15550100000", 0.5),
        ("+447911123456", 0.053),
        ("+998901234567", 0.12),
        ("68849", 0.12),
    ],
)
def test_a_segment_has_the_price_of_its_country(number: str, price: float) -> None:
    """That of the settings at home, that of the table elsewhere, and a high one for countries it does not have."""
    assert price_for(number, 0.5).text == price


@pytest.mark.parametrize(
    ("number", "zones"),
    [
        ("+12025550100", {"America/New_York"}),
        ("+14155550100", {"America/Los_Angeles"}),
        ("+491701234567", {"Europe/Berlin"}),
        ("+34612345678", {"Europe/Madrid", "Atlantic/Canary"}),
        ("+15555550100", set()),
        ("68849", set()),
        ("US.1234567890", set()),
    ],
)
def test_a_number_tells_the_time_zones_of_a_person(number: str, zones: set[str]) -> None:
    """All that are possible, none when it tells nothing."""
    assert {zone.key for zone in time_zones(number)} == zones


OWN = (("DE", 0.04), ("UZ", 0.2), ("AU", 0.03), ("CA", 0.01))


@pytest.mark.parametrize(
    ("number", "text", "media"),
    [
        ("+4915112345678", 0.04, 0.04),
        ("+998901234567", 0.2, 0.2),
        ("+61412345678", 0.03, 0.25),
        ("+14165550100", 0.01, 0.022),
        ("+12025550100", 0.5, 0.022),
        ("+447911123456", 0.053, 0.053),
        ("+9779812345678", 0.12, 0.12),
    ],
)
def test_a_price_of_the_settings_counts_for_its_country_alone(number: str, text: float, media: float) -> None:
    """A picture that goes as a text costs as much; one that is a message of its own keeps its price."""
    found = price_for(number, 0.5, OWN)
    assert (found.text, found.media) == (text, media)


def test_the_table_has_the_forty_largest_countries_and_what_is_needed_of_each() -> None:
    """Prices are more than nothing, and a text in is cheaper than one out."""
    prices = read_prices()
    assert len(prices) >= 55
    assert all(0 < row.text_in <= row.text < 1 and 0 < row.media_in <= row.media for row in prices.values())
    assert all(country in {*phonenumbers.SUPPORTED_REGIONS, "*"} for country in prices)


# -- delivery reports --------------------------------------------------------------------------------------------------

PART_ID = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("queued", PartState.ACCEPTED),
        ("sending", PartState.ACCEPTED),
        ("sent", PartState.SENT),
        ("delivered", PartState.DELIVERED),
        ("read", PartState.READ),
        ("undelivered", PartState.UNDELIVERED),
        ("failed", PartState.FAILED),
        ("canceled", PartState.CANCELED),
    ],
)
def test_each_status_of_twilio_has_its_state(status: str, state: PartState) -> None:
    """With our own part id out of the callback's URL."""
    event = SERVICE.parse_delivery(form(CALLBACK, MessageStatus=status), PART_ID)
    assert (event.state, event.provider_id, event.part_id, event.error_code) == (state, SID, PART_ID, None)


@pytest.mark.parametrize(
    ("code", "user_state"),
    [
        ("30003", None),
        ("30005", UserState.UNREACHABLE),
        ("21610", UserState.STOPPED),
        ("30007", None),
        ("12", None),
    ],
)
def test_a_failed_delivery_says_why_and_what_it_means_for_the_person(code: str, user_state: UserState | None) -> None:
    """The code is kept with words, and a person who cannot be reached is not written to again."""
    failed = form(CALLBACK, MessageStatus="undelivered", ErrorCode=code, ErrorMessage="Twilio's words")
    event = SERVICE.parse_delivery(failed, None)
    assert (event.error_code, event.user_state, event.part_id) == (code, user_state, None)
    assert event.error


@pytest.mark.parametrize("part", [None, "", "x", "../../etc", PART_ID + "0", PART_ID.upper()])
def test_a_part_id_that_is_not_ours_is_left_out(part: str | None) -> None:
    """Twilio's own id still tells which message is meant."""
    assert SERVICE.parse_delivery(form(CALLBACK), part).part_id is None


@pytest.mark.parametrize("changes", [{"MessageStatus": "received"}, {"MessageStatus": ""}, {"MessageStatus": "odd"}])
def test_a_callback_without_a_known_status_is_a_payload_error(changes: dict[str, str]) -> None:
    """Nothing is guessed."""
    with pytest.raises(PayloadError):
        SERVICE.parse_delivery(form(CALLBACK, **changes), None)


def test_a_callback_is_told_from_a_message() -> None:
    """A console may be set up to send both to one address."""
    assert is_delivery(form(CALLBACK))
    assert not is_delivery(form())


# -- signatures --------------------------------------------------------------------------------------------------------

TWILIOS_EXAMPLE = Form(
    (
        ("From", "+14158675309"),
        ("To", "+18005551212"),
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675309"),
        ("Digits", "1234"),
    )
)
TWILIOS_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TOKEN = Signatures(("12345",))
SHARED = Signatures(("12345",), "12345")
SHA256_HEADER = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"


def test_the_documented_signature_passes() -> None:
    """The example of Twilio's own documentation and SDK."""
    assert TOKEN.valid(TWILIOS_URL, TWILIOS_EXAMPLE, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")


def test_repeated_fields_are_signed_once_each() -> None:
    """The SDK's own vector for fields that come twice."""
    fields = Form(
        (("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234"))
    )
    assert TOKEN.valid(TWILIOS_URL, fields, "IK+Dwps556ElfBT0I3Rgjkr1wJU=")


def test_a_body_that_was_hashed_is_checked_against_its_hash() -> None:
    """The SDK's own vector for bodySHA256."""
    body = b'{"property": "value", "boolean": true}'
    url = f"{TWILIOS_URL}&bodySHA256={hashlib.sha256(body).hexdigest()}"
    assert TOKEN.valid(url, Form(()), "a9nBmqA0ju/hNViExpshrM61xv4=", body=body)
    assert not TOKEN.valid(url, Form(()), "a9nBmqA0ju/hNViExpshrM61xv4=", body=body + b" ")


def test_a_path_that_names_the_hash_is_no_hashed_body() -> None:
    """Only the parameter of the query says that a body was hashed."""
    url = "https://relay.example/bodySHA256"
    assert TOKEN.valid(url, TWILIOS_EXAMPLE, sign("12345", url, TWILIOS_EXAMPLE), body=b"{}")


def test_a_shared_key_signs_with_sha256() -> None:
    """An independently computed HMAC-SHA256 of the documented example."""
    assert SHARED.valid(TWILIOS_URL, TWILIOS_EXAMPLE, "033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s=", SHA256_HEADER)


@pytest.mark.parametrize(
    ("checker", "signature", "header"),
    [
        (SHARED, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", ""),
        (SHARED, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "algorithm=HMAC_SHA1"),
        (TOKEN, "033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s=", SHA256_HEADER),
        (TOKEN, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "algorithm=MD5"),
        (TOKEN, None, ""),
        (TOKEN, "", ""),
        (TOKEN, "ünïcode", ""),
        (TOKEN, "RSOYDt4T1cUTdK1PDd93/VVr8B8", ""),
    ],
)
def test_a_header_can_neither_downgrade_nor_surprise(checker: Signatures, signature: str | None, header: str) -> None:
    """The algorithm is ours to choose; missing and odd signatures are simply wrong."""
    assert not checker.valid(TWILIOS_URL, TWILIOS_EXAMPLE, signature, header)


@pytest.mark.parametrize(
    "url",
    [
        TWILIOS_URL.replace("https", "http"),
        TWILIOS_URL.replace("mycompany", "MyCompany"),
        TWILIOS_URL + "/",
        TWILIOS_URL + "#part",
        "https://mycompany.com:notaport/",
        "",
    ],
)
def test_another_url_does_not_pass(url: str) -> None:
    """Scheme, host, path and query are signed to the letter."""
    assert not TOKEN.valid(url, TWILIOS_EXAMPLE, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")


def test_the_secondary_token_passes_while_tokens_rotate() -> None:
    """Twilio changes from one to the other at a moment of its own."""
    rotating = service_with(twilio_secondary_auth_token="67890").signatures
    assert rotating.valid(TWILIOS_URL, TWILIOS_EXAMPLE, sign("67890", TWILIOS_URL, TWILIOS_EXAMPLE))
    assert rotating.valid(TWILIOS_URL, TWILIOS_EXAMPLE, sign("12345", TWILIOS_URL, TWILIOS_EXAMPLE))


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), max_size=6),
    st.sampled_from(["https://a.example/x", "https://a.example:443/x", "http://a.example:8040/x?y=%20", "http://a/"]),
)
def test_the_sdk_and_we_agree(fields: dict[str, str], url: str) -> None:
    """What the SDK signs passes here, and one changed letter does not."""
    signature = RequestValidator("12345").compute_signature(url, fields)
    assert TOKEN.valid(url, form(fields), signature)
    assert not TOKEN.valid(url, form(fields, Extra="x"), signature)


@pytest.mark.parametrize(
    ("called", "signed", "passes"),
    [
        ("https://a.example/sms/webhook", "https://a.example:443/sms/webhook", True),
        ("https://a.example:443/sms/webhook", "https://a.example/sms/webhook", True),
        ("https://a.example:8443/sms/webhook", "https://a.example/sms/webhook", True),
        ("http://a.example/sms/webhook", "http://a.example:80/sms/webhook", True),
        ("http://a.example:80/sms/webhook", "http://a.example/sms/webhook", True),
        ("https://a.example/sms/webhook", "https://a.example:8443/sms/webhook", False),
        ("https://a.example:8443/sms/webhook", "https://a.example:443/sms/webhook", False),
    ],
)
def test_twilio_may_sign_the_url_with_or_without_its_port(called: str, signed: str, *, passes: bool) -> None:
    """The standard port may be added, any port left out; another port is another URL."""
    signature = base64.b64encode(hmac.digest(b"12345", f"{signed}Bodyhi".encode(), "sha1")).decode()
    assert TOKEN.valid(called, form({"Body": "hi"}), signature) is passes


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"twilio_account_sid": None}, "twilio_account_sid"),
        ({"twilio_auth_token": None}, "twilio_auth_token"),
        ({"twilio_phone_number": None}, "twilio_phone_number (or twilio_messaging_service_sid)"),
    ],
)
def test_missing_credentials_are_named(changes: dict[str, object], missing: str) -> None:
    """One sentence that says what to set, and how to try without an account."""
    with pytest.raises(SettingsError, match=re.escape(missing)):
        service_with(**changes)


def test_try_out_mode_needs_no_credentials() -> None:
    """The simulator's own are in force."""
    settings = Settings().for_simulator()
    SmsService(settings, open_http_client())
    assert callback_base(settings) is not None
