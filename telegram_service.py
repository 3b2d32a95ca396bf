"""Everything the Bot API means: updates, commands, registration, formatted parts, sending, errors, rate limits.

It reads and writes no row and knows no route: the Telegram server gives it what came in and stores what it returns.
How an update is read, Markdown becomes entities and a call is made is in `relay.channels.telegram`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Any, Final, assert_never

import httpx
from telegram import BotCommand, LinkPreviewOptions, MessageEntity, ReplyParameters
from telegram.error import TelegramError

from relay.channels.telegram.bot_api import BotCalls, CallFailed, is_about_entities, typed_bot
from relay.channels.telegram.entities import plan
from relay.channels.telegram.markdown import escape
from relay.channels.telegram.settings import TelegramSettings
from relay.channels.telegram.spec import TELEGRAM
from relay.channels.telegram.updates import COMMAND, Identity, read_update
from relay.config.errors import SettingsError
from relay.core.errors import OutcomeUnknown, SendError, SendFailure
from relay.core.messages import (
    SILENT_STATES,
    Decision,
    InboundMessage,
    Kind,
    Part,
    PartState,
    PlannedPart,
    Receipt,
    User,
    UserId,
    UserState,
)
from relay.core.names import NameRefused, valid_name
from relay.core.rate_limit import RateLimit, RateLimiter

log = logging.getLogger("relay.telegram")

COMMANDS: Final = {
    "start": "Say hello",
    "help": "What I can do",
    "setname": "Tell me your name: /setname Alice",
    "clear": "Forget our conversation",
    "status": "What I know about you",
}
"""The menu, in the order in which Telegram shows it."""

# https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this: 30 messages a second in all, 1 in a
# chat, 20 a minute in a group; each a little longer, because requests do not all travel equally fast.
OVERALL: Final = RateLimit(30, 1.05)
PRIVATE: Final = (RateLimit(1, 1.05),)
GROUP: Final = (RateLimit(20, 60.5),)
MAX_WAIT_SECONDS: Final = 3.0
PROBE_SECONDS: Final = 5.0
# Apps cut a paste at 4,096 characters, or at white space shortly before; the pieces arrive within a second or so.
PASTE_PIECE: Final = 4000
PASTE_SECONDS: Final = 1.5
TYPING_SECONDS: Final = 4.5  # an indicator lasts 5 s: https://core.telegram.org/bots/api#sendchataction

# What is read here, and no more; Telegram remembers the last list when none is given, so it is given every time.
ALLOWED_UPDATES: Final = ("message", "edited_message", "my_chat_member")

TEXT_ONLY = "I can only read text for now. Please describe it in words."
EDITED_HINT = "I saw that you edited a message. I only answer new messages, so please send it again."
NOTHING_SAID = "Yes? Write your question and I will answer it."


class TelegramService:
    """The Telegram channel of one bot. `client` is shared and closed by its owner."""

    platform = TELEGRAM
    supports_lookup = False
    """Telegram keeps no list of what a bot has sent."""
    lookup_seconds = 0.0
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
        token = bot_token(settings)
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._limiter = RateLimiter(OVERALL, lambda chat: GROUP if _is_group(chat) else PRIVATE, monotonic)
        self._typing: set[asyncio.Task[None]] = set()
        self._calls = BotCalls(client, settings.telegram_api_base_url, token)
        self._bot = typed_bot(self._calls)
        self.me = Identity(int(token.partition(":")[0]), "", frozenset(COMMANDS))

    # -- taking in -----------------------------------------------------------------------------------------------------

    async def learn_identity(self) -> None:
        """Ask Telegram who we are, without which groups cannot be served. Raises SendError."""
        try:
            user = await self._bot.get_me()
            self.me = Identity(user.id, user.username or "", frozenset(COMMANDS))
        except (TelegramError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise _own_error(error) from error

    def parse_update(self, update: Any) -> InboundMessage:
        """One raw update as a message. Raises PayloadError when it cannot be understood."""
        return read_update(update, self.me, self._clock())

    def decide(self, message: InboundMessage, user: User | None) -> Decision:
        """Commands and registration; everything else that is said goes to the model."""
        match message.kind:
            case Kind.SERVICE:
                return Decision(reason="nothing to answer")
            case Kind.LEFT:
                state = UserState.BLOCKED if user is not None else None
                return Decision(reason="the bot was blocked or removed", state=state)
            case Kind.RETURNED:
                return Decision(reason="the bot was unblocked or added", state=_back(user))
            case Kind.EDITED:
                return Decision(reply=EDITED_HINT, state=_back(user))
            case Kind.MEDIA:
                return Decision(reply=TEXT_ONLY, name=_first_name(message, user), state=_back(user))
            case Kind.TEXT:
                return self._decide_text(message, user)
            case _:
                assert_never(message.kind)

    def _decide_text(self, message: InboundMessage, user: User | None) -> Decision:
        name, state = _first_name(message, user), _back(user)
        command = COMMAND.match(message.text)
        if command is not None:
            argument = message.text[command.end() :].strip()
            return self._command(command[1].lower(), argument, message, user)
        if not message.text:
            return Decision(reply=NOTHING_SAID, name=name, state=state)
        return Decision(prompt=_with_attachments(message), name=name, state=state)

    def _command(self, command: str, argument: str, message: InboundMessage, user: User | None) -> Decision:
        name, state = _first_name(message, user), _back(user)
        known_as = (user.name if user else None) or name or ""
        clear = False
        match command:
            case "start":
                say = _welcome(known_as, again=user is not None and user.name is not None)
            case "help":
                say = _help()
            case "setname":
                return self._set_name(argument, message, user)
            case "clear":
                clear, say = True, _cleared(user)
            case "status":
                say = self._what_we_know(known_as, message, user)
            case _:
                say = f"I do not know /{escape(command)}. /help lists what I can do."
        return Decision(reply=say, name=name, state=state, clear_history=clear)

    def _set_name(self, argument: str, message: InboundMessage, user: User | None) -> Decision:
        state, first = _back(user), _first_name(message, user)
        if _is_group(message.user_id):
            return Decision(reply="Please tell me your name in a private chat with me.", name=first, state=state)
        if not argument:
            return Decision(reply="Send it like this: /setname Alice", name=first, state=state)
        try:
            name = valid_name(argument, self._settings.max_name_length)
        except NameRefused as error:
            return Decision(reply=f"{escape(str(error))} Try it like this: /setname Alice", name=first, state=state)
        return Decision(reply=f"Thank you! From now on I will call you **{escape(name)}**.", name=name, state=state)

    def _what_we_know(self, name: str, message: InboundMessage, user: User | None) -> str:
        username = f"@{message.username}" if message.username else "none"
        since = time.strftime("%Y-%m-%d", time.gmtime(user.created_at if user else self._clock()))
        exchanges = self._settings.history_exchanges
        return "\n".join(
            (
                "**What I know about you**",
                "",
                f"- Name: {escape(name)}",
                f"- Telegram username: {escape(username)}",
                f"- Chat: {escape(message.user_id)}",
                f"- First seen: {since}",
                f"- Messages kept: {user.message_count if user else 0}",
                "",
                f"The AI sees your name and our last {exchanges} exchanges. /clear deletes our conversation.",
            )
        )

    # -- answering -----------------------------------------------------------------------------------------------------

    def debounce_seconds(self, message: InboundMessage) -> float:
        """A message that fills the limit is likely the first piece of a paste, which the app cut; no other waits."""
        return PASTE_SECONDS if _fills_a_message(message) else 0.0

    def merge(self, messages: Sequence[InboundMessage]) -> str:
        """Pieces of a paste follow each other exactly; other messages are lines of their own."""
        joined = ""
        for before, message in zip([None, *messages], messages, strict=False):
            between = "" if before is None or _is_next_piece(before, message) else "\n"
            joined += between + message.text
        return joined

    def system_prompt(self, user: User | None) -> str:
        """Markdown is welcome here, a book is not; a person's name is data, so it comes as a JSON string."""
        lines = [
            "You answer people on Telegram. Be helpful, accurate and to the point.",
            "You may use Markdown: bold, italics, lists, links, tables, and code blocks with their language.",
            "Keep an answer under 3500 characters unless more is asked for.",
        ]
        if user is not None and _is_group(user.user_id):
            lines.append("This is a group: each message begins with the name of the person who speaks.")
        elif user is not None and user.name:
            lines.append(f"The person's name is {json.dumps(user.name, ensure_ascii=False)}.")
        return "\n".join(lines)

    def plan(self, markdown: str) -> list[PlannedPart]:
        """Cut and format a whole reply into messages of Telegram; the style is a JSON list of entities."""
        return plan(markdown, self._settings.telegram_max_parts)

    @contextlib.asynccontextmanager
    async def typing(self, user_id: UserId) -> AsyncIterator[None]:
        """Show "typing" as long as the context lasts. It never raises and nothing waits for it."""
        task = asyncio.create_task(self._keep_typing(user_id), name="telegram-typing")
        self._typing.add(task)
        task.add_done_callback(self._typing.discard)
        try:
            yield
        finally:
            task.cancel()

    async def _keep_typing(self, user_id: UserId) -> None:
        try:
            while True:
                if self._may_show_typing(user_id):
                    await self._bot.send_chat_action(int(user_id), "typing")
                await self._sleep(TYPING_SECONDS)
        except (TelegramError, ValueError) as error:
            log.debug("no typing indicator: %s", error)
            failed = error.error if isinstance(error, CallFailed) else None
            if failed is not None and failed.retry_after:
                self._limiter.pause(user_id, failed.retry_after)

    def _may_show_typing(self, user_id: UserId) -> bool:
        """In a group, where every call may count, only while there is plenty of room for the answer itself."""
        return self._limiter.try_acquire(user_id) if _is_group(user_id) else not self._limiter.is_paused(user_id)

    async def wait_for_rate_limit(self, part: Part) -> None:
        """Wait until this chat's own limits allow a message, then for its slot among all chats.

        Raises SendError when the former takes long; the latter takes one round of all that wait.
        """
        while (seconds := self._limiter.chat_wait(part.user_id)) > 0:
            if seconds > MAX_WAIT_SECONDS:
                why = "this chat has had as many messages as Telegram allows for now"
                raise SendError(SendFailure.BUSY, "rate_limit", why, retry_after=seconds)
            await self._sleep(seconds)
        if (seconds := self._limiter.acquire(part.user_id)) > 0:
            await self._sleep(seconds)

    async def send(self, part: Part) -> Receipt:
        """Send one part; when its formatting is refused, the same text without it. Raises SendError, OutcomeUnknown."""
        try:
            message_id = await self._send_text(part, part.style)
        except SendError as error:
            if error.retry_after:
                self._limiter.pause(part.user_id, error.retry_after)
            if part.style is None or not is_about_entities(error):
                raise
            log.warning("Telegram refused the formatting of part %s, it is sent as plain text: %s", part.id, error)
            message_id = await self._send_text(part, None)
        return Receipt(provider_id=str(message_id), state=PartState.SENT)

    async def _send_text(self, part: Part, style: str | None) -> int:
        message, _, thread = (part.reply_to or "").partition("/")
        quoted = ReplyParameters(int(message), allow_sending_without_reply=True) if _is_quoted(part, message) else None
        try:
            sent = await self._bot.send_message(
                int(part.user_id),
                part.text,
                entities=[MessageEntity(**entity) for entity in json.loads(style)] if style else None,
                message_thread_id=int(thread) if thread.isdecimal() else None,
                reply_parameters=quoted,
                link_preview_options=LinkPreviewOptions(is_disabled=True),
            )
            return sent.message_id
        except (TelegramError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise _own_error(error) from error

    async def lookup(self, part: Part, taken: Collection[str]) -> Receipt | None:  # noqa: ARG002 (there is no list)
        """Never possible: there is no list of what a bot has sent. Raises OutcomeUnknown."""
        raise OutcomeUnknown("no-list", f"Telegram cannot tell whether part {part.id} was sent")

    async def probe(self) -> None:
        """Whether Telegram answers at all just now. Raises SendError when it does not."""
        await self._calls.call("getMe", {}, seconds=PROBE_SECONDS)

    # -- the account ---------------------------------------------------------------------------------------------------

    async def register_commands(self) -> None:
        """Put our commands into Telegram's menu. Raises SendError."""
        menu = [BotCommand(name, text) for name, text in COMMANDS.items()]
        await self._account(lambda: self._bot.set_my_commands(menu))

    async def set_webhook(self, url: str, secret: str) -> None:
        """Have updates pushed to `url`. Raises SendError."""
        await self._account(
            lambda: self._bot.set_webhook(url, secret_token=secret, allowed_updates=list(ALLOWED_UPDATES))
        )

    async def delete_webhook(self) -> None:
        """End pushing, so that polling is allowed; what waits at Telegram is kept. Raises SendError."""
        await self._account(self._bot.delete_webhook)

    async def webhook_info(self) -> dict[str, Any]:
        """What Telegram thinks of our webhook, and how many updates wait there. Raises SendError."""
        info = await self._calls.call("getWebhookInfo", {}, seconds=3.0)
        return info if isinstance(info, dict) else {}

    async def _account(self, call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
        except TelegramError as error:
            raise _own_error(error) from error

    async def stop(self) -> None:
        """End every typing indicator."""
        for task in self._typing:
            task.cancel()
        await asyncio.gather(*self._typing, return_exceptions=True)


# -- settings ----------------------------------------------------------------------------------------------------------


def bot_token(settings: TelegramSettings) -> str:
    """The bot's token, which begins with the bot's id and a colon. Raises SettingsError when there is none."""
    if settings.telegram_bot_token is None:
        raise SettingsError(
            "TELEGRAM_BOT_TOKEN is not set: write to @BotFather in Telegram, send /newbot, and put the token that it "
            "gives you into .env. To try everything without an account: python start_all_servers.py --demo"
        )
    return settings.telegram_bot_token.get_secret_value()


def webhook_secret(settings: TelegramSettings) -> str:
    """What Telegram has to send in X-Telegram-Bot-Api-Secret-Token: as set, or else derived from the bot token."""
    if settings.telegram_webhook_secret is not None:
        return settings.telegram_webhook_secret.get_secret_value()
    return hmac.new(bot_token(settings).encode(), b"telegram webhook", hashlib.sha256).hexdigest()


# -- words -------------------------------------------------------------------------------------------------------------


def _welcome(name: str, *, again: bool) -> str:
    hello = f"Welcome back, **{escape(name)}**!" if again else f"Hello, **{escape(name)}**!"
    return (
        f"{hello} I am an automated assistant: ask me anything.\n\n"
        "Should I call you something else? Send /setname and your name. /help lists what I can do."
    )


def _help() -> str:
    menu = "\n".join(f"- /{name}: {text}" for name, text in COMMANDS.items())
    return f"Write to me as you would to a friend; I remember our last messages.\n\n{menu}"


def _cleared(user: User | None) -> str:
    count = user.message_count if user else 0
    if count == 0:
        return "There was nothing to forget."
    return f"Done: I removed {count} message{'' if count == 1 else 's'}."


def _with_attachments(message: InboundMessage) -> str:
    """Words that came with a picture: the model must not pretend to have seen it."""
    if not message.attachments:
        return message.text
    kinds = ", ".join(message.attachments)
    return f"{message.text}\n\n[With this message came {kinds}, which you cannot see.]"


# -- small questions ---------------------------------------------------------------------------------------------------


def _first_name(message: InboundMessage, user: User | None) -> str | None:
    """The name from Telegram for a user without one."""
    if user is not None and user.name is not None:
        return None
    return message.name or message.username or "friend"


def _back(user: User | None) -> UserState | None:
    """A user who writes can be written to again."""
    if user is None or user.state not in SILENT_STATES:
        return None
    return UserState.ACTIVE if user.name else UserState.NEW


def _fills_a_message(message: InboundMessage) -> bool:
    return message.kind is Kind.TEXT and len(message.text) >= PASTE_PIECE


def _is_next_piece(before: InboundMessage, message: InboundMessage) -> bool:
    """Whether the app cut one paste into these two: the first is full, and nothing stands between them."""
    places = [(one.reply_to or "").partition("/")[0] for one in (before, message)]
    numbers = [int(place) for place in places if place.isdecimal()]
    return _fills_a_message(before) and len(numbers) == 2 and numbers[1] == numbers[0] + 1


def _is_group(chat: str) -> bool:
    """https://core.telegram.org/bots/api#chat: groups have negative ids."""
    return chat.startswith("-")


def _is_quoted(part: Part, message: str) -> bool:
    """In a group the answer names its question; in a private chat it follows it anyway."""
    return _is_group(part.user_id) and part.number == 1 and message.isdecimal()


def _own_error(error: Exception) -> SendError:
    """Our error for what a typed call raised; an answer that cannot be read may belong to a call that was obeyed."""
    if isinstance(error, CallFailed):
        return error.error
    return OutcomeUnknown("body", f"Telegram's answer could not be understood ({type(error).__name__})")
