"""Text as telephones count it: cleaning, alphabet, segments, cutting; and Markdown told in plain words."""

from __future__ import annotations

import itertools

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from relay.channels.sms.plain_text import to_plain_text
from relay.channels.sms.segments import (
    GSM,
    GSM_BASIC,
    GSM_EXTENDED,
    segments,
    split,
)
from relay.channels.sms.spelling import affordable, clean_sms, in_gsm_letters
from relay.core.cutting import utf16_length
from relay.core.markdown_source import escape_markdown
from relay.core.text import is_blank, strip_controls
from tests.channels.sms.counted_texts import COUNT, counted

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=400)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a\x00b\x07c", "abc"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("tab\there", "tab\there"),
        ("half \ud83d character", "half \ufffd character"),
        ("\u202bעברית\u202c", "\u202bעברית\u202c"),  # noqa: RUF001 (such characters are what is tested)
    ],
)
def test_controls_and_half_characters_go_and_scripts_stay(raw: str, clean: str) -> None:
    """NUL, bells and lone surrogates are taken out; line breaks, tabs and direction marks are not harmed."""
    assert strip_controls(raw) == clean


def test_every_printable_character_stays() -> None:
    """Text of them alone is taken as it is; between two line breaks it is read character by character."""
    text = "".join(filter(str.isprintable, map(chr, range(0x110000))))
    assert strip_controls(text) == text
    assert strip_controls(f"\r{text}\r") == f"\n{text}\n"


@given(ANY_TEXT)
def test_whatever_comes_in_can_be_stored_and_sent(text: str) -> None:
    """Any text at all, once cleaned, is valid UTF-8 without NUL."""
    assert b"\x00" not in strip_controls(text).encode()


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u200d\ufeff", "\u00a0\u3000", "\ufe0f"])
def test_a_text_that_shows_nothing_is_blank(text: str) -> None:
    """Spaces and invisible characters of every kind count as nothing."""
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", "👍", ".", "\U0001fae9", "م"])
def test_a_text_that_shows_something_is_not_blank(text: str) -> None:
    """Emoji, also those newer than this Python, punctuation and every script count as something."""
    assert not is_blank(text)


@given(ANY_TEXT)
def test_tidying_twice_changes_nothing_more(text: str) -> None:
    """The clean_sms spelling of a text is final."""
    assert clean_sms(clean_sms(text)) == clean_sms(text)


@pytest.mark.parametrize(
    ("typographic", "plain"),
    [
        ("“It’s” – or ‘was’ — fine…", "\"It's\" - or 'was' - fine..."),  # noqa: RUF001 (such characters are what is tested)
        ("• one\n• two", "- one\n- two"),
        ("1½ cups, ¾ l, x² ≤ 4", "1 1/2 cups, 3/4 l, x^2 <= 4"),
        ("20°C, 68 °F", "20 C, 68 F"),
        ("a → b, Acme™", "a -> b, Acme(TM)"),
        ("O\u02bcBrien", "O'Brien"),
        ("H₂O, CO₂, 10⁻³ m, x⁴, 5 m²", "H2O, CO2, 10^-3 m, x^4, 5 m^2"),
        ("auf\u200clage \u200eleft\u202c", "auflage left"),
        ("Ｈｅｌｌｏ！ ‼ ∼5 ∕ 2 ∗ 3", "Hello! !! ~5 / 2 * 3"),  # noqa: RUF001 (likewise)
    ],
)
def test_typography_is_spelled_in_gsm_letters(typographic: str, plain: str) -> None:
    """What GSM-7 can say in other characters is said in them, so that the text costs less than half."""
    assert in_gsm_letters(typographic) == plain


@pytest.mark.parametrize("text", ["Он сказал: «да» — и ушёл…", "naïve – “yes”", "“你好”"])  # noqa: RUF001 (such characters are what is tested)
def test_a_text_that_needs_more_letters_keeps_its_typography(text: str) -> None:
    """Where the price is that of UCS-2 anyway, nothing is spelled worse."""
    assert in_gsm_letters(text) == text


def test_backticks_survive_because_they_mean_something_in_code() -> None:
    """A backtick is not in GSM-7, yet another quotation mark would change what the code does."""
    assert in_gsm_letters("run `ls`") == "run `ls`"


LINE = "This sentence has about sixty characters, so that it is long. "


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (f"Hi 👋 there! {LINE * 2}🎉", f"Hi there! {LINE * 2}".rstrip()),
        (f"🍎 Apples\n🍌 Pears\n{LINE}", f"Apples\nPears\n{LINE}".rstrip()),
        (f"- 🍎 Apples\n- Pears\n{LINE}", f"- Apples\n- Pears\n{LINE}".rstrip()),
        (f"1️⃣ First\n2️⃣ Second\n{LINE}", f"1. First\n2. Second\n{LINE}".rstrip()),
        (f"✅ Monday\n❌ Tuesday\n{LINE}", f"(yes) Monday\n(no) Tuesday\n{LINE}".rstrip()),
        (f"Today\n★ Soup\n ⭐ Fish\n{LINE}", f"Today\nSoup\n Fish\n{LINE}".rstrip()),
        (f"Hotel\n★★★ {LINE * 2}", f"Hotel\n*** {LINE * 2}".rstrip()),
        (f"★★★★☆ {LINE * 2}", f"4/5 {LINE * 2}".rstrip()),
        (f"👩‍👩‍👧‍👦 and 🇩🇪 {LINE * 2}", f"and {LINE * 2}".rstrip()),
        (f"Use `ls -l` here. {LINE}", f"Use 'ls -l' here. {LINE}".rstrip()),
        ("Fine 👍", "Fine 👍"),
        ("run `ls`", "run `ls`"),
        ("👍" * 80, "👍" * 80),
        (f"The emoji 🦄 is a unicorn. {LINE}", f"The emoji 🦄 is a unicorn. {LINE}"),
        (f"日本語 👍 {LINE[:40]}", f"日本語 👍 {LINE[:40]}"),
    ],
)  # fmt: skip
def test_emoji_and_backticks_go_where_that_saves_a_segment(text: str, plain: str) -> None:
    """A short text keeps them, as does one that is about emoji or is nothing else."""
    assert affordable(text) == plain


def test_accents_go_only_where_that_is_allowed_and_saves_a_segment() -> None:
    """á is not in GSM-7, but é is; the words are spelled otherwise, so it takes a setting."""
    text = f"Está aquí, mañana también. Łódź é {LINE}"
    assert affordable(text) == text
    assert affordable(text, fold_accents=True).startswith("Esta aqui, mañana también. Lodz é This")
    assert affordable("Está aquí", fold_accents=True) == "Está aquí"


def test_a_setting_keeps_emoji() -> None:
    """Whatever they cost."""
    assert affordable(f"Hi 👋 there! {LINE * 2}", keep_emoji=True) == f"Hi 👋 there! {LINE * 2}"


@given(ANY_TEXT)
def test_no_spelling_costs_more(text: str) -> None:
    """And none is empty that was not."""
    text = clean_sms(text)
    spelled = affordable(text, fold_accents=True)
    assert segments(spelled) <= segments(in_gsm_letters(text))
    assert is_blank(spelled) <= is_blank(in_gsm_letters(text))


# -- segments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("ж" * 134, 2),
        ("ж" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 66, 2),
        ("😀" * 67, 3),
        ("a" * 152 + "😀", 3),
        ("`" + "a" * 70, 2),
    ],
)
def test_segments_of_known_texts(text: str, count: int) -> None:
    """The counts that 3GPP's alphabet and Twilio's calculator give."""
    assert segments(text) == count


def _billed(text: str) -> int:
    """An independent count: fill real segments, unit by unit, and look at what they hold."""
    if set(text) <= GSM_BASIC | GSM_EXTENDED:
        tokens = [b"\x1b?" if char in GSM_EXTENDED else b"?" for char in text]
        single, many = 160, 153
    else:
        tokens = [char.encode("utf-16-be", "surrogatepass") for char in text]
        single, many = 140, 134
    if len(b"".join(tokens)) <= single:
        return 1
    filled = [b""]
    for token in tokens:
        if len(filled[-1] + token) > many:
            filled.append(b"")
        filled[-1] += token
    return len(filled)


@given(st.one_of(st.text(max_size=700), st.text(alphabet=sorted(GSM_BASIC | GSM_EXTENDED), max_size=700)))
def test_segments_agree_with_an_independent_count(text: str) -> None:
    """Whatever the text, the count is that of segments actually filled."""
    assert segments(text) == _billed(text)


# -- cutting -----------------------------------------------------------------------------------------------------------


def test_a_short_text_is_one_piece_without_a_number() -> None:
    """Nothing is added to what fits."""
    [piece] = split("Hello", 20)
    assert (piece.text, piece.history_text) == ("Hello", "Hello")
    [piece] = split("Hello".ljust(30), 20)
    assert (piece.text, piece.history_text) == ("Hello", "Hello".ljust(30))


def test_a_long_text_is_numbered_and_the_numbers_count_within_the_limit() -> None:
    """Each part says which it is of how many, and is not longer for it."""
    pieces = split("word " * 100, 100)
    assert [piece.text[:6] for piece in pieces] == [f"({n}/{len(pieces)}) " for n in range(1, len(pieces) + 1)]
    assert all(len(piece.text) <= 100 for piece in pieces)


@given(st.text(min_size=1, max_size=2000), st.integers(60, 300))
def test_the_pieces_joined_are_the_whole_text(text: str, limit: int) -> None:
    """Nothing is lost or doubled between two parts, and no part is over the limit."""
    text = clean_sms(text) or "x"
    pieces = split(text, limit)
    assert "".join(piece.history_text for piece in pieces) == text
    assert all(utf16_length(piece.text) <= limit for piece in pieces)


@given(st.lists(st.sampled_from(["👨‍👩‍👧", "🇩🇪", "e\u0301", "한", "नि", "x", "👍🏽", "字"]), min_size=60, max_size=300))
def test_no_grapheme_is_cut(graphemes: list[str]) -> None:
    """Families, flags, accents and syllables stay whole, although there is no space to cut at."""
    text = "".join(graphemes)
    ends = set(itertools.accumulate(len(one) for one in regex.findall(r"\X", text)))
    cuts = list(itertools.accumulate(len(piece.history_text) for piece in split(text, 60)))
    assert ends >= set(cuts)


@given(st.integers(1, 90), st.sampled_from([" ", "字"]))
def test_a_web_address_is_not_cut(before: int, joint: str) -> None:
    """An address that fits into a part is in one part, wherever it stands."""
    url = "https://example.com/a/rather/long/path?with=a&query=too"
    pieces = split("x" * before + joint + url + " and more " * 8, 100)
    assert any(url in piece.text for piece in pieces)


@pytest.mark.parametrize("text", ["https://example.com/" + "a" * 300, "z\u0301" + "\u0301" * 300, "x" * 500])
def test_what_is_longer_than_a_part_is_cut_all_the_same(text: str) -> None:
    """One endless address, one endless letter: cut hard instead of looping or losing."""
    pieces = split(text, 100)
    assert "".join(piece.history_text for piece in pieces) == text


def test_a_paragraph_is_preferred_to_a_line_and_a_sentence_to_a_word() -> None:
    """The cut falls where a reader would take breath."""
    text = "First one. " * 7 + "\n\n" + "Second one. " * 7
    first, *_ = split(text, 100)
    assert first.history_text.endswith("\n\n")
    first, *_ = split("One two three. " * 20, 100)
    assert first.text.endswith("three.")


def test_indentation_of_code_survives_a_cut() -> None:
    """The next part begins with the spaces its first line of code has."""
    _, second, *_ = split("\n".join(["def f():"] + ["    return 1 + 1"] * 12), 100)
    assert second.text.split(") ", 1)[1].startswith("    return")


@pytest.mark.parametrize(
    ("length", "count"),
    [
        (20, 1),
        (21, 2),
        (2 * 14, 2),  # "(1/2) " takes six characters
        (9 * 14, 9),
        (9 * 14 + 1, 11),  # "(10/11) " takes eight
        (20 * 12, 20),
    ],
)
def test_a_text_without_a_pause_takes_as_few_parts_as_there_can_be(length: int, count: int) -> None:
    """Each is full, with a number no wider than their count needs."""
    pieces = split("x" * length, 20)
    assert len(pieces) == count
    assert max(len(piece.text) for piece in pieces) <= 20
    assert len({len(piece.history_text) for piece in pieces[:-1]}) <= 1


def test_more_than_nine_parts_leave_room_for_wider_numbers() -> None:
    """(10/12) is two characters wider than (1/9), and still fits."""
    pieces = split("word " * 200, 90)
    assert len(pieces) > 9
    assert max(len(piece.text) for piece in pieces) <= 90


# -- Markdown ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("# Title\n\nSome **bold**, *slanted* and `code`.", "Title\nSome bold, slanted and code."),
        ("Intro.\n\n## One\n\nText.\n\n## Two\n\n- a", "Intro.\n\nOne\nText.\n\nTwo\n- a"),
        ("- one\n- two\n  - deeper\n- three", "- one\n- two\n  - deeper\n- three"),
        ("3. three\n4. four", "3. three\n4. four"),
        ("- [x] done\n- [ ] open", "- [x] done\n- [ ] open"),
        ("Before:\n- one\n- two\n\nAfter.", "Before:\n\n- one\n- two\n\nAfter."),
        ("[Docs](https://e.org/a_b)", "Docs (https://e.org/a_b)"),
        ("<https://e.org>", "https://e.org"),
        ("[e.org](https://www.e.org/)", "https://www.e.org/"),
        ("[write](mailto:a@e.org)", "write (a@e.org)"),
        ("[here](#top) [x](javascript:alert(1))", "here x"),
        ("![a cat](https://e.org/c.png)", "a cat (https://e.org/c.png)"),
        ("```python\nif x:\n    y()\n```", "if x:\n    y()"),
        ("> wise\n> words", "> wise\n> words"),
        ("a<br>b <div>", "a\nb <div>"),
        ("one\ntwo", "one\ntwo"),
        ("2*3*4 snake_case_name C:\\new a < b && c", "2*3*4 snake_case_name C:\\new a < b && c"),
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ("https://docs.python.org/3/library/__future__.html", "https://docs.python.org/3/library/__future__.html"),
        (
            "See https://example.com/_next_/a.js?d=*e*&x=~~y~~ now",
            "See https://example.com/_next_/a.js?d=*e*&x=~~y~~ now",
        ),
        ("www.example.com/*a*/b (https://e.org/x_(y)_z)", "www.example.com/*a*/b (https://e.org/x_(y)_z)"),
        (
            "docs.python.org/3/library/__future__.html and example.com/_next_/a.js",
            "docs.python.org/3/library/__future__.html and example.com/_next_/a.js",
        ),
        ("Define __init__ or __my_hook__ in _config_.yml", "Define __init__ or __my_hook__ in _config_.yml"),
        ("write to _info_@shop.example or a._b_@e.org", "write to _info_@shop.example or a._b_@e.org"),
        (
            "C:\\Users\\ann\\_tmp_\\x and C:\\Program Files\\_x_\\y, D:\\_z_",
            "C:\\Users\\ann\\_tmp_\\x and C:\\Program Files\\_x_\\y, D:\\_z_",
        ),
        ("\\\\server\\_share_\\x and %TEMP%\\_a_", "\\\\server\\_share_\\x and %TEMP%\\_a_"),
        ("__Important:__ _soon_ **bold** snake\\_case and/or _not_", "Important: soon bold snake_case and/or not"),
        ("[docs](https://e.org/_a_) <https://e.org/_b_>", "docs (https://e.org/_a_) https://e.org/_b_"),
        ('see <a href="https://e.org/x">here</a> and <b>there</b>', "see here (https://e.org/x) and there"),
        ("a\n\n---\n\nb", "a\n\nb"),
        ("| Day | Hours |\n|---|---|\n| Mon | 9-5 |\n| Sun | |", "Day: Hours\nMon: 9-5\nSun"),
        (
            "| Plan | Price | Users |\n|---|---|---|\n| Basic | 5 | 1 |\n| Pro | 9 | |",
            "Basic - Price: 5, Users: 1\nPro - Price: 9",
        ),
        ("", ""),
    ],
)
def test_markdown_becomes_text_that_reads_well(markdown: str, plain: str) -> None:
    """Marks go, meaning stays: addresses, lists, tables, code."""
    assert to_plain_text(markdown) == plain


@given(st.text(max_size=300))
def test_any_markdown_is_told_without_an_error(markdown: str) -> None:
    """A model may write anything at all."""
    assert isinstance(to_plain_text(markdown), str)


@given(st.text(alphabet=st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=50))
def test_an_escaped_name_reads_as_itself(name: str) -> None:
    """A name that looks like Markdown is shown as the person wrote it."""
    assert to_plain_text(f"Hi {escape_markdown(name)}!") == f"Hi {name}!"


@pytest.mark.parametrize("markdown", ["> " * 20_000 + "x", "- " * 20_000 + "x", "*" * 40_000, "[a](" * 10_000])
def test_nonsense_that_nests_without_end_is_survived(markdown: str) -> None:
    """Depth costs neither a crash nor minutes."""
    assert len(to_plain_text(markdown)) <= len(markdown)


def _has_clusters(text: str) -> bool:
    """Whether one visible character has several code points."""
    return any(len(cluster) > 1 for cluster in regex.findall(r"\X", text))


def test_segments_are_counted_as_twilio_counts_them() -> None:
    """In 5,000 texts around every border; its calculator alone keeps the code points of one character together."""
    rows = counted()
    assert len(rows) == COUNT
    differing = [
        (text, count) for text, count, is_gsm in rows if segments(text) != count or GSM.issuperset(text) != is_gsm
    ]
    assert [text for text, _ in differing if not _has_clusters(text)] == []
    assert all(0 <= count - segments(text) <= 1 for text, count in differing)
    assert 0 < len(differing) < 100


def test_a_part_is_planned_with_the_segments_that_it_is_billed() -> None:
    """The splitter counts as the calculator does, so the budget of an answer is that of the bill."""
    for text, count, _ in counted():
        (part,) = split(text, 1600)
        assert part.segments == count or _has_clusters(text)
