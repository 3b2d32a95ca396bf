"""The values that travel: states move forward, and all text can be stored."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.messages import db_safe, db_safe_value
from relay.core.parts import OPEN_PART_STATES, PartState, advance

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=10,
)


@given(ANY_TEXT)
def test_all_text_becomes_storable(text: str) -> None:
    """What remains can be encoded, has no NUL, and does not change when it is cleaned once more."""
    clean = db_safe(text)
    assert clean.encode().decode() == clean
    assert "\x00" not in clean
    assert db_safe(clean) == clean


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00")))
def test_text_in_order_stays_as_it_is(text: str) -> None:
    """Any script, any emoji."""
    assert db_safe(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [("a\x00b", "ab"), ("\ud83c\udf88", "🎈"), ("\ud83c", "�"), ("x\udf88\x00y", "x�y"), ("\x00", "")],
)
def test_pairs_of_surrogates_are_joined_and_halves_replaced(text: str, clean: str) -> None:
    """Some JSON parsers hand over the two halves of an emoji one by one."""
    assert db_safe(text) == clean


@given(JSON_VALUES)
def test_values_are_cleaned_through_and_through(value: object) -> None:
    """Whatever is nested where, it can be written as UTF-8 JSON."""
    json.dumps(db_safe_value(value), ensure_ascii=False).encode()


STATES = st.sampled_from(PartState)


@given(st.lists(STATES))
def test_states_never_move_backwards(reports: list[PartState]) -> None:
    """Whatever is reported in whatever order: what is final stays, save that delivered may become read."""
    state = PartState.PLANNED
    final = {PartState.UNDELIVERED, PartState.FAILED, PartState.CANCELED, PartState.READ, PartState.DELIVERED}
    for reported in reports:
        after = advance(state, reported)
        assert after in {state, reported}
        if state in final:
            assert after in ({state, PartState.READ} if state is not PartState.READ else {state})
        if state not in OPEN_PART_STATES:
            assert after not in OPEN_PART_STATES
        state = after


def test_the_order_of_reports_does_not_matter_for_what_was_delivered() -> None:
    """Late, early, twice: a message that was delivered and read ends as read."""
    steps = (PartState.ACCEPTED, PartState.SENT, PartState.DELIVERED, PartState.READ, PartState.SENT)
    for order in itertools.permutations(steps):
        state = PartState.SENDING
        for reported in order:
            state = advance(state, reported)
        assert state is PartState.READ
