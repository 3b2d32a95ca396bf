"""What reaches a person is an answer: a model's own markup is cut, and kept where a sentence or code speaks of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay.core.http_client import open_http_client
from relay.core.messages import Platform
from relay.llm.client import LlmClient
from relay.llm.providers.markup import AnswerFilter, cleaned
from relay.llm.providers.repetition import without_loop
from tests.llm.running_llm_server import ollama, openai, running
from tests.llm.scripted_upstream import (
    COMPLETIONS,
    DONE,
    Call,
    Script,
    Upstream,
    completion,
    delta,
    last_line,
    line,
    streams,
)

CUT: list[tuple[str, str]] = [
    ("Hello there!<|im_end|>", "Hello there!"),
    ("Hello there!</s>", "Hello there!"),
    ("Hello there! <|eot_id|>\n", "Hello there! "),
    ("Hello<\uff5cend▁of▁sentence\uff5c>", "Hello"),
    ("Hi<end_of_turn>\n<start_of_turn>user\nok", "Hi"),
    ("Hello!<|im_end|>\n<|im_start|>user\nWhat?<|im_end|>", "Hello!"),
    ("Five.<|endoftext|>Human: what", "Five."),
    ("<|im_start|>assistant\nHello!<|im_end|>", "Hello!"),
    ("<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>", "Hello!"),
    ("<s> Hello!</s>", "Hello!"),
    ("<|channel|>analysis<|message|>User says hi...<|channel|>final<|message|>Hello!<|return|>", "Hello!"),
    (
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hello!<|return|>",
        "Hello!",
    ),
    ("<|start|>assistant<|channel|>commentary to=functions.x <|constrain|>json<|message|>{}<|call|>", ""),
    ("<seed:think>hm</seed:think>Hello", "Hello"),
    ("◁think▷hm◁/think▷Hello", "Hello"),
    ("[THINK]hm[/THINK]Hello", "Hello"),
    ('<think signature="x">hm</think>Hello', "Hello"),
    ("<thought>hm</thought>\nHello", "Hello"),
    ("First part. <think>plan</think> Second part.", "First part. Second part."),
    ('<tool_call>{"name":"x"}</tool_call>', ""),
    ('Let me look. <tool_call>\n{"name":"x"}\n</tool_call>', "Let me look. "),
    ("[INST] Hi [/INST] Hello", "Hello"),
    ("<<SYS>>\nBe kind.\n<</SYS>>\n\nHello", "Hello"),
    ("[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi [/INST] Hello", "Hello"),
    ("Hello [INST] And now?", "Hello "),
    ('[TOOL_CALLS][{"name": "x"}]', ""),
    ("```\ncode\n```<|im_end|>", "```\ncode\n```"),
    ("Hello!<|eot|>", "Hello!"),
    ("Hello!<|END_OF_TURN_TOKEN|>", "Hello!"),
    ("Hello![|endofturn|]\n[|user|]And?", "Hello!"),
    ("Hello!<end_of_utterance>", "Hello!"),
    ("Hello!<|reserved_special_token_5|>", "Hello!"),
    ("<bos>Hello!", "Hello!"),
    ("<</SYS>>\n\nHello!", "Hello!"),
    ("<|header_start|>assistant<|header_end|>\n\nHello!<|eot|>", "Hello!"),
    ("<|start_of_role|>assistant<|end_of_role|>Hello!<|end_of_text|>", "Hello!"),
    ("Hello!<|start_of_role|>user<|end_of_role|>And?", "Hello!"),
    ("<|im_start|>assistant<|im_sep|>Hello!", "Hello!"),
    ("<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Hello!<|END_RESPONSE|>", "Hello!"),
    ("<|begin_of_thought|>\nhm\n<|end_of_thought|>\n\n<|begin_of_solution|>\nHello!\n<|end_of_solution|>", "Hello!\n"),
    ("Look. <|tool_calls_section_begin|><|tool_call_begin|>f:0{}<|tool_call_end|><|tool_calls_section_end|>", "Look. "),
    ("it's `fun\nok<|im_end|>", "it's `fun\nok"),
    ("<think/>Hello", "Hello"),
    ("<thinking />\n\nHello", "Hello"),
    ("<think>hm</think >Hello", "Hello"),
    ("<longcat_think>hm</longcat_think>Hello", "Hello"),
    ("<|channel>thought\nhm<channel|>Hello<turn|>\n<|turn>user\nMore", "Hello"),
    ("<|tool_call>call:x{}<tool_call|>Hello", "Hello"),
    ('<minimax:tool_call><invoke name="x"></invoke></minimax:tool_call>Hello', "Hello"),
    ('<xai:function_call name="x">y</xai:function_call>Hello', "Hello"),
    ('<tool_code>print("x")</tool_code>Hello', "Hello"),
    ('[TOOL_REQUEST]{"name":"x"}[END_TOOL_REQUEST]Hello', "Hello"),
    ("<|tool▁calls▁begin|>x<|tool▁calls▁end|>Hello", "Hello"),
    ("Hello<\uff5cbegin▁of▁sentence\uff5c>", "Hello"),
    ("[BOS]Hello.[EOS]", "Hello."),
    ("Hello.<pad><pad><pad>", "Hello."),
    ("<unk>Hello.<EOT>", "Hello."),
    ("Hello. [end of text]", "Hello. [end of text]"),
    ("Hello.[end of text]", "Hello."),
    ("Hello.[/ASSISTANT]", "Hello."),
]
KEPT = [
    "The closing tag is `</think>` and the text after it is the answer.",
    "XML with <reasoning>because</reasoning>, then the end.",
    "<answer><reasoning>because</reasoning></answer>",
    "Use the </think> tag to close it.",
    "The token <|eot|> ends a message.",
    "In F#: `x <|f|> y`, and a |> b <| c",
    "[|] or [||] or |a| <|>",
    "<bosun> is no tag.",
    "It ends with <</SYS>> and so on.",
    "The token <|im_end|> ends a message.",
    'The token "<|im_end|>" ends it.',
    "```\n<|im_end|>\n<think>x</think>\n```\nAnd so on.",
    "``<think>`` opens, ``</think>`` closes.",
    "<s>old</s> new price",
    "The template has [INST] and [/INST].",
    "It begins with <<SYS>> and so on.",
    "Was <s>5</s> now 4, a < b, [x] and <d>",
    "if a<b: print(`x`)",
    "Open with <tool_call> and a name.",
    "    indented",
    "My [EOS] R5 is a camera of Canon's [EOS] series",
    "A <pad> under the chair, an <unk> word",
    "Call <invoke> or <tooltip>x</tooltip>, see [end of page]",
    "A turn is written <turn|> there.",
]
OF_BOTH = [*CUT, *((text, text) for text in KEPT)]


@pytest.mark.parametrize(("text", "shown"), OF_BOTH, ids=[text[:30] for text, _ in OF_BOTH])
def test_markup_is_cut_and_prose_is_kept_wherever_the_stream_is_cut(text: str, shown: str) -> None:
    """Whole, character by character and in every two pieces the outcome is the same."""
    assert cleaned(text) == shown
    for cuts in ([*text], *([text[:at], text[at:]] for at in range(1, len(text)))):
        part = AnswerFilter()
        assert "".join(part.feed(piece)[0] for piece in cuts) + part.end() == shown


@pytest.mark.parametrize(
    "text", ["let me see\n</think>\n\n42", "I wonder</think>42", "hm </think> 42", "hm\n</thought>\n42"]
)
def test_an_orphan_close_ends_thoughts_in_a_stream_too(text: str) -> None:
    """What was delivered before is followed by the tag, so that the whole can still be cut."""
    assert cleaned(text) == "42"
    for cuts in ([*text], *([text[:at], text[at:]] for at in range(1, len(text)))):
        part = AnswerFilter()
        streamed = "".join(part.feed(piece)[0] for piece in cuts) + part.end()
        assert part.found_unopened
        assert cleaned(streamed) == "42"


def test_text_of_tool_calls_is_kept_for_a_caller_with_tools() -> None:
    """Such a client may read them itself."""
    text = '<tool_call>{"name":"x"}</tool_call>'
    part = AnswerFilter(tools=True)
    assert part.feed(text)[0] + part.end() == text


async def asked_by_a_channel(url: str, settings: object) -> str:
    async with open_http_client() as http:
        client = LlmClient(http, settings.model_copy(update={"llm_server_url": url}))  # type: ignore[attr-defined]
        messages = [{"role": "user", "content": "hi"}]
        return (await client.ask(messages, platform=Platform("sms"), user="u", name=None)).text


ANSWERS: list[tuple[str, Script, str]] = [
    ("an unclosed thought", streams(delta("<think>It is "), delta("noon"), delta(finish="stop"), DONE), "It is noon"),
    ("special tokens", completion("Hello", "<|im_", "end|>", "<|im_start|>user\nnext"), "Hello"),
    ("an orphan close", completion("let me see", "</thi", "nk>\n", "42"), "42"),
    ("a closing tag in code", completion("It is `</thi", "nk>` here"), "It is `</think>` here"),
    ("a direction override", completion("ab\u202ecd\u202d"), "abcd"),
    ("right to left", completion("\u200f\u05d0"), "\u200f\u05d0"),
]


@pytest.mark.parametrize(("what", "script", "text"), ANSWERS, ids=[row[0] for row in ANSWERS])
async def test_a_channel_gets_the_answer_alone(
    what: str, script: Script, text: str, upstream: Upstream, tmp_path: Path
) -> None:
    """Through the LLM server and its client, over sockets."""
    upstream.on(COMPLETIONS, script)
    settings = openai(tmp_path, upstream)
    async with running(settings) as server:
        assert await asked_by_a_channel(server.url, settings) == text


FISH = "I am a fish. "
LOOPS = [
    (FISH * 300, FISH),
    ("Intro. " + "la " * 2000, "Intro. la "),
    (("word " * 90 + "end. ") * 10, "word " * 90 + "end. "),
]
NO_LOOPS = ["-" * 79, "".join(f"Row {row}: value {row * row}. " for row in range(400)), "ha " * 30, "Refrain.\n" * 7]


@pytest.mark.parametrize(("text", "shown"), [*LOOPS, *((text, text) for text in NO_LOOPS)])
def test_a_loop_is_cut_to_its_first_copy(text: str, shown: str) -> None:
    """Of any length, and cut anywhere in a copy; what merely repeats a word is no loop."""
    for cut in (0, 1, 2):
        whole = text[: len(text) - cut]
        assert without_loop(whole).strip() == (shown if text != shown else whole).strip()


async def test_a_model_that_repeats_itself_without_end_is_stopped(upstream: Upstream, tmp_path: Path) -> None:
    """The connection to its server is closed long before any limit of length, and the person reads it once."""

    async def endless(call: Call) -> None:
        await call.begin("text/event-stream")
        while not call.gone.is_set():
            await call.send(delta(FISH))

    upstream.on(COMPLETIONS, endless)
    settings = openai(tmp_path, upstream)
    async with running(settings) as server:
        assert await asked_by_a_channel(server.url, settings) == FISH.strip()
        assert (await server.chat()).json()["done_reason"] == "length"


NOTHING: list[tuple[str, Script]] = [
    ("nothing that shows", completion("\u200b\u200b")),
    ("a tool call as text", completion('<tool_call>{"name":"x"}</tool_call>')),
    ("an unclosed thought at the limit", streams(delta("<think>It is"), delta(finish="length"), DONE)),
]


@pytest.mark.parametrize("script", [row[1] for row in NOTHING], ids=[row[0] for row in NOTHING])
async def test_what_shows_nothing_is_an_empty_answer(script: Script, upstream: Upstream, tmp_path: Path) -> None:
    """No invisible message is sent."""
    upstream.on(COMPLETIONS, script)
    async with running(openai(tmp_path, upstream, llm_attempts=1)) as server:
        assert (await server.chat()).json()["kind"] == "empty"


async def test_a_stream_and_a_document_have_the_same_text(upstream: Upstream, tmp_path: Path) -> None:
    """There is one truth for all callers."""
    upstream.on("/api/chat", streams(line("A <think>b</think>"), line(" c</s>"), line("d"), last_line()))
    async with running(ollama(tmp_path, upstream)) as server:
        document = (await server.chat()).json()["message"]["content"]
        rows = [json.loads(row) for row in (await server.chat(stream=True)).text.splitlines()]
    assert document == "".join(row["message"]["content"] for row in rows) == "A c"
