"""A message that the AI drafts for an operator: it is put into the form, and the operator sends it, or does not."""

from __future__ import annotations

import httpx

from relay.channels.registry import BY_PLATFORM
from relay.config.settings import Settings
from relay.console.person import Address
from relay.console.services import NotDone
from relay.console.trial import ask_as_channel
from relay.core.messages import HistoryMessage
from relay.core.prompt import states_no_answer

MAX_OPEN = 5
"""The most messages of a person, one after the other, that are taken as one question."""


async def draft_message(
    http: httpx.AsyncClient, settings: Settings, address: Address, history: tuple[HistoryMessage, ...]
) -> str:
    """An answer to what a person wrote last, given the history before it. Raises NotDone.

    Nothing is stored or sent. It costs what one question costs, which is not counted as a cost of the person.
    """
    answered = next((n for n in range(len(history), 0, -1) if history[n - 1].role != "user"), 0)
    before, question = history[:answered], "\n".join(message.message for message in history[answered:])
    if not question.strip():
        raise NotDone("There is nothing to answer: the latest message is ours.")
    messages = [{"role": message.role, "content": message.message} for message in before]
    trial = await ask_as_channel(http, settings, BY_PLATFORM[address.platform], question, messages)
    if trial.problem:
        raise NotDone("The AI drafted nothing.", trial.problem)
    if states_no_answer(trial.answer):
        raise NotDone("The AI drafted nothing.", "its documents have no answer")
    return trial.answer.strip()
