"""The WhatsApp channel over Twilio: parses its webhooks, decides about messages, plans and sends replies.

It has no routes and reads and writes no row. What is the same for texts is the SMS channel's: forms, keywords, the
messages of the REST API.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

import httpx

from relay.channels.sms.forgetting import forgetting, forgotten
from relay.channels.sms.keywords import Keyword, keyword_of
from relay.channels.sms.language_choice import in_language, language_choice
from relay.channels.sms.segments import split
from relay.channels.sms.twilio_channel import TwilioChannel, require_message
from relay.channels.sms.twilio_messages import Origination
from relay.channels.sms.webhook import Form
from relay.channels.whatsapp import texts
from relay.channels.whatsapp.by_hand import MESSAGE_LIMIT
from relay.channels.whatsapp.formatting import to_whatsapp
from relay.channels.whatsapp.settings import WhatsAppSettings
from relay.channels.whatsapp.spec import WHATSAPP
from relay.core.decisions import Decision
from relay.core.errors import PayloadError
from relay.core.messages import HistoryMessage, InboundMessage, User, UserId, UserState, reachable_again
from relay.core.names import name_or_none
from relay.core.parts import PlannedPart
from relay.core.text import is_blank, strip_controls
from relay.core.user_language import chosen_language
from relay.texts import ENGLISH
from relay.texts.sentences import localize

SCHEME = f"{WHATSAPP}:"
MAX_READABLE = 40_000
"""Characters of a reply that are read."""

CUT_ROOM = 200
"""Characters of the last messages that are kept for the note about the cut, and for the numbers of the parts."""

NO_WORDS: frozenset[str] = frozenset()
"""What the carrier handles: on WhatsApp, without a Messaging Service, no keyword."""


class WhatsAppService(TwilioChannel):
    """Raises SettingsError naming the settings when credentials are missing."""

    platform = WHATSAPP
    is_billed = False

    def __init__(
        self,
        settings: WhatsAppSettings,
        http: httpx.AsyncClient,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        price = settings.whatsapp_message_usd
        origination = Origination(WHATSAPP, settings.whatsapp_number, None, lambda _user, _n, _media: price, SCHEME)
        super().__init__(settings, http, origination, clock, new_id)
        self._settings = settings

    # -- webhooks ------------------------------------------------------------------------------------------------------

    def parse_inbound(self, form: Form) -> InboundMessage:
        """The message in a webhook's form. Raises PayloadError when it holds none."""
        require_message(form)
        user_id = address(form.one("From"))
        if not user_id:
            raise PayloadError("the field From is missing or empty")
        name = name_or_none(form.one("ProfileName"), self._settings.max_name_length)
        price = self._settings.whatsapp_message_usd
        return self._message(form, user_id, _words(form), name=name, segments=1, cost_usd=price)

    # -- decisions -----------------------------------------------------------------------------------------------------

    def opt_out(self, message: InboundMessage, user: User | None = None) -> list[PlannedPart] | None:
        """The confirmation of a STOP; None when the message is none."""
        if self._keyword(message) is not Keyword.STOP:
            return None
        return self.plan(localize("whatsapp-stopped", self.language(user, message)))

    def decide(self, message: InboundMessage, user: User | None) -> Decision:
        """Keywords, wishes to be forgotten and unanswerable messages; every other text is a prompt for the model.

        There is no registration: WhatsApp gives the name of the person's profile.
        """
        if message.user_id == self._settings.whatsapp_number:
            return Decision(reason="from our own number: answering would be talking to ourselves")
        is_out = user is not None and user.state is UserState.STOPPED
        language = self.language(user, message)
        if decision := self._on_keyword(message, language, is_out=is_out):
            return decision
        if is_out:
            return Decision(reason="the person has opted out; START brings them back")
        back = reachable_again(user)
        if decision := _command(message.text, user, back, language):
            return decision
        name = message.name if user is None or user.name is None else None
        if (reply := self._cannot_be_answered(message, language)) is not None:
            return Decision(reply=reply, name=name, state=back)
        return Decision(prompt=message.text, name=name, state=back)

    def _on_keyword(self, message: InboundMessage, language: str, *, is_out: bool) -> Decision | None:
        """None where the word is an ordinary text."""
        match self._keyword(message):
            case Keyword.STOP:
                return Decision(reason="opted out", state=UserState.STOPPED)
            case Keyword.START if is_out:
                return Decision(reply=localize("sms-back", language), state=UserState.ACTIVE)
            case Keyword.HELP:
                return Decision(reply=localize("whatsapp-help", language))
            case _:
                return None

    def _cannot_be_answered(self, message: InboundMessage, language: str) -> str | None:
        """The reply to a message that is no question; None for a question."""
        if is_blank(message.text) and not message.attachments:
            return localize("whatsapp-empty-text", language)
        most = self._settings.max_message_length
        return localize("sms-too-long", language, limit=most) if len(message.text) > most else None

    def _keyword(self, message: InboundMessage) -> Keyword | None:
        found = keyword_of(message.text, handled=NO_WORDS)
        return found.kind if found else None

    def why_ignored(self, message: InboundMessage, history: Sequence[HistoryMessage]) -> None:
        """Nothing is: reactions come as such, and are no messages."""

    def debounce_seconds(self, message: InboundMessage) -> float:  # noqa: ARG002 (no message is cut)
        return 0.0

    def merge(self, messages: Sequence[InboundMessage]) -> str:
        return "\n".join(message.text for message in messages)

    def system_prompt(self, user: User | None) -> str:
        return texts.system_prompt(user.name if user else None, chosen_language(user))

    # -- replies -------------------------------------------------------------------------------------------------------

    def plan(self, markdown: str, language: str = ENGLISH) -> list[PlannedPart]:
        """Text with WhatsApp's marks in parts of at most 1,600 characters, numbered when there are several."""
        readable, cut = markdown[:MAX_READABLE], f"\n\n[{localize('whatsapp-cut', language)}]"
        text = to_whatsapp(strip_controls(readable)).strip()
        if is_blank(text):
            text = localize("sms-empty-answer", language)
        elif len(readable) < len(markdown):
            text += cut
        parts, most = split(text, MESSAGE_LIMIT), self._settings.whatsapp_max_parts
        if len(parts) <= most:
            return parts
        kept = "".join(part.history_text for part in parts[:most])
        return split(f"{kept[: MESSAGE_LIMIT * most - CUT_ROOM]}{cut}", MESSAGE_LIMIT)[:most]


def address(given: str) -> UserId:
    """A person's number or identifier, without the scheme of Twilio's addresses."""
    bare = strip_controls(given).strip()
    return UserId(bare[len(SCHEME) :] if bare.lower().startswith(SCHEME) else bare)


def _command(text: str, user: User | None, back: UserState | None, language: str) -> Decision | None:
    """What a text that is a command of its own does: it forgets, or chooses the language."""
    if (what := forgetting(text)) is not None:
        return forgotten(what, back, language, cleared=localize("whatsapp-cleared", language))
    if user is not None and (choice := language_choice(text)) is not None:
        return replace(in_language(choice, user, language), state=back)
    return None


def _words(form: Form) -> str:
    """What the person wrote, pressed or shared: text, the label of a button, or a place."""
    text = strip_controls(form.one("Body"))
    if not is_blank(text):
        return text
    if label := strip_controls(form.one("ButtonText")).strip():
        return label
    latitude, longitude = form.one("Latitude").strip(), form.one("Longitude").strip()
    if not (latitude and longitude):
        return text
    where = ", ".join(part for name in ("Label", "Address") if (part := strip_controls(form.one(name)).strip()))
    return f"[A place: {where + ', ' if where else ''}{latitude[:20]}, {longitude[:20]}]"
