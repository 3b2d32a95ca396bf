"""Cuts an answer where the model goes on with an invented message in plain text: "Human: ...", "### Instruction:".

Models with a template end their answer with a token; those that were trained on plain dialogues write the next message
too. A dialogue that a person asked for, a glossary and code have lines of the same form, and are kept.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from relay.core.text import caseless

_USERS = frozenset(
    (
        *("human", "user", "customer", "usuario", "usuário", "utilisateur", "utilisatrice", "benutzer", "nutzer"),
        *("kunde", "пользователь", "користувач", "用户", "用戶", "المستخدم", "उपयोगकर्ता"),
    )
)
_OWN = frozenset(
    (
        *("assistant", "ai", "bot", "chatbot", "asistente", "assistente", "assistent", "ассистент", "асистент"),
        *("助手", "المساعد", "सहायक"),
    )
)

_LABEL = re.compile(r"(#{1,4})?[ \t]*([^\W\d_][\w .'-]{0,40}?)[ \t]?[:\uff1a](.*)\Z", re.DOTALL)
_ANY_LABEL = re.compile(r"[\s*_>#-]*[^\W\d_][\w '-]{0,24}[*_]*[ \t]?[:\uff1a]")
_FENCE = re.compile(r"[ \t]*(```|~~~)")
_MAX_HELD_CHARS = 400
"""Of what may be an invented message; a longer text is an answer."""


class _Line(Enum):
    """What a line is; a LABEL is dropped before the answer, a SUBJECT is a line of a dialogue that was asked for."""

    TEXT = auto()
    ECHO = auto()
    LABEL = auto()
    SUBJECT = auto()
    INVENTED = auto()


class InventedMessages:
    """Passes one answer on, chunk by chunk, up to an invented message.

    question: what was asked; a role that it mentions is its subject and no label. name: the user's. own: the
    assistant's.
    """

    def __init__(self, question: str, name: str = "", own: str = "") -> None:
        self._question = caseless(question)
        self._users = self._unmentioned(_USERS | {caseless(name)})
        self._own = self._unmentioned(_OWN | {caseless(own)})
        self._headings = self._users | self._own | {"instruction", "input", "response"}
        self._held = ""
        """The beginning of a line, until it is decided what it is."""
        self._doubtful = ""
        """What may be an invented message, until what follows decides."""
        self._line = self._previous = self._fence = ""
        self._after_blank = self._began = self._is_dialogue = self._over = False

    def _unmentioned(self, names: frozenset[str]) -> frozenset[str]:
        return frozenset(name for name in names if len(name) > 1 and not self._is_mentioned(name))

    def _is_mentioned(self, name: str) -> bool:
        return name in self._question and bool(re.search(rf"(?<![a-z]){re.escape(name)}s?(?![a-z])", self._question))

    def feed(self, text: str) -> str:
        """The text that can be delivered; a line that may be a label waits for what follows."""
        return "".join(self._taken(piece) for piece in text.splitlines(keepends=True))

    def end(self, text: str = "") -> str:
        """Take the last of the answer; returns the rest. What may be an invented message at the end is one."""
        passed = self.feed(text)
        return passed + (self._line_begun(whole=True) if self._held else "")

    def _taken(self, piece: str) -> str:
        if self._over:
            return ""
        if self._line:
            return self._delivered(piece)
        self._held += piece
        return self._line_begun(whole=piece.endswith("\n"))

    def _line_begun(self, *, whole: bool) -> str:
        """Decide what the held line is; "" while more of it has to come."""
        line, label = self._held, _LABEL.match(self._held)
        if not whole and self._waits(line, label):
            return ""
        self._held = ""
        match self._kind(label):
            case _Line.ECHO:
                return ""
            case _Line.LABEL:
                line = label[3].lstrip(" \t") if label else line
            case _Line.SUBJECT:
                self._is_dialogue = True
            case _Line.INVENTED if self._doubtful or self._is_own(label):
                self._over, self._doubtful = True, ""
                return ""
            case _Line.INVENTED:
                return self._held_back(line)
        return self._delivered(line)

    def _waits(self, line: str, label: re.Match[str] | None) -> bool:
        if self._is_dialogue or self._fence or len(line) > _MAX_HELD_CHARS:
            return False
        if label is not None:
            may_be_echo = not self._began and not self._is_own(label)
            return bool(self._doubtful) or (self._is_role(label) and (may_be_echo or not label[3].strip()))
        begin = caseless(line.lstrip("# \t"))
        return bool(self._doubtful) or any(role.startswith(begin) for role in self._headings)

    def _is_role(self, label: re.Match[str]) -> bool:
        return caseless(label[2]) in (self._headings if label[1] else self._users | self._own)

    def _is_own(self, label: re.Match[str] | None) -> bool:
        return label is not None and caseless(label[2]) in {*self._own, "response"}

    def _kind(self, label: re.Match[str] | None) -> _Line:
        if label is None or self._is_dialogue or self._fence or not self._is_role(label):
            return _Line.TEXT
        is_defined = not label[1] and label[3].lstrip()[:1].islower()
        if not self._began:
            if self._is_own(label):
                return _Line.SUBJECT if is_defined else _Line.LABEL
            return _Line.ECHO if caseless(label[3]) == self._question else _Line.SUBJECT
        is_announced = self._previous.rstrip("*_ ").endswith((":", "\uff1a"))
        is_listed = not self._after_blank and not label[1] and _ANY_LABEL.match(self._previous)
        return _Line.SUBJECT if is_announced or is_listed or is_defined else _Line.INVENTED

    def _delivered(self, text: str) -> str:
        """A text inside one line. Behind a doubtful message it waits, and a label of another kind ends the doubt."""
        if self._doubtful:
            is_another = not self._line and _ANY_LABEL.match(text)
            return self._released(text) if is_another else self._held_back(text)
        self._record(text)
        return text

    def _held_back(self, text: str) -> str:
        if len(self._doubtful) + len(text) > _MAX_HELD_CHARS:
            return self._released(text)
        self._doubtful += text
        self._line = "" if text.endswith("\n") else self._line + text
        return ""

    def _released(self, text: str) -> str:
        """The doubtful message with what follows: it is part of the answer, like all further lines of its form."""
        text, self._doubtful, self._line = self._doubtful + text, "", ""
        self._is_dialogue = True
        self._record(text)
        return text

    def _record(self, text: str) -> None:
        self._began = self._began or bool(text.strip())
        self._line += text
        if not self._line.endswith("\n"):
            return
        line, self._line = self._line, ""
        if fence := _FENCE.match(line):
            self._fence = "" if self._fence == fence[1] else self._fence or fence[1]
        self._after_blank = not line.strip()
        self._previous = self._previous if self._after_blank else line.strip()
