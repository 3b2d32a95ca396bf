"""The name in a text to many: what stands for it, and what looks like a placeholder and is none."""

from __future__ import annotations

import pytest

from relay.core.placeholders import has_name, unknown_placeholders, with_name


@pytest.mark.parametrize(
    ("text", "named", "nameless"),
    [
        ("Hello {name}, hi", "Hello Ann, hi", "Hello, hi"),
        ("Hello {name|there}!", "Hello Ann!", "Hello there!"),
        ("Hello { Name | dear guest }!", "Hello Ann!", "Hello dear guest!"),
        ("{NAME}: {name}", "Ann: Ann", ":"),
        ("Hello {name|}.", "Hello Ann.", "Hello."),
        ("{names} {{name}} x", "{names} {Ann} x", "{names} {} x"),
        ("name, {nam}, {name, {}", "name, {nam}, {name, {}", "name, {nam}, {name, {}"),
        ("{name\n}", "{name\n}", "{name\n}"),
    ],
)
def test_a_name_is_put_where_it_belongs(text: str, named: str, nameless: str) -> None:
    """In any case, with blanks; without a name the word instead, or nothing and no blank before it."""
    assert with_name(text, "Ann") == named
    assert with_name(text, None) == nameless
    assert has_name(text) == (named != text)


@pytest.mark.parametrize("name", ["{name}", "\\1 \\g<instead>", "{name|x}"])
def test_a_name_is_text_and_no_placeholder(name: str) -> None:
    """Whatever people call themselves."""
    assert with_name("Hi {name}", name) == f"Hi {name}"


def test_other_placeholders_are_named() -> None:
    """Once each; what is no placeholder is none."""
    text = "{first_name} {name} {first_name} {date|x} {} { \n } {name|there}"
    assert unknown_placeholders(text) == ["{first_name}", "{date|x}"]
