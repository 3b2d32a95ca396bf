"""Takes a model's own markup out of its answer: reasoning, special tokens, channels, tool calls, invented messages.

Servers with a parser send none of it; others leave it in the text. In code and where a sentence speaks of it, it is
text. Separate fields (thinking, reasoning, reasoning_content) are handled by the providers.
"""

from __future__ import annotations

import re

_THINK = r"(?:[a-z]+[:_])?think(?:ing)?"
_XML = "thought|reasoning|reflection"
_TOOL = r"(?:[a-z]+[:_])?(?:tool|function)_?(?:calls?|use|code|response|results?)"
_EDGE = r"\[(?:EOS|BOS|PAD|EOT|END_OF_TURN|/?ASSISTANT|/?ASST)\]|<(?:EOT|eos_token|pad|unk)>|\[end of text\]"
"""What other tokenizers, and command lines, print at the end of an answer or before it; elsewhere it is text."""
_SPECIAL = r"(?!(?:start|channel|message|constrain)\|)\w{2,40}"
"""Of any family of models, but for those of harmony, which stand in an answer too."""
_THOUGHT_BEGINS = r"<\|(?:start_thinking|begin_of_thought|think(?:ing)?)\|>|<\|channel>\s*thought\b"
_THOUGHT_ENDS = r"<\|(?:end_thinking|end_of_thought|/think(?:ing)?)\|>|<channel\|>"
_MARK = re.compile(
    rf"(?P<code>`+)|(?P<edge>(?:{_EDGE})(?:\s{{0,9}}(?:{_EDGE}))*)"
    rf"|(?P<empty><{_THINK}\s?/>)|(?P<open><{_THINK}(?:\s[^<>]{{0,80}})?>|◁think▷|\[THINK\]|{_THOUGHT_BEGINS})"
    rf"|(?P<close></{_THINK}\s?>|◁/think▷|\[/THINK\]|{_THOUGHT_ENDS})"
    rf"|<(?P<xml>{_XML})>|(?P<close_xml></(?:{_XML})>)"
    rf"|(?:<\|start\|>\s*assistant\s*)?<\|channel\|>\s*(?P<channel>\w+)[^<]{{0,80}}"
    rf"(?:<\|constrain\|>[^<]{{0,40}})?<\|message\|>"
    rf"|(?P<echo>\[INST\]|<<SYS>>)"
    rf"|(?P<role><\|start\|>\s*assistant(?=<)|<\|assistant\|>|<s>|<</SYS>>)"
    rf"|(?P<tool><{_TOOL}(?:\s[^<>]{{0,80}})?>|<invoke\s[^<>]{{0,80}}>|<function=[\w.]+>|<\|tool_(?:call|response)>|<\|tool_calls?(?:_section)?(?:_begin)?\|>|<[|\uff5c]tool▁calls▁begin[|\uff5c]>"
    rf"|\[TOOL_CALLS\]|\[TOOL_REQUEST\]|<\|python_tag\|>)"
    rf"|(?P<turn><\|{_SPECIAL}\|>|\[\|\w{{2,40}}\|\]|<end_of_utterance>|<bos>|<\|start\|>\s*(?:user|system|developer)|</s>|<eos>|<(?:start|end)_of_turn>|<\|?turn\|?>"
    rf"|<\uff5c(?:(?:begin|end)▁of▁sentence|User|Assistant)\uff5c>|\[/INST\])",
    re.IGNORECASE,
)
_PARTIAL = re.compile(
    r"(?:\[end[a-z ]{0,8}|<\|channel>\s*\w{0,8}"
    r"|<\|(?:start|channel)\|>[^<]*(?:<\|constrain\|>[^<]*)?(?:<\|?[a-z]*\|?)?|<</?[a-z]{0,3}>?"
    r"|<[^<>\s]{0,40}|<[a-z:_]{5,24}\s[^<>]{0,80}"
    r"|\[/?[A-Z_]{0,12}|\[\|\w{0,40}\|?|◁/?\w{0,6}|`+)\Z",
    re.IGNORECASE,
)
"""What may be the beginning of a mark, at the end of a chunk."""
_THOUGHT_END = re.compile(rf"</(?:{_THINK}|{_XML})\s?>|◁/think▷|\[/THINK\]|{_THOUGHT_ENDS}", re.IGNORECASE)
_CHANNEL_END = re.compile(r"<\|(?:end|call|return)\|>|(?=<\|(?:start|channel)\|>)")
_TOOL_END = re.compile(
    r"</(?:tool_call|function_calls?|function)>|<\|tool_calls?(?:_section)?_end\|>|<[|\uff5c]tool▁calls▁end[|\uff5c]>"
    r"|<tool_(?:call|response)\|>|\[END_TOOL_REQUEST\]",
    re.IGNORECASE,
)
_TAG_NAME = re.compile(r"<([a-z:_]+)(?=[\s>])", re.IGNORECASE)
_ECHO_ENDS = {"[inst]": re.compile(r"\[/INST\]", re.IGNORECASE), "<<sys>>": re.compile("<</SYS>>", re.IGNORECASE)}
"""Parts of Llama 2's template, which models trained on it write before their answer."""
_ROLE_ENDS = ("<|end_header_id|>", "<|header_end|>", "<|end_of_role|>", "<|im_sep|>", "")
_ROLES = tuple(role + end for role in ("assistant", "model") for end in _ROLE_ENDS)
_ROLE = re.compile(rf"\s*(?:assistant|model)?(?:{'|'.join(map(re.escape, _ROLE_ENDS))})\s*", re.IGNORECASE)
_LAST_TOKENS = re.compile(r"\s*(?:<\|(?:im_end|eot_id|endoftext|end_of_text|end|return)\|>|</s>|<end_of_turn>|\s)+\Z")
_MAX_TAG_CHARS = 40
_MAX_HELD_CHARS = 240
_QUOTES = "\"'\u201c\u201d\u201e\xab\xbb\u2018\u2019`("


class AnswerFilter:
    """Splits the text of one answer into (text, thinking), chunk by chunk.

    Some chat templates write the opening tag of reasoning into the prompt, so that only the closing one is in the text:
    `inside` is set for models known to do that, and `found_unopened` becomes true when it is detected. Text that was
    returned before is then followed by the tag, so that the whole can be cut with `cleaned`.
    `unclosed`: the reasoning that was open when the answer ended. tools: whether text of tool calls is kept.
    """

    def __init__(self, *, inside: bool = False, tools: bool = False) -> None:
        self._tools = tools
        self._held = ""
        self._hidden = _THOUGHT_END if inside else None
        self._assumed = inside
        self._thinks = inside
        self._code = ""
        self._lead = ""
        self._last = ""
        self._skip_space = self._skip_role = False
        self._opened = False
        self._struck = False
        self._over = self._returned = False
        self.unclosed = ""
        self.found_unopened = False

    def feed(self, text: str) -> tuple[str, str]:
        """Split a chunk into (text, reasoning)."""
        self._held += text
        return self._split(final=False)

    def end(self, text: str = "") -> str:
        """Take the last chunk; returns the rest of the text, without unfinished reasoning."""
        self._held += text
        if self._assumed:
            self._hidden, self._assumed = None, False
        text, _ = self._split(final=True)
        return _LAST_TOKENS.sub("", text) if "|>" in text or "</s>" in text or "_turn>" in text else text

    def _split(self, *, final: bool) -> tuple[str, str]:
        texts: list[str] = []
        thoughts: list[str] = []
        more = True
        while more and self._held:
            if self._over:
                self._held = ""
            elif self._hidden is not None:
                more = self._skip_hidden(thoughts, final=final)
            elif self._code:
                more = self._pass_code(texts, final=final)
            else:
                more = self._pass_text(texts, final=final)
        self._returned = self._returned or bool(texts)
        return "".join(texts), "".join(thoughts)

    def _emit(self, texts: list[str], text: str) -> None:
        """Return a text to the caller; leading white space waits, because reasoning may follow it."""
        if not self._last and not text.strip():
            self._lead += text
        elif text:
            texts.append(self._lead + text)
            self._lead, self._last = "", text[-1]

    def _take(self, length: int) -> str:
        taken, self._held = self._held[:length], self._held[length:]
        return taken

    def _skip_hidden(self, thoughts: list[str], *, final: bool) -> bool:
        """Pass reasoning on up to its end; drop hidden text of other kinds. False when its end has not come yet."""
        assert self._hidden is not None  # noqa: S101 (the caller's condition)
        end = self._hidden.search(self._held)
        if end is None and self._assumed:
            return False
        cut = end.start() if end else len(self._held) if final else max(0, len(self._held) - _MAX_TAG_CHARS)
        thought = self._take(cut)
        if self._thinks:
            thoughts.append(thought)
            self.unclosed += thought
        if end is None:
            return False
        self._take(end.end() - end.start())
        self._hidden, self._assumed, self.unclosed = None, False, ""
        self._skip_space = not self._last or self._last.isspace()
        return True

    def _pass_code(self, texts: list[str], *, final: bool) -> bool:
        """Pass code on unchanged up to its end: the same backticks, or the end of the line for code in a line."""
        is_block = len(self._code) >= len("```")
        end = re.search(re.escape(self._code) if is_block else rf"\n|(?<!`){self._code}(?!`)", self._held)
        if end is not None and (final or end.end() < len(self._held) or end[0] == "\n"):
            self._emit(texts, self._take(end.end()))
            self._code = ""
            return True
        held = 0 if final else self._tail(self._held)
        self._emit(texts, self._take(len(self._held) - held))
        return False

    def _pass_text(self, texts: list[str], *, final: bool) -> bool:
        """Pass text on up to the next mark, and begin what the mark begins. False when more of it has to come."""
        if self._waits(final=final):
            return False
        mark = _MARK.search(self._held)
        if mark is None:
            held = 0 if final else self._tail(self._held)
            self._emit(texts, self._take(len(self._held) - held))
            return False
        if not final and not self._held[mark.end() :].strip(" \t"):
            self._emit(texts, self._take(mark.start()))
            return False  # what follows decides
        if mark.lastgroup == "edge" and not final and self._held[mark.end() :].lstrip()[:1] in ("<", "["):
            self._emit(texts, self._take(mark.start()))
            return False  # another one may follow
        self._emit(texts, self._take(mark.start()))
        self._begin(mark, self._take(mark.end() - mark.start()), texts)
        return True

    def _waits(self, *, final: bool) -> bool:
        """Drop the white space or the role that follows a mark; true while more of it may come."""
        if self._skip_role:
            begin = self._held.strip().lower()
            if not final and any(role.startswith(begin) for role in _ROLES):
                return True
            self._held, self._skip_role = _ROLE.sub("", self._held, count=1), False
        if self._skip_space:
            self._held = self._held.lstrip()
            self._skip_space = not self._held
        return not self._held

    @staticmethod
    def _tail(text: str) -> int:
        """The length of what may be the beginning of a mark at the end of a text."""
        partial = _PARTIAL.search(text, max(0, len(text) - _MAX_HELD_CHARS))
        return len(partial[0]) if partial else 0

    def _begin(self, mark: re.Match[str], token: str, texts: list[str]) -> None:
        kind, at_start = mark.lastgroup, not self._last
        if kind == "code":
            self._code = token
            self._emit(texts, token)
        elif kind == "channel":
            if mark["channel"].lower() != "final":
                self._hide(_CHANNEL_END, thinks=True)
        elif self._is_prose(kind, token, at_start=at_start):
            self._opened = self._opened or kind in {"open", "xml"}
            self._struck = token.lower() == "<s>"
            self._emit(texts, token)
        elif (end := _hidden_until(kind, token, at_start=at_start)) is not None:
            self._hide(end, thinks=kind != "tool")
        elif kind in {"close", "close_xml"}:
            self._end_unopened(token, texts)
        elif kind in {"empty", "edge"}:
            self._skip_space = at_start
        elif kind == "role" or at_start:
            self._skip_role = True
        else:
            self._over = True

    def _hide(self, end: re.Pattern[str], *, thinks: bool) -> None:
        self._hidden, self._thinks, self.unclosed, self._lead = end, thinks, "", ""

    def _end_unopened(self, token: str, texts: list[str]) -> None:
        """Everything before a closing tag without an opening one was reasoning."""
        self.found_unopened = True
        texts.clear()
        if self._returned:
            texts.append(token + "\n")
        self._last, self._lead, self._skip_space = "", "", True

    def _is_prose(self, kind: str | None, text: str, *, at_start: bool) -> bool:
        """Whether the mark is text: a word of XML or HTML, or one of which a sentence speaks."""
        follows, text = self._held[:40], text.lower()
        if text == "<s>":  # the first token of some models, or HTML's strike-through
            return not at_start or not follows[:1].isspace()
        if kind == "edge":  # dropped at the beginning, and directly behind the text at its end
            return not at_start and (bool(self._held.strip()) or self._last.isspace())
        if kind == "close_xml":
            return self._opened or not re.match(r"[ \t]*(\n|\Z)", follows)
        if (kind == "tool" and self._tools) or (kind == "close" and self._opened) or (text == "</s>" and self._struck):
            return True
        return not at_start and (kind == "xml" or self._is_mentioned(follows))

    def _is_mentioned(self, follows: str) -> bool:
        """Whether a mark stands in quotes, or between a space and a word in lower case."""
        if self._last in _QUOTES and follows[:1] in (*_QUOTES, *").,;:!?"):
            return True
        return self._last.isspace() and re.match(r"[ \t]+[a-z]|[.,;:)]", follows) is not None


def _hidden_until(kind: str | None, token: str, *, at_start: bool) -> re.Pattern[str] | None:
    """The end of what a mark hides; None for a mark that hides nothing."""
    if kind in {"open", "xml"}:
        return _THOUGHT_END
    if kind == "echo" and at_start:
        return _ECHO_ENDS[token.lower()]
    if kind != "tool":
        return None
    name = _TAG_NAME.match(token)
    return re.compile(rf"</{name[1]}\s?>", re.IGNORECASE) if name else _TOOL_END


def cleaned(text: str) -> str:
    """A whole answer without markup, also when the opening tag of its reasoning is missing."""
    return AnswerFilter().end(text)
