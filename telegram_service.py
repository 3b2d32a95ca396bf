"""Everything specific to the Bot API: parses updates, decides about messages, plans replies, sends parts within limits.

It has no routes and reads and writes no row: the Telegram server calls it and stores what it returns. Its parts are in
relay/channels/telegram: updates, texts, continuations, formatting (markdown, entities), calls and errors (bot_api).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Final, assert_never

import httpx

from relay.channels.telegram import continuations, guests, texts
from relay.channels.telegram.administrators import is_admin
from relay.channels.telegram.albums import GroupAlbums
from relay.channels.telegram.bot_api import bot_calls, bot_errors, typed_bot
from relay.channels.telegram.buttons import PRESSED, Buttons
from relay.channels.telegram.call_budget import CallBudget
from relay.channels.telegram.code_files import plan_with_files
from relay.channels.telegram.commands import ADMINS_ONLY, COMMANDS, descriptions, register_menus
from relay.channels.telegram.delivery import Delivery
from relay.channels.telegram.edits import edited
from relay.channels.telegram.guests import GUEST
from relay.channels.telegram.inline_queries import INLINE, MAX_QUERY_SECONDS, InlineQueries
from relay.channels.telegram.media import download_file
from relay.channels.telegram.model_buttons import MODEL_PRESSED
from relay.channels.telegram.personal_commands import PersonalCommands
from relay.channels.telegram.settings import TelegramSettings
from relay.channels.telegram.spec import TELEGRAM, is_group
from relay.channels.telegram.stops import StopRights
from relay.channels.telegram.streaming import Streaming
from relay.channels.telegram.triggers import Triggers
from relay.channels.telegram.typing_indicator import TypingIndicator
from relay.channels.telegram.updates import (
    BUSINESS,
    COMMAND,
    STOP_PRESSED,
    Identity,
    mentions_another_bot,
    read_update,
)
from relay.core.circuit import OUTAGES
from relay.core.decisions import Decision
from relay.core.download import Write
from relay.core.errors import OutcomeUnknown, SendError, SendFailure
from relay.core.markdown_source import escape_markdown as escape
from relay.core.messages import (
    LANGUAGE,
    Attachment,
    HistoryMessage,
    InboundMessage,
    Kind,
    User,
    UserId,
    UserState,
    reachable_again,
)
from relay.core.names import NameRefused, valid_name
from relay.core.parts import Part, PlannedPart, Receipt
from relay.core.progress import Progress
from relay.core.records import Records
from relay.core.user_language import chosen_language, language_of
from relay.texts import ENGLISH
from relay.texts.languages import AUTOMATIC, language_named
from relay.texts.sentences import localize

log = logging.getLogger("relay.telegram")

FREE_PER_SECOND: Final = 30
"""Messages a second to all chats above which Telegram wants paid broadcasts, up to 1,000:
https://core.telegram.org/bots/faq#how-can-i-message-all-of-my-bot-39s-subscribers-at-once"""
MAX_START: Final = 64
"""Characters of the parameter of a link to the bot: https://core.telegram.org/bots/features#deep-linking"""
BACKLOG_SECONDS: Final = (6 * 3600.0, 48 * 3600.0)
"""Ages of a message that was written while the bot could not be reached; Telegram keeps one for a day, so that a
greater age comes from a wrong clock."""
MAX_WAIT_SECONDS: Final = 3.0
PROBE_SECONDS: Final = 5.0
NAME_SECONDS: Final = 10.0
"""A bot can be renamed at any time; mentions of other names lead to one call of getMe in this time."""
NAME_TIMEOUT_SECONDS: Final = 3.0
ADMIN_SECONDS: Final = 5.0

_UPDATES: Final = ("message", "edited_message", "my_chat_member", STOP_PRESSED, PRESSED, GUEST, BUSINESS)
"""The updates that are parsed, beside inline queries."""


class TelegramService:
    """The Telegram channel of one bot. `client` is shared and closed by its owner."""

    platform = TELEGRAM
    supports_lookup = False
    """The Bot API lists no sent messages."""
    lookup_seconds = 0.0
    joins_messages = True
    is_billed = False
    rate_limited = True

    def __init__(
        self,
        settings: TelegramSettings,
        client: httpx.AsyncClient,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._name_usable_until = 0.0
        self._budget = CallBudget(settings.telegram_messages_per_second, monotonic)
        self.calls = bot_calls(settings, client)
        self._http = client
        self._bot = typed_bot(self.calls)
        self._typing = TypingIndicator(self._bot, self._budget, sleep)
        self._buttons = Buttons(self.calls, enabled=settings.telegram_buttons)
        self._streaming = Streaming(settings, self.calls, self._budget, self._typing, self._buttons, self.plan, sleep)
        paid = {"allow_paid_broadcast": True} if settings.telegram_messages_per_second > FREE_PER_SECOND else {}
        self._personal = PersonalCommands(settings, client)
        self._stop_rights = StopRights(self.calls, monotonic)
        self._albums = GroupAlbums(monotonic)
        self._inline = InlineQueries(self.calls, monotonic, sleep)
        self._delivery = Delivery(self.calls, self._budget, self._buttons, self._inline, **paid)
        self.left_out, self.flood_waits = self._delivery.left_out, self._budget.flood_waits
        bot_id, triggers = int(self.calls.token.partition(":")[0]), Triggers.of(settings.telegram_triggers)
        self.me = Identity(bot_id, "", frozenset(COMMANDS), triggers)

    @property
    def allowed_updates(self) -> tuple[str, ...]:
        """What Telegram sends; it remembers the last list when none is given, so it is given every time."""
        return (*_UPDATES, INLINE) if self._settings.telegram_inline else _UPDATES

    # -- updates -------------------------------------------------------------------------------------------------------

    async def learn_identity(self) -> None:
        """Ask Telegram for the bot's name, without which groups cannot be served. Raises SendError."""
        with bot_errors():
            user = await self._bot.get_me()
            self.me = replace(self.me, id=user.id, username=user.username or "")

    async def prepare(self, updates: Sequence[Any]) -> None:
        """Learn what parsed updates depend on; never raises."""
        self._inline.notice(updates)
        await self.notice_rename(updates)

    async def notice_rename(self, updates: Sequence[Any]) -> None:
        """Ask for the bot's name when a group mentions one that may be its new one; a failure changes nothing."""
        now = self._monotonic()
        if now < self._name_usable_until or not any(mentions_another_bot(update, self.me) for update in updates):
            return
        self._name_usable_until = now + NAME_SECONDS
        try:
            async with asyncio.timeout(NAME_TIMEOUT_SECONDS):
                await self.learn_identity()
        except (SendError, TimeoutError) as error:
            log.info("the bot's name could not be read again: %s", error)

    def parse_update(self, update: Any) -> InboundMessage:
        """One raw update as a message. Raises PayloadError when it cannot be understood."""
        return read_update(update, self.me, self._clock())

    async def refine(self, message: InboundMessage) -> InboundMessage:
        """The message with what depends on its writer's rights and on the messages before it; never raises."""
        return await self._stop_rights.applied(self._albums.completed(message))

    def decide(self, message: InboundMessage, user: User | None) -> Decision:
        """Commands and registration; every other text is a prompt for the model. What bots write is not answered."""
        return replace(self._decide(message, user), from_person=True)

    def language(self, user: User | None, message: InboundMessage | None = None) -> str:
        """That of the choice, of the text, or of the sender's Telegram."""
        return language_of(user, message)

    def _decide(self, message: InboundMessage, user: User | None) -> Decision:
        language = self.language(user, message)
        match message.kind:
            case Kind.SERVICE:
                return Decision(reason="nothing to answer")
            case Kind.LEFT:
                state = UserState.BLOCKED if user is not None else None
                return Decision(reason="the bot was blocked or removed", state=state)
            case Kind.RETURNED:
                return Decision(reason="the bot was unblocked or added", state=reachable_again(user))
            case Kind.PRESSED:
                return self._decide_press(message, user, language)
            case Kind.TEXT | Kind.MEDIA | Kind.EDITED:
                decision = self._decide_text(message, user, language)
                return edited(message, decision, language) if message.kind is Kind.EDITED else decision
            case _:
                assert_never(message.kind)

    def _decide_query(self, message: InboundMessage, decision: Decision) -> Decision:
        if not self._settings.telegram_inline:
            return replace(decision, reason="inline queries are not answered")
        age = self._clock() - message.received_at
        if age > MAX_QUERY_SECONDS:
            return replace(decision, reason="the query was over before it was read")
        return self._inline.decide(message, decision)

    def _decide_press(self, message: InboundMessage, user: User | None, language: str) -> Decision:
        decision = Decision(state=reachable_again(user), language=language)
        if message.options["pressed"] != MODEL_PRESSED:
            return self._buttons.decide(message, decision)
        return self._personal.pressed(message, user, decision, self._buttons)

    def _decide_text(self, message: InboundMessage, user: User | None, language: str) -> Decision:
        name, state = _first_name(message, user), reachable_again(user)
        if INLINE in message.options:
            return self._decide_query(message, Decision(name=name))
        if GUEST in message.options:
            return guests.decide(self.calls, message, Decision(name=name))
        command = COMMAND.match(message.text)
        if command is not None:
            argument = message.text[command.end() :].strip()
            return self._command(command[1].lower(), argument, message, user, language)
        if not message.text and not message.attachments:
            return Decision(reply=localize("telegram-empty-text", language), name=name, state=state)
        age = message.received_at - message.options.get("sent_at", message.received_at)
        late = BACKLOG_SECONDS[0] <= age <= BACKLOG_SECONDS[1]
        preface = localize("telegram-late-answer", language) if late else ""
        return Decision(prompt=texts.prompt(message, dated=late), name=name, state=state, preface=preface)

    def _command(
        self, command: str, argument: str, message: InboundMessage, user: User | None, language: str
    ) -> Decision:
        name, state = _first_name(message, user), reachable_again(user)
        if command == "stop" and message.options.get("stopped"):
            return Decision(reason="the answer was stopped", name=name, state=state)
        if command == "setname":
            return self._set_name(argument, message, user, language)
        reply, settings = self._reply(command, argument, message, user, language)
        clears = command == "clear"
        decision = Decision(
            reply=reply, name=name, state=state, clear_history=clears, settings=settings, language=language
        )
        if self._personal.knows(command, message):
            decision = self._personal.decide(command, argument, message, user, decision)
        if command in ADMINS_ONLY and is_group(message.user_id):
            return replace(decision, resolve=partial(self._if_admin, message, decision, language))
        return decision

    def _reply(
        self, command: str, argument: str, message: InboundMessage, user: User | None, language: str
    ) -> tuple[str, dict[str, Any]]:
        """The reply to a command, and the settings of the user that it changes."""
        known_as = (user.name if user else None) or _first_name(message, user) or ""
        match command:
            case "start":
                known_as = "" if is_group(message.user_id) else known_as
                again = user is not None and user.name is not None
                return texts.welcome(known_as, language, again=again), {
                    "start": argument[:MAX_START]
                } if argument else {}
            case "help":
                reply = texts.help_text(descriptions(language), language)
            case "stop":
                reply = localize("telegram-nothing-to-stop", language)
            case "clear" if message.topic:
                reply = localize("telegram-topic-cleared", language)
            case "clear":
                reply = localize("telegram-cleared", language, count=user.message_count if user else 0)
            case "language":
                return _choice(argument, message, user, language)
            case "status":
                since = user.created_at if user else self._clock()
                exchanges = self._settings.history_exchanges
                reply = texts.stored_facts(known_as, message, user, language, since=since, exchanges=exchanges)
            case _:
                reply = localize("telegram-unknown-command", language, command=escape(command))
        return reply, {}

    async def _if_admin(self, message: InboundMessage, decision: Decision, language: str, records: Records) -> Decision:
        """The decision, or a refusal when the sender is no administrator of the group; never raises."""
        try:
            async with asyncio.timeout(ADMIN_SECONDS):
                reply = None if await is_admin(self.calls, message) else localize("telegram-admins-only", language)
        except (SendError, TimeoutError) as error:
            log.warning("the administrators of a group could not be read: %s", error)
            reply = localize("telegram-admins-unknown", language)
        if reply:
            return Decision(reply=reply, name=decision.name, state=decision.state)
        return await decision.resolve(records) if decision.resolve else decision

    def _set_name(self, argument: str, message: InboundMessage, user: User | None, language: str) -> Decision:
        state, first = reachable_again(user), _first_name(message, user)
        if is_group(message.user_id):
            return Decision(reply=localize("telegram-private-name", language), name=first, state=state)
        if not argument:
            return Decision(reply=localize("telegram-how-to-name", language), name=first, state=state)
        try:
            name = valid_name(argument, self._settings.max_name_length)
        except NameRefused as error:
            reply = f"{escape(error.reason(language))} {localize('telegram-bad-name', language)}"
            return Decision(reply=reply, name=first, state=state)
        return Decision(reply=localize("telegram-renamed", language, name=escape(name)), name=name, state=state)

    # -- replies -------------------------------------------------------------------------------------------------------

    def debounce_seconds(self, message: InboundMessage) -> float:
        return continuations.debounce_seconds(message)

    def why_ignored(self, message: InboundMessage, history: Sequence[HistoryMessage]) -> str | None:  # noqa: ARG002 (none is)
        return None

    def continues(self, earlier: InboundMessage, later: InboundMessage) -> bool:
        return continuations.continues(earlier, later)

    def country(self, user_id: UserId) -> None:  # noqa: ARG002 (an address has none)
        return None

    def follow_seconds(self, message: InboundMessage) -> float:
        return continuations.follow_seconds(message)

    def merge(self, messages: Sequence[InboundMessage]) -> str:
        return continuations.merged(messages)

    def system_prompt(self, user: User | None) -> str:
        group = user is not None and is_group(user.user_id)
        return texts.system_prompt(user.name if user else None, chosen_language(user), group=group)

    async def download_attachment(self, attachment: Attachment, write: Write, max_bytes: int) -> None:
        await download_file(self.calls, self._http, attachment, write, max_bytes)

    def plan(self, markdown: str, language: str = ENGLISH) -> list[PlannedPart]:
        """Cut and format a whole reply into messages of Telegram and files; the style is a JSON list of entities."""
        settings = self._settings
        parts = plan_with_files(markdown, settings.telegram_max_parts, settings.telegram_code_file_chars, language)
        return [replace(part, language=language) for part in parts]

    def typing(self, message: InboundMessage, language: str = ENGLISH) -> AbstractAsyncContextManager[Progress]:
        """Show that an answer is being written, and where possible the answer itself; never raises."""
        return self._streaming.shown(message, language)

    async def wait_for_rate_limit(self, part: Part) -> None:
        """Wait until this chat's own limits allow a message, then for its slot among all chats.

        Raises SendError when the former takes long; the latter takes one round of all that wait.
        """
        while (seconds := self._budget.message_wait(part.user_id)) > 0:
            if seconds > MAX_WAIT_SECONDS:
                why = "this chat has had as many messages as Telegram allows for now"
                raise SendError(SendFailure.BUSY, "rate_limit", why, retry_after=seconds)
            await self._sleep(seconds)
        if (seconds := self._budget.acquire_message(part.user_id)) > 0:
            await self._sleep(seconds)

    async def send(self, part: Part) -> Receipt:
        """Send one part, or change an earlier message into it. Raises SendError, OutcomeUnknown."""
        return await self._delivery.send(part)

    async def lookup(self, part: Part, taken: Collection[str]) -> Receipt | None:  # noqa: ARG002 (there is no list)
        """Never possible, as the Bot API lists no sent messages. Raises OutcomeUnknown."""
        raise OutcomeUnknown("no-list", f"Telegram cannot tell whether part {part.id} was sent")

    async def probe(self) -> None:
        """Call sendMessage without a text: Telegram refuses that and sends nothing. Raises SendError in an outage."""
        try:
            await self.calls.call("sendMessage", {"chat_id": self.me.id, "text": ""}, seconds=PROBE_SECONDS)
        except SendError as error:
            if error.kind in OUTAGES:
                raise

    # -- the account ---------------------------------------------------------------------------------------------------

    async def register_commands(self) -> None:
        """Put our commands into Telegram's menus. Raises SendError."""
        await register_menus(self.calls, self._settings.telegram_admins)

    async def stop(self) -> None:
        """End every typing indicator."""
        await self._typing.stop()


def _choice(argument: str, message: InboundMessage, user: User | None, language: str) -> tuple[str, dict[str, Any]]:
    """The reply to /language and the setting that it changes: a list without a language that is offered."""
    if argument.casefold() == AUTOMATIC:
        unset = replace(user, settings={}) if user else None
        return localize("language-automatic", language_of(unset, message)), {LANGUAGE: ""}
    if (chosen := language_named(argument)) is None:
        return texts.languages(language), {}
    return localize("language-set", chosen), {LANGUAGE: chosen}


def _first_name(message: InboundMessage, user: User | None) -> str | None:
    """The name from Telegram for a user without one."""
    if user is not None and user.name is not None:
        return None
    return message.name or message.username or "friend"
