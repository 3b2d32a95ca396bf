"""Matches tool results to tool calls: by id in OpenAI's protocol, by name or order in Ollama's.

OpenAI's results have an id and no name; Ollama's clients send a name, or rely on the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relay.llm.chat import ChatMessage, ToolCall


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
        elif message.role == "tool" and (call := _answered(message, unanswered)) is not None:
            unanswered.remove(call)
            found.append(replace(message, tool_call_id=call.id, tool_name=call.name))
        else:
            found.append(message)
    return found


def _answered(result: ChatMessage, calls: Sequence[ToolCall]) -> ToolCall | None:
    """The first call that matches the id or name of a result."""
    return next(
        (
            call
            for call in calls
            if result.tool_call_id in ("", call.id) and (result.tool_name in ("", call.name) or result.tool_call_id)
        ),
        None,
    )
