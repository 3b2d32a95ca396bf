"""Texts by which a person has the conversation forgotten, or the name too: a number may have a new owner."""

from __future__ import annotations

from enum import StrEnum

from relay.channels.sms.keywords import folded


class Forgetting(StrEnum):
    """What is forgotten: the conversation, or also the name, as if the person had never written."""

    CONVERSATION = "conversation"
    PERSON = "person"


_CLEAR = (
    "clear|/clear|clear history|clear chat|clear conversation|clear our conversation|delete history|new conversation"
)
_FORGET = """
forget me|forget me please|please forget me|forget my name|delete me|delete my data|delete my name|delete all my data
|erase my data|wrong person|new owner|vergiss mich|loschen|losche meine daten|olvidame|borra mis datos|oublie moi
|supprime mes donnees|dimenticami|cancella i miei dati|esquece me|apaga os meus dados
"""
_WORDS = {
    **dict.fromkeys(map(folded, _CLEAR.split("|")), Forgetting.CONVERSATION),
    **dict.fromkeys(map(folded, _FORGET.split("|")), Forgetting.PERSON),
}


def forgetting(text: str) -> Forgetting | None:
    """What the whole text asks to forget; None for every other text, such as "forget it"."""
    return _WORDS.get(folded(text))
