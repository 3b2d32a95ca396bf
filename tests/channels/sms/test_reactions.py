"""Reactions to our texts are recognised by their quotation, in any language, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from relay.channels.sms.reactions import is_reaction
from relay.core.messages import HistoryMessage

WELCOME = "Nice to meet you, Ann! Ask me anything. To change your name, text name= and the new one."
PROMPT = "Hi! This is an automated assistant. What is your name? Text me name= and your name, for example: name=John"
ANSWER = "Paris."
LONG = "The Colosseum was built in eighty years. " * 60 + "It stands in Rome and may be visited daily."
HISTORY = [
    HistoryMessage("user", "hello there my friend", 1.0),
    *(HistoryMessage("assistant", text, 2.0) for text in (PROMPT, WELCOME, ANSWER, LONG)),
]

REACTIONS = [
    "Liked “Nice to meet you ...”",
    "Loved “Paris.”",
    f"Loved “{WELCOME}”",
    f'Disliked "{WELCOME}"',
    "Laughed at “Nice to meet you, Ann!…”",
    "Emphasized “Nice to meet you, Ann!”",
    "Questioned “Hi! This is an automated assistant…”",
    "Reacted 👍 to “Nice to meet you, Ann! Ask me anything.”",
    "Removed a heart from “Nice to meet you, Ann! Ask me anything. To”",
    "Removed 😂 from “Nice to meet you, Ann…”",
    "\u200b👍\u200b to “\u200aNice to meet you, Ann! Ask me anything. To change your name\u200a”",
    f"❤️ “{WELCOME}”",
    "Liked “Nice to meet you, Ann! Ask me",
    "Liked “(2/3) It stands in Rome and may be visited daily.”",
    f"A aimé « {WELCOME} »",
    "A adoré «\u00a0Paris.\u00a0»",
    "Gefällt „Paris.“",
    f"Hat mit 👍 auf „{WELCOME}“ reagiert",
    "Le encantó “Nice to meet you, Ann!…”",
    f"Ha messo “Mi piace” a “{WELCOME}”",
    "Curtiu “Nice to meet you, Ann! Ask me…”",
    "Понравилось «Paris.»",
    "喜欢了“Paris.”",
    f"“{WELCOME}”を強調しました",
    f"Tykkäsi ”{WELCOME}”",
    f"Đã thích “{WELCOME}”",
    "Loved an image",
    "Reacted 😂 to a photo",
    "Removed a like from an image",
    "A aimé une image",
    "Le gustó una imagen",
    "Hat mit ❤️ auf ein Bild reagiert",
]

NO_REACTIONS = [
    "Loved “The Matrix”",
    "Liked “Nice weather today, is it not?”",
    f"Translate “{WELCOME}”",
    f"What does “{WELCOME}” mean?",
    f"Why “{WELCOME}”?",
    f"Übersetze „{WELCOME}“ bitte",
    f"Please repeat “{WELCOME}” in French",
    "Liked “hello there my friend”",
    "Define “Paris”",
    "So “Paris.”",
    WELCOME,
    f"“{WELCOME}”",
    "I loved an image",
    "Loved an image of a cat, can you find it?",
    "Liked it",
    "Loved your answer!",
    "to “Paris”, with love, which train do I take?",
    "",
    "“”",
    '"',
]


@pytest.mark.parametrize("text", REACTIONS)
def test_a_reaction_is_recognised_by_its_quotation(text: str) -> None:
    """Whatever the telephone and its language, also to one part of a long answer, and cut at its end."""
    assert is_reaction(text, HISTORY)


@pytest.mark.parametrize("text", NO_REACTIONS)
def test_a_person_who_quotes_is_answered(text: str) -> None:
    """Another quotation, a request about ours, their own words, or no quotation at all."""
    assert not is_reaction(text, HISTORY)


@pytest.mark.parametrize("text", [text for text in REACTIONS if "“" in text or "«" in text or "„" in text])
def test_without_our_text_there_is_no_reaction(text: str) -> None:
    """The wording alone proves nothing."""
    assert not is_reaction(text, HISTORY[:1])
