"""Puts streamed tool calls together from fragments whose index and id may be absent, repeated or wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from relay.llm.chat import ToolCall
from relay.llm.providers.json_values import as_arguments, as_dict, as_dicts, as_text
from relay.llm.providers.tool_calls import identified


@dataclass(slots=True)
class _Fragments:
    """One call so far: its arguments as JSON text."""

    index: Any = None
    id: str = ""
    name: str = ""
    arguments: str = ""

    @property
    def is_whole(self) -> bool:
        return bool(self.arguments) and as_arguments(self.arguments) is not None

    def differs(self, name: str, arguments: str) -> bool:
        """Whether this is another function, or the same one with other whole arguments."""
        is_whole = bool(arguments) and as_arguments(arguments) is not None
        return name != self.name or (is_whole and arguments != self.arguments)


@dataclass(slots=True)
class CallFragments:
    """The tool calls of one answer, in the order in which they began."""

    _calls: list[_Fragments] = field(default_factory=list)

    def add(self, rows: Any) -> None:
        """Take the `tool_calls` of one event; anything that is no call is ignored."""
        for row in as_dicts(rows):
            function = as_dict(row.get("function"))
            index, name, given = row.get("index"), as_text(function.get("name")), function.get("arguments")
            text = orjson.dumps(given).decode() if isinstance(given, dict) else as_text(given)
            call = self._call_of(index if isinstance(index, int) else None, as_text(row.get("id")), name, text)
            _extend(call, name, text)

    def _call_of(self, index: int | None, call_id: str, name: str, arguments: str) -> _Fragments:
        """The call that a fragment continues, or a new one: an id says more than an index."""
        same_id = [call for call in self._calls if call_id and call.id == call_id]
        same_index = [call for call in self._calls if index is not None and call.index == index]
        last = next(reversed(same_id or same_index or (self._calls if index is None else [])), None)
        other_id = last is not None and bool(call_id) and bool(last.id) and last.id != call_id
        other = last is not None and not same_id and bool(name) and last.is_whole and last.differs(name, arguments)
        if last is None or other_id or other:
            last = _Fragments(index)
            self._calls.append(last)
        last.id = last.id or call_id
        return last

    def calls(self) -> tuple[ToolCall, ...] | None:
        """The calls with a name; None when the arguments of one are no JSON object."""
        found = [(call, _arguments(call.arguments)) for call in self._calls if call.name]
        if any(arguments is None for _, arguments in found):
            return None
        return tuple(identified(ToolCall(call.name, arguments or {}, call.id)) for call, arguments in found)


def _extend(call: _Fragments, name: str, arguments: str) -> None:
    """Append a fragment; a name or arguments that came before, whole or so far, are repetitions."""
    if name.startswith(call.name):
        call.name = name
    elif name and not call.arguments and not call.name.startswith(name):
        call.name += name
    if len(call.arguments) > 1 and arguments.startswith(call.arguments):
        call.arguments = arguments
    else:
        call.arguments += arguments


def _arguments(text: str) -> Mapping[str, Any] | None:
    half = len(text) // 2
    return as_arguments(text[:half] if half and text[:half] == text[half:] else text)
