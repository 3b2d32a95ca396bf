"""The commands about a person's own things: the model, what was used, a copy of the history, and its removal.

They depend on what is stored or on what the LLM server offers, which they ask for when they are carried out. In a group
they concern its whole history, except /usage, which counts for its writer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import httpx

from relay.channels.telegram import texts
from relay.channels.telegram.buttons import GONE, OF_OTHERS, Buttons
from relay.channels.telegram.model_buttons import model_buttons, pressed_model
from relay.channels.telegram.settings import TelegramSettings
from relay.channels.telegram.spec import TELEGRAM, is_group
from relay.core.decisions import Decision
from relay.core.errors import ModelError
from relay.core.messages import HistoryMessage, InboundMessage, User
from relay.core.model_choice import DEFAULT_MODEL, MODEL, allowed, chosen_model
from relay.core.parts import PlannedPart
from relay.core.person_settings import limits_of
from relay.core.records import Records
from relay.llm.client import LlmClient
from relay.texts import ENGLISH
from relay.texts.sentences import localize

COMMANDS: Final = {
    "model": "menu-model",
    "usage": "menu-usage",
    "export": "menu-export",
    "forget": "menu-forget",
}
ADMINS_ONLY: Final = frozenset({"model", "export", "forget"})
"""In a group, whose whole history they concern."""

OPERATOR_COMMAND: Final = "admin"
FORMATS: Final = ("md", "json")


class PersonalCommands:
    """Decides about these commands. `client` is shared and closed by its owner."""

    def __init__(self, settings: TelegramSettings, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._models = LlmClient(client, settings)

    def knows(self, command: str, message: InboundMessage) -> bool:
        """Whether this is one of these commands; to others than operators /admin does not exist."""
        is_operator = message.user_id in self._settings.telegram_admins and not is_group(message.user_id)
        return command in COMMANDS or (command == OPERATOR_COMMAND and is_operator)

    def decide(
        self, command: str, argument: str, message: InboundMessage, user: User | None, decision: Decision
    ) -> Decision:
        """The decision about a known command; `decision` has what any message of this user changes."""
        match command:
            case "model":
                resolve = partial(self._model, argument, user, decision)
            case "usage":
                resolve = partial(self._usage, message, user, decision)
            case "export":
                resolve = partial(_export, argument.lower() or FORMATS[0], message, decision)
            case "admin":
                resolve = partial(_numbers, decision)
            case _:
                return replace(
                    decision,
                    reply=localize("telegram-forget-question", decision.language),
                    buttons=texts.FORGET_BUTTONS,
                )
        return replace(decision, reply=localize("telegram-please-repeat", decision.language), resolve=resolve)

    async def _model(self, argument: str, user: User | None, decision: Decision, _: Records) -> Decision:
        now = chosen_model(user, self._settings)
        if not self._settings.user_models:
            return replace(decision, reply=localize("telegram-one-model", decision.language))
        try:
            offered = allowed(await self._models.models(), self._settings)
        except ModelError:
            return replace(decision, reply=localize("telegram-models-unknown", decision.language))
        choice = replace(decision, buttons=model_buttons(offered[: texts.MAX_LISTED_MODELS]))
        if not argument:
            return replace(choice, reply=texts.models(now, offered, decision.language))
        name = next((name for name in offered if name.casefold() == argument.casefold()), None)
        name = name or pressed_model(argument, offered)
        if name is None:
            return replace(choice, reply=texts.no_such_model(argument, offered, decision.language))
        chosen = "" if name == DEFAULT_MODEL else name
        reply = localize("telegram-model-chosen", decision.language, name=name)
        return replace(decision, reply=reply, settings={**decision.settings, MODEL: chosen})

    def pressed(self, message: InboundMessage, user: User | None, decision: Decision, buttons: Buttons) -> Decision:
        """The decision about a press of a model's button; its reply takes the place of the list."""

        async def resolve(records: Records) -> Decision:
            number = (message.reply_to or "").partition("/")[0]
            listed = await records.find_reply(TELEGRAM, message.user_id, message_id=number)
            refusal = GONE if listed is None else "" if await buttons.is_askers(message, listed) else OF_OTHERS
            await buttons.answer(message, refusal, decision)
            if listed is None or refusal:
                return replace(decision, reason=localize(refusal, ENGLISH))
            chosen = await self._model(message.options["version"], user, decision, records)
            return replace(chosen, replaces=listed.id)

        return replace(decision, reply=localize("telegram-please-repeat", decision.language), resolve=resolve)

    async def _usage(
        self, message: InboundMessage, user: User | None, decision: Decision, records: Records
    ) -> Decision:
        used = await records.read_usage(TELEGRAM, message.user_id, message.sender)
        limit = limits_of(user, self._settings).messages_per_day
        return replace(decision, reply=texts.usage(used, limit, decision.language))


async def _export(form: str, message: InboundMessage, decision: Decision, records: Records) -> Decision:
    if form not in FORMATS:
        return replace(decision, reply=localize("telegram-export-formats", decision.language))
    history = await records.read_history(TELEGRAM, message.user_id)
    if not history:
        return replace(decision, reply=localize("telegram-nothing-to-export", decision.language))
    content = _as_json(history) if form == "json" else _as_markdown(history, decision.language)
    file = PlannedPart(content, "", file_name=f"conversation.{form}")
    return replace(decision, reply=localize("telegram-exported", decision.language, count=len(history)), files=(file,))


def _as_json(history: Sequence[HistoryMessage]) -> str:
    messages = [{"role": one.role, "text": one.message, "at": _moment(one)} for one in history]
    return json.dumps(messages, ensure_ascii=False, indent=2) + "\n"


def _as_markdown(history: Sequence[HistoryMessage], language: str) -> str:
    keys = {"user": "telegram-exported-you", "assistant": "telegram-exported-assistant"}
    who = {role: localize(key, language) for role, key in keys.items()}
    return "".join(f"## {who.get(one.role, one.role)}, {_moment(one)}\n\n{one.message}\n\n" for one in history)


def _moment(one: HistoryMessage) -> str:
    return datetime.fromtimestamp(one.timestamp, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


async def _numbers(decision: Decision, records: Records) -> Decision:
    return replace(decision, reply=texts.numbers(await records.read_numbers(TELEGRAM)))
