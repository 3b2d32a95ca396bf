from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.names import NameRefused, name_or_none, valid_name


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("Alice", "Alice"),
        ("  Alice \n", "Alice"),
        ("Jos\u0065\u0301", "Jos\u00e9"),
        ("\u738b\u5c0f\u660e", "\u738b\u5c0f\u660e"),
        ("\u0645\u062d\u0645\u062f", "\u0645\u062d\u0645\u062f"),
        ("\u0646\u06cc\u200c\u0646\u0627", "\u0646\u06cc\u200c\u0646\u0627"),
        ("O'Brien-Smith Jr.", "O'Brien-Smith Jr."),
        ("\U0001f98a", "\U0001f98a"),
        ("x" * 50, "x" * 50),
        ("\U0001f98a" * 50, "\U0001f98a" * 50),
        ("Stopford", "Stopford"),
    ],
)
def test_a_name_of_any_script_is_kept_trimmed_and_composed(given_name: str, kept: str) -> None:
    """Scripts, joiners within words, emoji, exactly fifty characters."""
    assert valid_name(given_name, 50, reserved={"stop"}) == kept


@pytest.mark.parametrize(
    ("given_name", "sentence"),
    [
        ("", "at least one letter"),
        ("   ", "at least one letter"),
        ("\u200b\u200d", "at least one letter"),
        ("\u3164", "at least one letter"),
        ("...", "at least one letter"),
        ("x" * 51, "too long"),
        ("Al\nice", "one line"),
        ("Al\tice", "one line"),
        ("Al\x00ice", "one line"),
        ("Al\u2028ice", "one line"),
        ("Al\ud800ice", "one line"),
        ("Ada\u202egnp.exe", "one line"),
        ("\ufffd\ufffd", "arrived damaged"),
        ("Al\ufffdce", "arrived damaged"),
        ("STOP", "special meaning"),
        (" stop. ", "special meaning"),
        ("'Help!'", "special meaning"),
    ],
)
def test_a_name_that_cannot_be_kept_is_refused_with_a_sentence(given_name: str, sentence: str) -> None:
    """Nothing to see, too long, control characters, words that are taken."""
    with pytest.raises(NameRefused, match=sentence):
        valid_name(given_name, 50, reserved={"stop", "help"})


@pytest.mark.parametrize(
    ("reported", "name"),
    [
        ("Ada", "Ada"),
        (None, None),
        ("\u200b", None),
        ("A\x00d\u202e\ufffda", "Ada"),
        ("x" * 80, "x" * 50),
        ("a" * 49 + " b", "a" * 49),
    ],
)
def test_a_name_that_a_provider_reports_is_made_to_fit(reported: str | None, name: str | None) -> None:
    """Cut and cleaned instead of refused."""
    assert name_or_none(reported, 50) == name


@given(st.text(max_size=80))
def test_whatever_is_accepted_stays_the_same_when_asked_again(text: str) -> None:
    """The rule is stable, and what it lets pass obeys it."""
    try:
        name = valid_name(text, 50)
    except NameRefused:
        return
    assert valid_name(name, 50) == name
    assert 1 <= len(name) <= 50
    assert name == name.strip()
