"""The Bot API's methods that this product uses (https://core.telegram.org/bots/api), with their refusals and limits."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from relay.channels.telegram.spec import TELEGRAM
from relay.simulator.flood_limits import Family, FloodLimits
from relay.simulator.telegram_chats import BOT_NAME, Chats, TelegramMessage
from relay.simulator.telegram_constants import CHAT_ACTIONS, MAX_CAPTION, MAX_ENTITIES, MAX_TEXT
from relay.simulator.telegram_entities import Entity, checked, trimmed
from relay.simulator.telegram_inline import InlineMessages
from relay.simulator.telegram_params import Params, bad_request, too_many_requests
from relay.simulator.telegram_push import WebhookPusher
from relay.simulator.telegram_updates import UpdateQueue
from relay.simulator.transcripts import Draft
from relay.simulator.world import World

DELETE_SECONDS = 48 * 3600
MAX_DOWNLOAD_BYTES = 20_000_000  # of getFile
Result = Any
Method = Callable[[Params], Result] | Callable[[Params], Awaitable[Result]]


class BotApi:
    """The methods by lower-case name: the Bot API ignores case."""

    def __init__(self, world: World, chats: Chats, updates: UpdateQueue, pusher: WebhookPusher) -> None:
        self._world = world
        self._chats = chats
        self._updates = updates
        self._pusher = pusher
        self.flood_limits = FloodLimits(world.clock)
        self.commands: dict[tuple[str, str], list[dict[str, str]]] = {}
        self.open_callback_queries: dict[str, int] = {}
        self.inline = InlineMessages(chats, updates)
        self.methods: dict[str, Method] = {
            "getme": self.get_me,
            "getupdates": updates.poll,
            "setwebhook": pusher.set_webhook,
            "deletewebhook": pusher.delete_webhook,
            "getwebhookinfo": pusher.info,
            "sendmessage": self.send_message,
            "sendmessagedraft": self.send_draft,
            "editmessagetext": self.edit_text,
            "senddocument": self.send_document,
            "deletemessage": self.delete_message,
            "sendchataction": self.send_chat_action,
            "setmycommands": self.set_commands,
            "getmycommands": self.get_commands,
            "deletemycommands": self.delete_commands,
            "getchat": self.get_chat,
            "getchatmember": self.get_chat_member,
            "getfile": self.get_file,
            "answercallbackquery": self.answer_callback_query,
            "answerinlinequery": self.inline.answer_query,
            "answerguestquery": self.inline.answer_guest,
            "logout": self.log_out,
            "close": self.log_out,
        }

    def clear(self) -> None:
        """Clear what a reset clears; the webhook and the commands stay."""
        self.flood_limits = FloodLimits(self._world.clock)
        self.open_callback_queries.clear()
        self.inline.clear()

    def _within_limits(self, chat_id: int, family: Family) -> None:
        if not self._world.options.telegram_limits:
            return
        wait = self.flood_limits.retry_after(chat_id, family)
        if wait is not None:
            raise too_many_requests(wait)

    # -- messages -----------------------------------------------------------------------------------------------------

    def send_message(self, params: Params) -> Result:
        chat_id = params.chat_id()
        self._chats.writable(chat_id)
        text, entities = formatted(params)
        markup = _checked_markup(params)
        reply_to = self._reply_target(chat_id, params)
        thread = self._thread(chat_id, params)
        self._within_limits(chat_id, Family.MESSAGE)
        message = self._chats.add(
            chat_id, text, None, entities=entities, markup=markup, reply_to=reply_to, thread=thread
        )
        return self._chats.to_json(message)

    def send_document(self, params: Params) -> Result:
        chat_id, file = params.chat_id(), params.file("document")
        self._chats.writable(chat_id)
        if file is None:
            raise bad_request("there is no document in the request")
        if not file.content:
            raise bad_request("file must be non-empty")
        caption = params.text("caption")
        entities = checked(caption, params.structure("caption_entities"))
        if len(caption) > MAX_CAPTION:
            raise bad_request("message caption is too long")
        markup, reply_to = _checked_markup(params), self._reply_target(chat_id, params)
        thread = self._thread(chat_id, params)
        self._within_limits(chat_id, Family.MESSAGE)
        message = self._chats.add(
            chat_id,
            caption,
            None,
            entities=entities,
            content={"document": self._chats.keep(file)},
            kind="document",
            markup=markup,
            reply_to=reply_to,
            thread=thread,
        )
        return self._chats.to_json(message)

    def _reply_target(self, chat_id: int, params: Params) -> int | None:
        """The id of the message to reply to. Raises BotError when it is required and missing."""
        reply = params.structure("reply_parameters")
        if isinstance(reply, dict):
            wanted, tolerant = reply.get("message_id"), bool(reply.get("allow_sending_without_reply"))
        else:
            wanted, tolerant = params.integer("reply_to_message_id"), params.flag("allow_sending_without_reply")
        if not wanted:
            return None
        if not isinstance(wanted, int):
            raise bad_request("can't parse reply parameters")
        if self._chats.find(chat_id, wanted) is not None:
            return wanted
        if tolerant:
            return None
        raise bad_request("message to be replied not found")

    def _thread(self, chat_id: int, params: Params) -> int | None:
        thread = params.integer("message_thread_id")
        if thread and not self._chats.known_thread(chat_id, thread):
            raise bad_request("message thread not found")
        return thread or None

    def _named_message(self, params: Params, verb: str) -> TelegramMessage:
        """The message that the call names. Raises BotError."""
        chat_id = params.chat_id()
        self._chats.writable(chat_id)
        message = self._chats.find(chat_id, params.integer("message_id"))
        if message is None:
            raise bad_request(f"message to {verb} not found")
        if message.sender is not None and verb == "edit":
            raise bad_request("message can't be edited")
        return message

    def edit_text(self, params: Params) -> Result:
        inline = params.text("inline_message_id")
        message = self.inline.message(inline) if inline else self._named_message(params, "edit")
        text, entities = formatted(params)
        markup = _checked_markup(params)
        if (text, entities, markup) == (message.bubble.text, message.bubble.entities, message.markup):
            raise bad_request("message is not modified: the new content and reply markup are the same as the old ones")
        self._within_limits(message.chat_id, Family.EDIT)
        self._chats.edit(message, text, entities, markup)
        return True if inline else self._chats.to_json(message)

    def delete_message(self, params: Params) -> Result:
        message = self._named_message(params, "delete")
        if self._world.clock() - message.bubble.at > DELETE_SECONDS:
            raise bad_request("message can't be deleted for everyone")
        self._chats.delete(message)
        return True

    def send_draft(self, params: Params) -> Result:
        chat_id = params.chat_id()
        if chat_id < 0:
            raise bad_request("drafts are for private chats only")
        self._chats.writable(chat_id)
        draft_id = params.integer("draft_id")
        if draft_id == 0:
            raise bad_request("draft_id must be non-zero")
        text, entities = formatted(params, empty_allowed=True)
        self._within_limits(chat_id, Family.COSMETIC)
        draft = Draft(draft_id, text, entities, params.flag("can_stop"))
        self._world.transcripts.show_draft(TELEGRAM, str(chat_id), draft)
        return True

    def send_chat_action(self, params: Params) -> Result:
        chat_id = params.chat_id()
        self._chats.writable(chat_id)
        if params.text("action") not in CHAT_ACTIONS:
            raise bad_request("wrong parameter action in request")
        self._within_limits(chat_id, Family.COSMETIC)
        self._world.transcripts.show_typing(TELEGRAM, str(chat_id))
        return True

    def answer_callback_query(self, params: Params) -> Result:
        query, text = params.text("callback_query_id"), params.text("text")
        if query not in self.open_callback_queries:
            raise bad_request("query is too old and response timeout expired or query ID is invalid")
        if len(text) > 200:
            raise bad_request("MESSAGE_TOO_LONG")
        chat_id = self.open_callback_queries.pop(query)
        if text:
            self._world.transcripts.announce("notice", platform=TELEGRAM, key=str(chat_id), text=text)
        return True

    # -- the bot and its chats ----------------------------------------------------------------------------------------

    def get_me(self, _: Params) -> Result:
        return {
            **self._chats.bot(),
            "can_join_groups": True,
            "can_read_all_group_messages": True,
            "supports_inline_queries": True,
            "can_connect_to_business": False,
            "has_main_web_app": False,
            "has_topics_enabled": False,
        }

    def get_chat(self, params: Params) -> Result:
        chat_id = params.chat_id()
        if self._world.people.with_chat(chat_id) is None and chat_id not in self._world.people.groups:
            raise bad_request("chat not found")
        return {**self._chats.chat(chat_id), "accent_color_id": 0, "max_reaction_count": 11}

    def get_chat_member(self, params: Params) -> Result:
        """The first person of the simulation owns every group."""
        chat_id, person = params.chat_id(), self._world.people.with_chat(params.integer("user_id"))
        if chat_id not in self._world.people.groups:
            raise bad_request("chat not found")
        if person is None:
            raise bad_request("user not found")
        is_owner = person is self._world.people.all[0]
        extra = {"is_anonymous": False} if is_owner else {}
        return {"user": self._chats.user(person), "status": "creator" if is_owner else "member", **extra}

    def get_file(self, params: Params) -> Result:
        file = self._world.files.find(params.text("file_id"))
        if file is None:
            raise bad_request("invalid file_id")
        if len(file.content) > MAX_DOWNLOAD_BYTES:
            raise bad_request("file is too big")
        about = {"file_id": file.id, "file_unique_id": file.id, "file_size": len(file.content)}
        return {**about, "file_path": f"files/{file.id}"}

    def log_out(self, _: Params) -> Result:
        return True

    def set_commands(self, params: Params) -> Result:
        commands = params.structure("commands")
        if not isinstance(commands, list) or len(commands) > 100:
            raise bad_request("can't parse commands: an Array of up to 100 BotCommand is expected")
        self.commands[_scope(params)] = [_checked_command(one) for one in commands]
        self._world.transcripts.announce("people")
        return True

    def get_commands(self, params: Params) -> Result:
        return self.commands.get(_scope(params), [])

    def delete_commands(self, params: Params) -> Result:
        self.commands.pop(_scope(params), None)
        self._world.transcripts.announce("people")
        return True

    def about(self) -> dict[str, Any]:
        """The bot as people see it, with the commands that their app offers."""
        commands = self.commands.get(("all_private_chats", "")) or self.commands.get(("default", "")) or []
        return {**self._chats.bot(), "name": BOT_NAME, "commands": commands, "webhook": self._pusher.url}


def formatted(params: Params, *, empty_allowed: bool = False) -> tuple[str, list[Entity]]:
    """The trimmed text and its entities. Raises BotError, also for every parse_mode: the product sends entities."""
    if params.text("parse_mode"):
        raise bad_request("unsupported parse_mode")
    source = params.text("text").replace("\r\n", "\n").replace("\0", "")
    text, entities = trimmed(source, checked(source, params.structure("entities")))
    if not text and not empty_allowed:
        raise bad_request("message text is empty")
    if len(text) > MAX_TEXT:
        raise bad_request("message is too long")
    return text, entities[:MAX_ENTITIES]


def _checked_markup(params: Params) -> dict[str, Any] | None:
    markup = params.structure("reply_markup")
    if markup is None:
        return None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    rows = markup.get("inline_keyboard", [])
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request("can't parse inline keyboard: an Array of Array of InlineKeyboardButton is expected")
    for button in (button for row in rows for button in row):
        if not isinstance(button, dict) or not button.get("text"):
            raise bad_request("can't parse inline keyboard button: text is required")
        if len(str(button.get("callback_data", "")).encode()) > 64:
            raise bad_request("BUTTON_DATA_INVALID")
    return markup


def _scope(params: Params) -> tuple[str, str]:
    scope = params.structure("scope")
    if scope is not None and not (isinstance(scope, dict) and isinstance(scope.get("type"), str)):
        raise bad_request("can't parse BotCommandScope")
    kind = scope["type"] if scope else "default"
    chat = scope.get("chat_id") if scope else None
    return (f"{kind} {chat}" if chat is not None else kind, params.text("language_code"))


def _checked_command(raw: Any) -> dict[str, str]:
    if not isinstance(raw, dict):
        raise bad_request("can't parse BotCommand: an object is expected")
    command, description = str(raw.get("command", "")).removeprefix("/"), str(raw.get("description", ""))
    if not re.fullmatch(r"[a-z0-9_]{1,32}", command):
        raise bad_request("BOT_COMMAND_INVALID")
    if not 1 <= len(description) <= 256:
        raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    return {"command": command, "description": description}
