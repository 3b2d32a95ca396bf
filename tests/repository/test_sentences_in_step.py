"""The sentences to people are those that the code asks for, with the variables that it gives."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from relay.texts import ENGLISH
from tests.repository.test_imports import modules
from tests.texts.test_sentences import LETTERS, references


def calls_of_localize() -> Iterator[ast.Call]:
    for tree in modules().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "localize":
                yield node


def test_every_key_is_used_and_every_used_key_exists() -> None:
    """Keys may also stand in tables; a sentence may refer to another one."""
    written = {
        node.value
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    referred = {key for one in references(ENGLISH).values() for key in one.messages}
    assert references(ENGLISH).keys() - written - referred == set()
    asked = {call.args[0].value for call in calls_of_localize() if isinstance(call.args[0], ast.Constant)}
    assert asked - references(ENGLISH).keys() == {LETTERS}
    assert len(asked) > 40


def test_every_call_gives_the_variables_of_its_sentence() -> None:
    """Neither fewer nor more; read from the code, because some sentences are rare."""
    wrong = {}
    for call in calls_of_localize():
        if isinstance(call.args[0], ast.Constant) and call.args[0].value != LETTERS:
            key, given = str(call.args[0].value), {keyword.arg for keyword in call.keywords}
            if given != references(ENGLISH)[key].variables:
                wrong[key] = given
    assert wrong == {}
