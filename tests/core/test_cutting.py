"""Where a long text is cut: at the pause that a reader would choose, within the limit, and never inside a character."""

from __future__ import annotations

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from relay.core.cutting import best_cut, reach, utf16_length, utf16_offsets

PIECES = st.sampled_from(
    [
        "word",
        " ",
        "\n",
        "\n\n",
        "\n    ",
        ". ",
        "3. ",
        "。",
        "e\u0301",
        "👨‍👩‍👧",
        "🇩🇪",
        "https://a.example/b?c=d",
        "x" * 30,
    ]
)
TEXTS = st.lists(PIECES, min_size=1, max_size=80).map("".join)


@given(TEXTS, st.integers(0, 300), st.integers(1, 100))
@example("🇩🇪" * 30, 2, 7)
def test_a_part_has_content_keeps_its_limit_and_cuts_no_grapheme(text: str, start: int, limit: int) -> None:
    """All that lies beyond the limit is white space, and the end lies between two graphemes unless one is too long."""
    graphemes = regex.findall(r"\X", text)
    borders = {len("".join(graphemes[:count])) for count in range(len(graphemes) + 1)}
    start = max(border for border in borders if border <= min(start, len(text) - 1))
    furthest = reach(utf16_offsets(text), start, limit)
    if furthest >= len(text):
        return
    end = best_cut(text, start, furthest)
    assert start < end
    assert not text[furthest:end].strip()
    assert end in borders or end - start < max(map(len, graphemes))


@pytest.mark.parametrize(("text", "units"), [("", 0), ("a\uffff", 2), ("a😀b", 4), ("\ud83d", 1)])
def test_a_length_is_that_of_the_providers(text: str, units: int) -> None:
    """UTF-16: a character beyond U+FFFF counts two."""
    assert utf16_length(text) == units
    assert utf16_offsets(text)[-1] == units


@given(st.text(alphabet="ab😀é\u0301", min_size=1), st.integers(0, 50), st.integers(1, 30))
def test_the_reach_is_the_longest_part_within_the_limit(text: str, start: int, limit: int) -> None:
    """At least one character; else not longer than the limit, and one character more would be."""
    start = min(start, len(text) - 1)
    end = reach(utf16_offsets(text), start, limit)
    assert end == start + 1 or utf16_length(text[start:end]) <= limit
    assert end == len(text) or utf16_length(text[start : end + 1]) > limit


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("One two.\n\nThree.\nFour. Five six", "One two.\n\n"),
        ("One two. Five\nThree. Four five", "One two. Five\n"),
        ("One two. Three four five six", "One two. "),
        ("One two three four", "One two three "),
        ("def f(x):\n\n    return 1 + x", "def f(x):\n\n"),
        ("Rule 3. applies here", "Rule 3. "),
        ("abcdefghijklmnopqrst", "abcdefghijklm"),
        ("aaaaaaaaa字www.example.com", "aaaaaaaaa字"),
        ("www.example.com/and/more", "www.example.c"),
    ],
)
def test_the_best_pause_wins(text: str, part: str) -> None:
    """Paragraph, line, sentence, word, then hard, but before a web address; white space belongs to the part before."""
    assert text[: best_cut(text, 0, 13)] == part


def test_what_is_to_stay_whole_is_cut_only_where_the_part_begins_with_it() -> None:
    """The pause inside the range is not taken; a range longer than the part is no reason to stop."""
    text = "aaaa (bb bb bb bb bb) cc"
    assert best_cut(text, 0, 15) == len("aaaa (bb bb bb ")
    assert best_cut(text, 0, 15, [(5, 21)]) == len("aaaa ")
    assert best_cut(text, 5, 15, [(5, 21)]) == 15
    assert best_cut("aaaa (bb bb) cc dd", 0, 14, [(5, 12)]) == len("aaaa (bb bb) ")


@pytest.mark.parametrize(
    ("unbroken", "end"),
    [
        ((15, 22), 15),
        ((12, 22), 12),  # as long as a part
        ((12, 40), 20),  # longer, and it would leave less than three tenths of the part
        ((13, 40), 13),
        ((3, 8), 20),  # before the part
        ((15, 20), 20),  # within it
    ],
)
def test_a_part_without_a_pause_ends_before_what_is_to_stay_whole(unbroken: tuple[int, int], end: int) -> None:
    """Unless no part can hold that, and what is left of this one were a few characters."""
    assert best_cut("a" * 50, 10, 20, [unbroken]) == end
