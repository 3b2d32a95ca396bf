"""Everything specific to Twilio: parses its webhooks, decides about messages, plans replies, sends and looks up parts.

It has no routes and reads and writes no row: the SMS server calls it and stores what it returns. Its parts are in
relay/channels/sms: forms and signatures (webhook), senders, keywords, texts, segments, the REST API (client),
what is sent and found there (twilio_messages, twilio_channel).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import httpx

from relay.channels.sms import texts
from relay.channels.sms.budget import asks_for_more, plan_within, verbatim
from relay.channels.sms.by_hand import plan_text
from relay.channels.sms.carriers import HALVES_SECONDS, is_repetition, joined, looks_cut
from relay.channels.sms.forgetting import forgetting, forgotten
from relay.channels.sms.keywords import (
    RESERVED_WORDS,
    Keyword,
    KeywordMatch,
    handled_words,
    keyword_of,
    without_invitations,
)
from relay.channels.sms.language_choice import in_language, language_choice
from relay.channels.sms.media import read_media
from relay.channels.sms.plain_text import to_plain_text
from relay.channels.sms.prices import price_for
from relay.channels.sms.reactions import is_reaction
from relay.channels.sms.registration import StatedName, asks_nothing, name_command, stated_name
from relay.channels.sms.segments import MESSAGE_LIMIT
from relay.channels.sms.senders import (
    WHY_SILENT,
    Sender,
    SenderKind,
    address_of_channel,
    normal_number,
    own_number,
    region_of,
    sender_of,
)
from relay.channels.sms.settings import SmsSettings, credentials
from relay.channels.sms.spec import SMS
from relay.channels.sms.spelling import affordable, clean_sms
from relay.channels.sms.throughput import segments_per_second
from relay.channels.sms.twilio_channel import TwilioChannel, require_message
from relay.channels.sms.twilio_messages import of_texts
from relay.channels.sms.webhook import Form, Signatures, small_number
from relay.core.decisions import Decision
from relay.core.markdown_source import escape_markdown as escaped
from relay.core.messages import REST, HistoryMessage, InboundMessage, User, UserId, UserState, reachable_again
from relay.core.names import NameRefused, valid_name
from relay.core.parts import PlannedPart
from relay.core.text import is_blank, strip_controls
from relay.core.user_language import chosen_language
from relay.texts import ENGLISH
from relay.texts.languages import written_language
from relay.texts.sentences import localize

MAX_READABLE = 40_000
"""Characters of a reply that are read; more could only be asked for by many texts."""

ASK_AGAIN_SECONDS = 600.0
"""How long the prompt for a name is not repeated."""


ONLY_TEXTS = "only_texts_at"
"""Name among a user's settings: when a person of another channel was told that only texts are answered."""


class SmsService(TwilioChannel):
    """The SMS channel over Twilio. Raises SettingsError naming the settings when credentials are missing."""

    platform = SMS
    is_billed = True

    def __init__(
        self,
        settings: SmsSettings,
        http: httpx.AsyncClient,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        _, token = credentials(settings)
        super().__init__(settings, http, of_texts(settings), clock, new_id, segments_per_second(settings), sleep)
        self._settings = settings
        self._service_sid = settings.twilio_messaging_service_sid
        self._number = own_number(settings)
        self._handled_words = handled_words(None if self._service_sid else self._number)
        others = (normal_number(number, settings.default_region) for number in settings.twilio_other_numbers)
        self._own = frozenset(number for number in (self._number, *others) if number)
        secondary, shared = settings.twilio_secondary_auth_token, settings.twilio_shared_key
        self.signatures = Signatures(
            (token, secondary.get_secret_value()) if secondary else (token,),
            shared.get_secret_value() if shared else None,
        )

    # -- webhooks ------------------------------------------------------------------------------------------------------

    def parse_inbound(self, form: Form) -> InboundMessage:
        """The message in a webhook's form. Raises PayloadError when it holds none."""
        require_message(form)
        region = self._settings.default_region
        to = normal_number(form.one("To"), region)
        sender = sender_of(form.one("From"), region, self._own | ({to} if to else frozenset()))
        text = strip_controls(form.one("Body"))
        options: dict[str, Any] = {"sender": sender.kind.value}
        if opt_out := form.one("OptOutType").strip().upper():
            options["opt_out"] = opt_out[:20]
        count = small_number(form.one("NumSegments").strip()) or 1
        return self._message(
            form,
            sender.user_id,
            text,
            language=written_language(text, region=region_of(sender.user_id)),
            options=options,
            segments=count,
            cost_usd=self._inbound_cost(sender, count, form),
            to=self._reply_from(sender, to, form),
        )

    def _inbound_cost(self, sender: Sender, count: int, form: Form) -> float:
        price = price_for(sender.user_id, self._settings.sms_segment_usd, self._settings.country_prices)
        return price.media_in if read_media(form) else price.text_in * count

    def _reply_from(self, sender: Sender, to: UserId | None, form: Form) -> str | None:
        """Which of our addresses the reply comes from, if not from the usual one: another channel has its own."""
        if sender.kind is SenderKind.OTHER_CHANNEL:
            return address_of_channel(form.one("To"))
        return to if to != self._number and self._is_ours(to, form) else None

    def _is_ours(self, number: UserId | None, form: Form) -> bool:
        """Whether a text to this number came to us: it is in the settings, or Twilio signs for our account."""
        if number is None or self._service_sid:
            return False
        signed = self._settings.check_signatures and form.one("AccountSid") == self._settings.twilio_account_sid
        return number in self._own or (signed and not self._settings.twilio_other_numbers)

    # -- decisions -----------------------------------------------------------------------------------------------------

    def opt_out(self, message: InboundMessage, user: User | None = None) -> list[PlannedPart] | None:
        """The confirmation of a STOP, empty where the carrier sends its own; None when the message is no STOP."""
        found = self._keyword(message)
        if found is None or found.kind is not Keyword.STOP or _kind_of_sender(message) is not SenderKind.PHONE:
            return None
        is_silent = found.handled or message.user_id in self._settings.blocklist
        return [] if is_silent else plan_text(localize("sms-stopped", self.language(user, message)))

    def decide(self, message: InboundMessage, user: User | None) -> Decision:
        """Keywords, registration, renaming and unanswerable messages; every other text is a prompt for the model."""
        sender = _kind_of_sender(message)
        if sender is not SenderKind.PHONE:
            silent = Decision(reason=WHY_SILENT[sender])
            return self._on_other_channel(message, user) if sender is SenderKind.OTHER_CHANNEL else silent
        is_out = user is not None and user.state in {UserState.STOPPED, UserState.BLOCKED}
        language = self.language(user, message)
        keyword = self._keyword(message)
        if keyword and (decision := self._on_keyword(keyword, user, language, is_out=is_out)):
            return decision
        if is_out:
            return Decision(reason="the person has opted out; START brings them back")
        back = reachable_again(user)
        if user is not None and (decision := _command(message.text, user, back, language)):
            return decision
        if user is not None and user.name is not None:
            return self._registered(message, back, language)
        return self._unregistered(message, user, back, language)

    def _on_other_channel(self, message: InboundMessage, user: User | None) -> Decision:
        """One sentence to a person of RCS, Messenger or a WhatsApp that is not set up; then silence."""
        found = self._keyword(message)
        if found is not None and found.kind is Keyword.STOP:
            return Decision(reason="opted out", state=UserState.STOPPED)
        if user is not None and (user.state is UserState.STOPPED or ONLY_TEXTS in user.settings):
            return Decision(reason=WHY_SILENT[SenderKind.OTHER_CHANNEL])
        language, number = self.language(user, message), self._number
        reply = localize("sms-only-at", language, number=number) if number else localize("sms-only", language)
        return Decision(reply=reply, settings={ONLY_TEXTS: message.received_at})

    def _keyword(self, message: InboundMessage) -> KeywordMatch | None:
        return keyword_of(message.text, message.options.get("opt_out", ""), self._handled_words)

    def _on_keyword(self, found: KeywordMatch, user: User | None, language: str, *, is_out: bool) -> Decision | None:
        """No reply where the carrier answers; None where the word is an ordinary text."""
        match found.kind:
            case Keyword.STOP:
                return Decision(reason="opted out", state=UserState.STOPPED)
            case Keyword.START if is_out and user is not None:
                registered = user.name is not None
                state = UserState.ACTIVE if registered else UserState.NEW
                release = registered or self._settings.sms_registration != "required"
                if user.settings.get("opt_out_confirmed") or not found.handled:
                    return Decision(reply=localize("sms-back", language), state=state, release=release)
                return Decision(reason="opted in; Twilio answers this keyword", state=state, release=release)
            case Keyword.HELP if found.handled:
                return Decision(reason="Twilio answers this keyword")
            case Keyword.HELP if not self._handled_words:
                return Decision(reply=localize("sms-help", language))
            case _:
                return None

    def _registered(self, message: InboundMessage, back: UserState | None, language: str) -> Decision:
        command = name_command(message.text)
        if command and "\n" not in message.text.strip():
            return self._named(command, back, language, renamed=True)
        return self._prompted(message, back, language)

    def _unregistered(
        self, message: InboundMessage, user: User | None, back: UserState | None, language: str
    ) -> Decision:
        """A name, or a question: held and answered behind the confirmation, unless registration is not required."""
        asked_at = float((user.settings if user else {}).get("name_asked_at") or 0.0)
        mode, now = self._settings.sms_registration, message.received_at
        if stated := stated_name(message.text, asked=asked_at > 0 and mode != "off"):
            return self._named(stated, back, language, renamed=False)
        ask = texts.ask_for_name(self._settings.sms_program_name, self._settings.sms_contact, language)
        if mode == "required":
            hold = bool(message.attachments) or not asks_nothing(message.text)
            if 0 <= now - asked_at < ASK_AGAIN_SECONDS:
                return Decision(reason="the person has not given a name yet", hold=hold, state=back)
            return Decision(reply=ask, hold=hold, state=back, settings={"name_asked_at": now})
        decision = self._prompted(message, back, language)
        if mode == "off" or decision.prompt is None:
            return decision
        if user is None or "name_asked_at" not in user.settings:
            return replace(decision, postscript=f"\n\n{ask}", settings={"name_asked_at": now})
        return replace(decision, settings={"name_asked_at": 0.0})  # only the text right behind the prompt is an answer

    def _named(self, stated: StatedName, back: UserState | None, language: str, *, renamed: bool) -> Decision:
        try:
            name = valid_name(stated.name, self._settings.max_name_length, reserved=RESERVED_WORDS)
        except NameRefused as refused:
            reason = escaped(refused.reason(language))
            return Decision(reply=f"{reason} {localize('sms-how-to-name', language)}", state=back)
        if renamed:
            reply = localize("sms-renamed", language, name=escaped(name))
            return Decision(reply=reply, name=name, state=back, rest=stated.rest)
        reply, active = localize("sms-welcome", language, name=escaped(name)), UserState.ACTIVE
        return Decision(reply=reply, name=name, state=active, release=True, rest=stated.rest)

    def _prompted(self, message: InboundMessage, back: UserState | None, language: str) -> Decision:
        max_length = self._settings.max_message_length
        if is_blank(message.text) and not message.attachments:
            return Decision(reply=localize("sms-empty-text", language), state=back)
        if len(message.text) > max_length:
            return Decision(reply=localize("sms-too-long", language, limit=max_length), state=back)
        return Decision(prompt=message.text, state=back)

    def why_ignored(self, message: InboundMessage, history: Sequence[HistoryMessage]) -> str | None:
        if is_repetition(message, history):
            return "the carrier delivered it twice"
        return "a reaction to a text" if is_reaction(message.text, history) else None

    def debounce_seconds(self, message: InboundMessage) -> float:
        return HALVES_SECONDS if looks_cut(message.text) else 0.0

    def merge(self, messages: Sequence[InboundMessage]) -> str:
        return joined([message.text for message in messages])

    def system_prompt(self, user: User | None) -> str:
        most = texts.max_characters(self._settings.sms_max_segments, self.language(user) if user else ENGLISH)
        return texts.system_prompt(user.name if user else None, most, chosen_language(user))

    # -- replies -------------------------------------------------------------------------------------------------------

    def plan(self, markdown: str, language: str = ENGLISH) -> list[PlannedPart]:
        """Plain text in parts of at most 1,600 characters, numbered when there are several, within the budget.

        The last part tells how to get the rest, and has it.
        """
        readable = markdown[:MAX_READABLE]
        settings = self._settings
        text = affordable(
            clean_sms(to_plain_text(readable)), keep_emoji=settings.sms_emoji, fold_accents=settings.sms_fold_accents
        )
        text = without_invitations(text)
        if is_blank(text):
            text = localize("sms-empty-answer", language)
        note = texts.more(language)
        if texts.is_gsm(text) and not texts.is_gsm(note):  # in an answer of another language it would double the price
            note, language = texts.more(ENGLISH), ENGLISH
        if len(readable) < len(markdown):
            text += texts.cut(language)
        return plan_within(text, note, settings.sms_max_segments, settings.sms_max_parts, MESSAGE_LIMIT)


def _command(text: str, user: User, back: UserState | None, language: str) -> Decision | None:
    """What a text that is a command of its own does: it forgets, brings a rest, or chooses the language."""
    if (choice := language_choice(text)) is not None:
        return replace(in_language(choice, user, language), state=back)
    if (what := forgetting(text)) is not None:
        return forgotten(what, back, language, cleared=localize("sms-cleared", language))
    rest = user.settings.get(REST)
    return Decision(reply=verbatim(rest), more=True, state=back) if rest and asks_for_more(text) else None


def _kind_of_sender(message: InboundMessage) -> SenderKind:
    return SenderKind(message.options.get("sender", SenderKind.PHONE))
