"""parse_mode MarkdownV2 and the old Markdown, turned into entities.

https://core.telegram.org/bots/api#markdownv2-style: every reserved character that is no mark must be escaped, or the
message is refused; that refusal is what bots stumble over, so it is played in full.
"""

from __future__ import annotations

import re

from relay.simulator.telegram_entities import Entity, units
from relay.simulator.telegram_params import BotError, bad_request

_RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
_MARKS = {
    "||": "spoiler",
    "__": "underline",
    "_": "italic",
    "*": "bold",
    "~": "strikethrough",
}
_OLD_TOKEN = re.compile(
    r"\\(?P<escaped>[_*`\[])|```(?P<pre>.*?)```|`(?P<code>[^`]*)`|\*(?P<bold>[^*]*)\*|_(?P<italic>[^_]*)_"
    r"|\[(?P<label>[^\]]*)\]\((?P<url>[^)]*)\)|(?P<open>[*_`\[])|(?P<text>[^\\*_`\[]+|\\)",
    re.DOTALL,
)


def _failure(reason: str) -> BotError:
    return bad_request(f"can't parse entities: {reason}")


class MarkdownV2:
    """One pass over a text; `opened` holds the marks that wait for their end."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._text = ""
        self._entities: list[Entity] = []
        self._opened: list[tuple[str, int]] = []
        self._quote: int | None = None
        self._fresh_line = True

    def parse(self) -> tuple[str, list[Entity]]:
        """Text and entities. Raises BotError."""
        while self._at < len(self._source):
            self._step()
        self._end_quote()
        if self._opened:
            mark, offset = self._opened[-1]
            raise _failure(f"can't find end of the entity {_MARKS.get(mark, 'link')} starting at offset {offset}")
        return self._text, sorted(self._entities, key=lambda one: (one["offset"], -one["length"]))

    def _here(self, mark: str) -> bool:
        return self._source.startswith(mark, self._at)

    def _step(self) -> None:
        if self._quote_line():
            return
        if self._here("\\") and self._at + 1 < len(self._source):
            self._take(self._source[self._at + 1], 2)
        elif self._here("`"):
            self._code()
        elif self._here("["):
            self._opened.append(("[", units(self._text)))
            self._at += 1
        elif self._here("]("):
            self._link()
        else:
            self._mark_or_char()

    def _quote_line(self) -> bool:
        """Begin or go on with a quote at the start of a line; the first line without a mark ends it."""
        if not self._fresh_line:
            return False
        self._fresh_line = False
        if self._here(">"):
            self._quote = units(self._text) if self._quote is None else self._quote
            self._at += 1
            return True
        self._end_quote()
        return False

    def _take(self, char: str, used: int = 1) -> None:
        self._text += char
        self._at += used
        self._fresh_line = char == "\n"

    def _add(self, kind: str, offset: int, **details: str) -> None:
        length = units(self._text) - offset
        if length:
            self._entities.append({"type": kind, "offset": offset, "length": length, **details})

    def _end_quote(self) -> None:
        if self._quote is not None:
            self._add("blockquote", self._quote)
            self._quote = None

    def _code(self) -> None:
        fence = "```" if self._here("```") else "`"
        offset, start = units(self._text), self._at + len(fence)
        match = re.compile(r"(?:\\.|[^\\])*?" + re.escape(fence), re.DOTALL).match(self._source, start)
        if match is None:
            raise _failure(f"can't find end of the entity starting at offset {self._at}")
        body, language = match.group()[: -len(fence)], ""
        if fence == "```" and (head := re.match(r"([\w+#.-]*)\n", body)):
            language, body = head.group(1), body[head.end() :]
        self._text += re.sub(r"\\(.)", r"\1", body, flags=re.DOTALL)
        self._at = match.end()
        self._add("pre" if fence == "```" else "code", offset, **({"language": language} if language else {}))

    def _link(self) -> None:
        if not self._opened or self._opened[-1][0] != "[":
            raise _failure("character ']' is reserved and must be escaped with the preceding '\\'")
        _, offset = self._opened.pop()
        match = re.compile(r"\]\(((?:\\.|[^\\)])*)\)").match(self._source, self._at)
        if match is None:
            raise _failure(f"can't find end of a URL at offset {self._at}")
        self._at = match.end()
        self._add("text_link", offset, url=re.sub(r"\\(.)", r"\1", match.group(1)))

    def _mark_or_char(self) -> None:
        mark = next((one for one in _MARKS if self._here(one)), None)
        char = self._source[self._at]
        if mark is None and char in _RESERVED:
            raise _failure(f"character '{char}' is reserved and must be escaped with the preceding '\\'")
        if mark is None:
            self._take(char)
            return
        self._at += len(mark)
        if self._opened and self._opened[-1][0] == mark:
            _, offset = self._opened.pop()
            self._add(_MARKS[mark], offset)
        elif any(mark == waiting for waiting, _ in self._opened):
            raise _failure(f"can't find end of the entity starting at offset {self._opened[-1][1]}")
        else:
            self._opened.append((mark, units(self._text)))


def parse_old_markdown(source: str) -> tuple[str, list[Entity]]:
    """The old Markdown: no nesting, few marks. Raises BotError."""
    text = ""
    entities: list[Entity] = []
    for token in _OLD_TOKEN.finditer(source):
        kind = token.lastgroup or "text"
        if kind == "open":
            raise _failure(f"can't find end of the entity starting at byte offset {token.start()}")
        offset = units(text)
        text += token["label"] if kind == "url" else token[kind]
        if kind in {"pre", "code", "bold", "italic", "url"} and units(text) > offset:
            details = {"url": token["url"]} if kind == "url" else {}
            name = "text_link" if kind == "url" else kind
            entities.append({"type": name, "offset": offset, "length": units(text) - offset, **details})
    return text, entities
