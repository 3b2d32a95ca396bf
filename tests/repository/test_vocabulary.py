"""Names and sentences: one class name for one thing, and the standard terms of the field."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.repository.test_imports import ROOT, module_name, modules, nodes, parsed, source_files

NAMED_LIKE_A_PACKAGE = {"relay.channels.telegram": "a channel's folder is named like its platform, and so is a library"}
"""Modules that are named like an installed package, and why."""

BANNED = re.compile(
    r"\b(whoever|whomever|nobody|somebody|houses?|desk|door|lanes?|storehouse|town|(a|the|this|all|their|other) rooms?|"
    r"what is looked at|intakes?|tellers?|bur(y|ies|ied)|insists?|fates?)\b",
    re.IGNORECASE,
)
"""Private metaphors, and persons where a program is meant; docs/GLOSSARY.md has the terms to use instead."""

REPLACED = frozenset(
    {"intake", "teller", "bury", "buried", "insist", "singly", "desk", "house", "lane", "lanes", "storehouse", "ledger"}
    | {"station", "surroundings", "blot", "tidy", "unsettled", "hear", "heard", "tally"}
)
"""Parts of names that were private words; docs/GLOSSARY.md and the neighbours of a name have its standard term."""
METAPHORS = REPLACED | frozenset(
    {"houses", "room", "rooms", "door", "town", "crowd", "stranger", "strangers", "somebody", "nobody", "everybody"}
    | {"moody", "mischief", "fate", "dice", "books", "life", "lives", "hours", "heart", "trap", "turn", "turns"}
    | {"figures", "dialect"}
)
"""Words that no class and no module is called by, in the tests either."""


def test_no_class_name_stands_twice_in_the_product() -> None:
    """A search for a name finds one class."""
    homes: dict[str, set[str]] = defaultdict(set)
    for module, tree in modules().items():
        for node in nodes(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].add(module)
    assert {name: sorted(found) for name, found in homes.items() if len(found) > 1} == {}


def test_no_module_is_named_like_an_installed_package() -> None:
    """Otherwise one name in an import would be two things."""
    installed = set(packages_distributions())
    shadowing = {name for name in modules() if "." in name and name.rpartition(".")[2] in installed}
    assert shadowing == set(NAMED_LIKE_A_PACKAGE)


def _defined_names(tree: ast.Module) -> Iterator[str]:
    for node in nodes(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def test_the_words_of_a_name_are_found() -> None:
    """In every spelling that Python's names have."""
    assert _words("_take_INTAKE2HTTPDesk") == {"take", "intake", "http", "desk"}


def test_no_name_is_a_word_that_was_replaced() -> None:
    """Classes, functions, parameters, variables and attributes."""
    names = {(module, name) for module, tree in modules().items() for name in _defined_names(tree)}
    assert {(module, name) for module, name in names if _words(name) & REPLACED} == set()


def test_no_class_and_no_module_is_named_by_a_metaphor() -> None:
    """The names of the tests are searched for as much as those of the product."""
    found = set()
    for path in (*source_files(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")):
        names = [path.stem, *(node.name for node in nodes(parsed(path)) if isinstance(node, ast.ClassDef))]
        found |= {f"{path.relative_to(ROOT)}: {name}" for name in names if _words(name) & METAPHORS}
    assert found == set()


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """Comments and docstrings of a module, those of constants and fields included, with their line numbers."""
    source = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in nodes(parsed(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


@pytest.mark.parametrize("path", source_files(), ids=module_name)
def test_docstrings_and_comments_use_the_terms_of_the_field(path: Path) -> None:
    """No private metaphor, and no person where a program is meant."""
    banned = {f"{line}: {match[0]}" for line, text in sentences(path) for match in BANNED.finditer(text)}
    assert banned == set()


def test_the_glossary_names_only_classes_that_exist() -> None:
    """A renamed class takes its line along."""
    text = (ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8")
    named = {word for word in re.findall(r"`([^`]+)`", text) if re.fullmatch(r"[A-Z][A-Za-z]+", word)}
    classes = {node.name for tree in modules().values() for node in nodes(tree) if isinstance(node, ast.ClassDef)}
    assert named
    assert named - classes == set()
