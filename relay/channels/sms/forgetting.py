"""Texts by which a person has the conversation forgotten, or the name too: a number may have a new owner."""

from __future__ import annotations

from enum import StrEnum

from relay.core.decisions import Decision
from relay.core.messages import UserState
from relay.core.text import folded
from relay.texts.sentences import localize


class Forgetting(StrEnum):
    """What is forgotten: the conversation, or also the name, as if the person had never written."""

    CONVERSATION = "conversation"
    PERSON = "person"


_CLEAR = """
clear|/clear|clear history|clear chat|clear conversation|clear our conversation|delete history|new conversation
|verlauf löschen|neues gespräch|borrar|borrar historial|effacer|effacer l'historique|apagar|apagar conversa|limpar
|очистить|новый разговор|очистити|нова розмова|清除|清空|امسح|امسح المحادثة|मिटाओ|मिटाएँ
"""
_FORGET = """
forget me|forget me please|please forget me|forget my name|delete me|delete my data|delete my name|delete all my data
|erase my data|wrong person|new owner|vergiss mich|loschen|losche meine daten|olvidame|borra mis datos|oublie moi
|oubliez moi|supprimez mes donnees|supprime mes donnees|dimenticami|cancella i miei dati|esquece me|me esquece
|apaga os meus dados|забудь меня|забудьте меня|забудь мене|забудьте мене|忘记我|忘掉我|انساني|मुझे भूल जाओ
"""
_WORDS = {
    **dict.fromkeys(map(folded, _CLEAR.split("|")), Forgetting.CONVERSATION),
    **dict.fromkeys(map(folded, _FORGET.split("|")), Forgetting.PERSON),
}


def forgetting(text: str) -> Forgetting | None:
    """What the whole text asks to forget; None for every other text, such as "forget it"."""
    return _WORDS.get(folded(text))


def forgotten(what: Forgetting, back: UserState | None, language: str, *, cleared: str) -> Decision:
    """The decision that forgets; cleared: the reply when the conversation alone is forgotten."""
    if what is Forgetting.CONVERSATION:
        return Decision(reply=cleared, state=back, clear_history=True)
    reply = localize("sms-forgotten", language)
    return Decision(reply=reply, state=UserState.NEW, clear_history=True, forget=True)
