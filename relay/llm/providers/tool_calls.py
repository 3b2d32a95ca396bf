"""Matches tool results to tool calls: by id in OpenAI's protocol, by name or order in Ollama's.

OpenAI's results have an id and no name; Ollama's clients send a name, or rely on the order.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

from relay.llm.chat import ChatMessage, ToolCall


def identified(call: ToolCall) -> ToolCall:
    """The call with an id. Some models give none, and Anthropic's refuse a conversation in which two are equal."""
    return call if call.id else call._replace(id=f"call_{uuid.uuid4().hex[:12]}")


def linked(messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    """The messages with an id on every call, and on every result the id and name of its call."""
    if not any(message.tool_calls for message in messages):
        return messages
    found: list[ChatMessage] = []
    numbered = 0
    unanswered: list[ToolCall] = []
    for message in messages:
        if message.tool_calls:
            unanswered = [
                call if call.id else call._replace(id=f"call_{number}")
                for number, call in enumerate(message.tool_calls, numbered)
            ]
            numbered += len(unanswered)
            found.append(replace(message, tool_calls=tuple(unanswered)))
        elif message.role == "tool" and (call := next((c for c in unanswered if _answers(message, c)), None)):
            unanswered.remove(call)
            found.append(replace(message, tool_call_id=call.id, tool_name=call.name))
        else:
            found.append(message)
    return found


def _answers(result: ChatMessage, call: ToolCall) -> bool:
    """Whether id or name of a result are those of a call; without both, the first call is meant."""
    if result.tool_call_id:
        return result.tool_call_id == call.id
    return result.tool_name in ("", call.name)
