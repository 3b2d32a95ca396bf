"""Everything that Twilio means: what came in, what it asks for, how an answer is cut and sent, and whether it arrived.

It reads and writes no row and knows no route: the SMS server gives it what came in and stores what it returns. The raw
form and its signature are read in relay/channels/sms/webhook.py, the REST API is called in client.py beside it.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from typing import Any, assert_never
from urllib.parse import urlsplit

import httpx
from twilio.base.exceptions import TwilioException

from relay.channels.sms.client import open_client, refusal
from relay.channels.sms.plain_text import escaped, to_plain_text
from relay.channels.sms.segments import clean_sms, in_gsm_letters, split
from relay.channels.sms.settings import SmsSettings, missing_credentials
from relay.channels.sms.spec import SMS
from relay.channels.sms.webhook import Form, SenderKind, Signatures, normal_number, sender_of
from relay.config.errors import SettingsError
from relay.core.errors import OutcomeUnknown, PayloadError, SendError, SendFailure
from relay.core.messages import (
    USER_STATE_AFTER,
    Decision,
    DeliveryEvent,
    InboundMessage,
    Kind,
    Part,
    PartId,
    PartState,
    PlannedPart,
    Receipt,
    User,
    UserId,
    UserState,
)
from relay.core.names import NameRefused, valid_name
from relay.core.text import is_blank, strip_controls

MESSAGE_LIMIT = 1600  # "Body" in https://www.twilio.com/docs/messaging/api/message-resource
OPERATOR_PARTS = 1000  # how far an operator's text is counted before it is refused
CLOCKS_DIFFER_SECONDS = 10.0
SETTLE_PAGE = 100

# The whole text, in any case: https://help.twilio.com/articles/223134027. Twilio answers these itself.
STOP_WORDS = frozenset({"stop", "stopall", "unsubscribe", "end", "quit", "cancel", "revoke", "optout"})
START_WORDS = frozenset({"start", "yes", "unstop"})
HELP_WORDS = frozenset({"help", "info"})
RESERVED_WORDS = STOP_WORDS | START_WORDS | HELP_WORDS

# https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
TWILIO_STATUS = {
    "accepted": PartState.ACCEPTED,
    "scheduled": PartState.ACCEPTED,
    "queued": PartState.ACCEPTED,
    "sending": PartState.ACCEPTED,
    "sent": PartState.SENT,
    "partially_delivered": PartState.SENT,
    "delivered": PartState.DELIVERED,
    "read": PartState.READ,
    "undelivered": PartState.UNDELIVERED,
    "failed": PartState.FAILED,
    "canceled": PartState.CANCELED,
}
_INBOUND_STATUS = frozenset({"", "receiving", "received"})

ASK_FOR_NAME = (
    "Hi! You are texting with an automated assistant. What should I call you? "
    "Text me name= and your name, for example: name=John"
)
HOW_TO_NAME = "Try again like this: name=John"
ONLY_TEXT = "Sorry, I can only read text for now. Please describe it in words."
EMPTY_TEXT = "Your text arrived empty. Please send it again."
EMPTY_ANSWER = "Sorry, I have no answer to that. Please put it another way."
CLOSING = "\n\n[Cut here: too long for texts. Ask me to go on.]"

_NAME_COMMAND = re.compile(r"\s*name\s*=(.*)", re.IGNORECASE | re.DOTALL)
_PART_ID = re.compile(r"[0-9a-f]{32}")
# "Reply YES" from us would make the answer a keyword that never reaches us, or even stop us. Two words are no keyword.
_INVITATION = re.compile(
    r"(\b(?i:reply|respond|answer|text|send|say|type|write)(?: (?i:back|with|me|us|the word|just))* )"
    r"([\"']?)(YES|START|UNSTOP|END|QUIT|CANCEL|HELP|INFO)\b(?!\s[A-Z])"
)
_HARMLESS = {
    "YES": "YES PLEASE",
    "START": "START IT",
    "UNSTOP": "START IT",
    "END": "END IT",
    "QUIT": "QUIT IT",
    "CANCEL": "CANCEL IT",
    "HELP": "HELP ME",
    "INFO": "MORE INFO",
}


class SmsService:
    """The SMS channel over Twilio. Raises SettingsError, saying what to set, when credentials are missing."""

    platform = SMS
    supports_lookup = True
    rate_limited = False
    """Twilio queues what is sent too fast."""

    def __init__(
        self,
        settings: SmsSettings,
        http: httpx.AsyncClient,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        account_sid, token = credentials(settings)
        self.lookup_seconds = settings.sms_settle_seconds
        self._settings = settings
        self._clock = clock
        self._new_id = new_id
        self._client = open_client(http, settings.twilio_api_base_url, account_sid, token)
        self._service_sid = settings.twilio_messaging_service_sid
        self._number = own_number(settings)
        self._own = frozenset({self._number} if self._number else ())
        secondary, shared = settings.twilio_secondary_auth_token, settings.twilio_shared_key
        self.signatures = Signatures(
            (token, secondary.get_secret_value()) if secondary else (token,),
            shared.get_secret_value() if shared else None,
        )

    # -- what came in --------------------------------------------------------------------------------------------------

    def parse_inbound(self, form: Form) -> InboundMessage:
        """The message in a webhook's form. Raises PayloadError when it holds none.

        Without a MessageSid (a form written by hand) every delivery counts as a new message.
        """
        if is_delivery(form):
            raise PayloadError("this is a status callback, not a message: it belongs to /sms/delivery")
        region = self._settings.default_region
        to = normal_number(form.one("To"), region)
        sender = sender_of(form.one("From"), region, self._own | ({to} if to else frozenset()))
        text = strip_controls(form.one("Body"))
        attachments = _attachments(form)
        options: dict[str, Any] = {"sender": sender.kind.value}
        if opt_out := form.one("OptOutType").strip().upper():
            options["opt_out"] = opt_out[:20]
        return InboundMessage(
            platform=SMS,
            external_id=external_id(form) or f"by-hand-{self._new_id()}",
            user_id=sender.user_id,
            text=text,
            received_at=self._clock(),
            kind=Kind.MEDIA if attachments and is_blank(text) else Kind.TEXT,
            attachments=attachments,
            options=options,
        )

    def parse_delivery(self, form: Form, part: str | None) -> DeliveryEvent:
        """The report in a status callback; `part` is what our StatusCallback URL carried. Raises PayloadError."""
        sid = external_id(form)
        status = form.one("MessageStatus", "SmsStatus").strip().lower()
        state = TWILIO_STATUS.get(status)
        part_id = PartId(part) if part and _PART_ID.fullmatch(part) else None
        if state is None:
            msg = f"a status callback came with the status {status[:40]!r}"
            raise PayloadError(msg)
        if not sid:
            raise PayloadError("a status callback came without a MessageSid")
        code = form.one("ErrorCode").strip()
        error = refusal(int(code), SendFailure.REJECTED, form.one("ErrorMessage")) if _is_small_number(code) else None
        return DeliveryEvent(
            platform=SMS,
            provider_id=sid,
            state=state,
            received_at=self._clock(),
            part_id=part_id,
            error_code=error.code if error else None,
            error=strip_controls(error.message)[:300] if error else None,
            user_state=USER_STATE_AFTER.get(error.kind) if error else None,
            failure=error.kind if error else None,
        )

    # -- what to do about it -------------------------------------------------------------------------------------------

    def decide(self, message: InboundMessage, user: User | None) -> Decision:
        """Keywords, registration, renaming and what cannot be answered; everything else is for the model."""
        sender = SenderKind(message.options.get("sender", SenderKind.PHONE))
        if sender is not SenderKind.PHONE:
            return Decision(reason=_why_silent(sender))
        named = user is not None and user.name is not None
        if keyword := self._keyword(message, named=named):
            return keyword
        if user is not None and user.state in {UserState.STOPPED, UserState.BLOCKED}:
            return Decision(reason="the person has opted out; START brings them back")
        # A user who writes can be reached again.
        back = None
        if user is not None and user.state is UserState.UNREACHABLE:
            back = UserState.ACTIVE if named else UserState.NEW
        command = _NAME_COMMAND.fullmatch(message.text)
        if command and (not named or "\n" not in command[1].strip()):
            return self._named(command[1], back, renamed=named)
        if not named:
            return Decision(reply=ASK_FOR_NAME, state=back)
        return self._asked(message, back)

    def _keyword(self, message: InboundMessage, *, named: bool) -> Decision | None:
        """Twilio answers these itself, so we are silent: an answer to STOP could not be delivered anyway."""
        word = message.text.strip().casefold()
        kind = message.options.get("opt_out", "")
        if kind == "STOP" or word in STOP_WORDS:
            return Decision(reason="opted out; Twilio answers this keyword", state=UserState.STOPPED)
        if kind == "START" or word in START_WORDS:
            state = UserState.ACTIVE if named else UserState.NEW
            return Decision(reason="opted in; Twilio answers this keyword", state=state)
        if kind == "HELP" or word in HELP_WORDS:
            return Decision(reason="Twilio answers this keyword")
        return None

    def _named(self, wanted: str, back: UserState | None, *, renamed: bool) -> Decision:
        try:
            name = valid_name(wanted, self._settings.max_name_length, reserved=RESERVED_WORDS)
        except NameRefused as refused:
            return Decision(reply=f"{escaped(str(refused))} {HOW_TO_NAME}", state=back)
        if renamed:
            return Decision(reply=f"Done! I will call you {escaped(name)} from now on.", name=name, state=back)
        welcome = (
            f"Nice to meet you, {escaped(name)}! Ask me anything. To change your name, text name= and the new one."
        )
        return Decision(reply=welcome, name=name, state=UserState.ACTIVE)

    def _asked(self, message: InboundMessage, back: UserState | None) -> Decision:
        most = self._settings.max_message_length
        if message.kind is Kind.MEDIA:
            return Decision(reply=ONLY_TEXT, state=back)
        if is_blank(message.text):
            return Decision(reply=EMPTY_TEXT, state=back)
        if len(message.text) > most:
            return Decision(reply=f"That is too long for me: please keep it under {most} characters.", state=back)
        return Decision(prompt=message.text, state=back)

    def debounce_seconds(self, message: InboundMessage) -> float:  # noqa: ARG002 (Twilio joins the segments of a text itself)
        return 0.0

    def merge(self, messages: Sequence[InboundMessage]) -> str:
        return "\n".join(message.text for message in messages)

    def system_prompt(self, user: User | None) -> str:
        """Short and plain, as each 153 characters cost money; and no question whose natural answer is a keyword."""
        person = f"The person's name is {user.name}. " if user is not None and user.name else ""
        return (
            "You answer text messages (SMS) as a friendly, honest assistant. "
            f"{person}"
            "Write plain text: no Markdown, no headings, no tables, no emoji. "
            "Be brief: one to three short sentences, under 300 characters, unless the person asks for more. "
            "Answer in the language of the person. "
            "Never ask for a one-word reply and never ask a yes-or-no question; to offer a choice, number the options."
        )

    # -- answers -------------------------------------------------------------------------------------------------------

    def plan(self, markdown: str) -> list[PlannedPart]:
        """Plain text in parts of at most 1,600 characters, numbered when there are several, cut with an honest word."""
        most = self._settings.sms_max_parts
        readable = markdown[: 4 * MESSAGE_LIMIT * most]  # whatever lies beyond could not be texted
        text = _INVITATION.sub(_harmless, in_gsm_letters(clean_sms(to_plain_text(readable))))
        if is_blank(text):
            text = EMPTY_ANSWER
        elif len(readable) < len(markdown) and len(text) <= MESSAGE_LIMIT * most:
            text += CLOSING
        return split(text, MESSAGE_LIMIT, most, CLOSING)

    def plan_text(self, text: str) -> list[PlannedPart]:
        """An operator's text as it stands, in as many parts as it takes; none when it is blank."""
        text = in_gsm_letters(clean_sms(text))
        return [] if is_blank(text) else split(text, MESSAGE_LIMIT, OPERATOR_PARTS, CLOSING)

    def typing(self, user_id: UserId) -> AbstractAsyncContextManager[None]:  # noqa: ARG002 (a text message has no such sign)
        return nullcontext()

    async def wait_for_rate_limit(self, part: Part) -> None:
        """Return at once: Twilio queues what is sent too fast."""

    async def send(self, part: Part) -> Receipt:
        """Send one part, once. Raises SendError when it was refused, OutcomeUnknown when its fate is unknown."""
        values: dict[str, Any] = {"to": part.user_id, "body": part.text}
        if self._service_sid:
            values["messaging_service_sid"] = self._service_sid
        else:
            values["from_"] = self._number
        if (callback := self.status_callback(part.id)) is not None:
            values["status_callback"] = callback
        try:
            sent = await self._client.messages.create_async(**values)
        except (TwilioException, ValueError, TypeError, AttributeError) as error:
            raise OutcomeUnknown("answer", f"Twilio's answer cannot be understood: {error}") from None
        if not isinstance(sent.sid, str) or not sent.sid:
            raise OutcomeUnknown("answer", "Twilio's answer names no message")
        return _receipt(sent)

    async def lookup(self, part: Part, taken: Collection[str]) -> Receipt | None:
        """Look the part up among the messages to this person: same text, made since the attempt began, not `taken`.

        The list is not filtered by date: its filter looks at the date of sending, which a queued message has not got.
        Raises OutcomeUnknown when the list cannot be read.
        """
        since = (part.attempted_at or part.created_at) - CLOCKS_DIFFER_SECONDS
        values: dict[str, Any] = {"to": part.user_id}
        if not self._service_sid:
            values["from_"] = self._number
        try:
            page = await self._client.messages.list_async(**values, limit=SETTLE_PAGE, page_size=SETTLE_PAGE)
        except SendError as error:
            raise OutcomeUnknown(error.code, f"the list of messages cannot be read: {error.message}") from None
        except (TwilioException, ValueError, TypeError, AttributeError, KeyError) as error:
            raise OutcomeUnknown("answer", f"the list of messages cannot be understood: {error}") from None
        return next((_receipt(sent) for sent in page if sent.sid not in taken and _is_attempt(sent, part, since)), None)

    async def probe(self) -> None:
        """Return at once: the list of messages tells what was sent, so no repetition is blind."""

    def status_callback(self, part_id: PartId) -> str | None:
        """Where Twilio reports about this part: its URL carries our id, so a report may overtake Twilio's answer."""
        base = callback_base(self._settings)
        return f"{base}/sms/delivery?part={part_id}" if base else None


# -- settings ----------------------------------------------------------------------------------------------------------


def credentials(settings: SmsSettings) -> tuple[str, str]:
    """Account SID and auth token. Raises SettingsError naming the keys that are missing."""
    token = settings.twilio_auth_token
    missing = missing_credentials(settings)
    if missing or token is None or settings.twilio_account_sid is None:
        msg = (
            f"The SMS server lacks {', '.join(missing)}: set them in config.json, .env or the environment, "
            "or try everything without an account: python start_all_servers.py --demo"
        )
        raise SettingsError(msg)
    return settings.twilio_account_sid, token.get_secret_value()


def own_number(settings: SmsSettings) -> UserId | None:
    """Our number in E.164, if we send from one of our own choice."""
    written = settings.twilio_phone_number
    return None if written is None else normal_number(written, settings.default_region) or UserId(written)


def callback_base(settings: SmsSettings) -> str | None:
    """What status callbacks can be sent to: our public URL, or ourselves when the simulator plays Twilio."""
    if settings.public_url is not None:
        # Twilio refuses host names with an underscore (21609), and the message with them.
        return None if "_" in (urlsplit(settings.public_url).hostname or "") else settings.public_url
    return f"http://127.0.0.1:{settings.sms_server_port}" if settings.simulated else None


# -- forms -------------------------------------------------------------------------------------------------------------


def external_id(form: Form) -> str:
    """Twilio's id of the message, by any of its three names, or ""."""
    return strip_controls(form.one("MessageSid", "SmsSid", "SmsMessageSid")).strip()[:64]


def is_delivery(form: Form) -> bool:
    """Whether this is a status callback, which some consoles are set up to send to the webhook of messages."""
    return form.one("MessageStatus", "SmsStatus").strip().lower() not in _INBOUND_STATUS


def _attachments(form: Form) -> tuple[str, ...]:
    count = form.one("NumMedia").strip()
    if not _is_small_number(count):
        return ()
    return tuple(form.one(f"MediaContentType{index}")[:100] or "unknown" for index in range(min(int(count), 10)))


def _is_small_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6 and int(text) > 0


def _why_silent(sender: SenderKind) -> str:
    match sender:
        case SenderKind.OWN:
            return "from our own number: answering would be talking to ourselves"
        case SenderKind.SHORT_CODE:
            return "from a short code: a machine, not a person"
        case SenderKind.ALPHANUMERIC:
            return "from a name instead of a number: it cannot be answered"
        case SenderKind.OTHER_CHANNEL:
            return "not a text message: this relay answers SMS, not WhatsApp, RCS or Messenger"
        case SenderKind.PHONE:
            return ""
        case _:
            assert_never(sender)


# -- parts -------------------------------------------------------------------------------------------------------------


def _harmless(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{_HARMLESS[found[3]]}"


def _receipt(sent: Any) -> Receipt:
    """Of one of the SDK's message values; a Messaging Service does not know the segments yet and says 0."""
    count = str(sent.num_segments or "")
    return Receipt(
        provider_id=sent.sid,
        state=TWILIO_STATUS.get(str(sent.status), PartState.ACCEPTED),
        segments=int(count) if _is_small_number(count) else None,
    )


def _is_attempt(sent: Any, part: Part, since: float) -> bool:
    made = sent.date_created
    in_time = not isinstance(made, datetime) or made.timestamp() >= since
    same = str(sent.body or "").endswith(part.text)  # a trial account puts words of Twilio's before ours
    return in_time and same and str(sent.direction or "").startswith("outbound") and bool(sent.sid)
