"""The audit itself: it must find every kind of mistake, or a clean campaign means nothing."""

from __future__ import annotations

from typing import Any

import pytest

from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from tests.chaos.chaos_audit import Findings, StoredRows, audit
from tests.chaos.chaos_questions import Kind, Question, answer_to, make_question, pieces_in
from tests.chaos.chaos_users import ChaosUser

WHO = ("sms", "+12025550101")


def asked(number: int, kind: Kind = Kind.SHORT) -> Question:
    question = make_question(1, SMS, 0, number, kind)
    question.external_id, question.first_at, question.settled_at = f"SM{number}", number * 10.0, number * 10.0 + 1
    return question


def bubble(number: int, text: str) -> dict[str, Any]:
    return {"text": text, "message_id": number}


def audited(
    questions: list[Question],
    received: list[str],
    *,
    history: str | None = None,
    stored: bool = True,
    resends: int = 0,
    state: str = "sent",
) -> Findings:
    """The findings about one user who sent the questions and received these texts after "Welcome!"."""
    texts = ["Welcome!", *received]
    platform = TELEGRAM if resends else SMS
    who = (platform, WHO[1])
    person = ChaosUser(0, platform, WHO[1], questions)
    row = {"platform": platform, "id": 1, "state": "done", "outcome": "answered", "error": None}
    asked_messages = [{"role": "user", "message": question.text} for question in questions]
    history = "".join(texts) if history is None else history
    planned = [answer_to(question.text) for question in questions[:1]]
    accepted = len(received) if state == "sent" else None  # the last copy is the one known to be accepted
    part = {
        "provider_id": accepted,
        "resends": resends,
        "state": state,
        "reply_id": "r",
        "error_code": "unknown",
        "error": "outcome unknown",
    }
    parts = [{**part, "text": text} for text in planned]
    rows = StoredRows(
        {(who[0], one.external_id): {**row, "external_id": one.external_id} for one in questions if stored},
        {who: parts},
        {who: [*asked_messages, {"role": "assistant", "message": history}]},
    )
    return audit([person], {f"{platform} {WHO[1]}": [bubble(number, text) for number, text in enumerate(texts)]}, rows)


def wrong(findings: Findings) -> set[str]:
    names = ("lost", "unanswered", "doubled", "out_of_order", "history", "dead")
    return {name for name in names if getattr(findings, name)}


def test_what_was_answered_once_and_in_order_is_clean() -> None:
    """Two questions, two answers."""
    one, two = asked(1), asked(2)
    findings = audited([one, two], [answer_to(one.text), answer_to(two.text)])
    assert findings.clean
    assert findings.answered == findings.acknowledged == 2


def test_several_questions_answered_as_one_are_clean() -> None:
    """The answer carries all markers, in their order."""
    one, two = asked(1), asked(2)
    assert audited([one, two], [answer_to(f"{one.text}\n{two.text}")]).clean


@pytest.mark.parametrize(("stored", "expected"), [(True, {"unanswered"}), (False, {"lost"})])
def test_a_question_without_an_answer_is_found(stored: bool, expected: set[str]) -> None:
    """Unanswered when the product has it, lost when it has not."""
    assert wrong(audited([asked(1)], [], stored=stored)) == expected


def test_a_question_that_was_not_acknowledged_needs_no_answer() -> None:
    """Its provider still has it."""
    question = asked(1)
    question.settled_at = None
    assert audited([question], [], stored=False).clean


def test_half_an_answer_is_unanswered() -> None:
    """Every piece has to come."""
    question = asked(1, Kind.LONG)
    half = answer_to(question.text)[:2000]
    assert 0 < len(pieces_in(half)) < 12
    assert wrong(audited([question], [half])) == {"unanswered"}


def test_an_answer_that_came_twice_is_found() -> None:
    """By text message no repetition is allowed."""
    question = asked(1)
    answer = answer_to(question.text)
    assert wrong(audited([question], [answer, answer], history=f"Welcome!{answer}")) == {"doubled", "history"}


def test_a_resend_on_telegram_that_the_database_knows_of_is_counted_apart() -> None:
    """Once is allowed after an unknown outcome; the history has it once."""
    question = asked(1)
    answer = answer_to(question.text)
    findings = audited([question], [answer, answer], history=f"Welcome!{answer}", resends=1)
    assert findings.clean
    assert len(findings.resent) == 1
    assert "doubled" in wrong(audited([question], [answer] * 3, history=f"Welcome!{answer}", resends=1))


def test_answers_in_the_wrong_order_are_found_when_the_questions_had_an_order() -> None:
    """Two that were under way at the same time had none."""
    one, two = asked(1), asked(2)
    answers = [answer_to(two.text), answer_to(one.text)]
    assert wrong(audited([one, two], answers)) == {"out_of_order"}
    one.settled_at = two.first_at + 1
    assert audited([one, two], answers).clean


def test_pieces_that_come_late_or_between_others_are_found() -> None:
    """One answer after the other, each from its beginning to its end."""
    long, other = asked(1, Kind.LONG), asked(2)
    first, *rest = answer_to(long.text).split("\n\n")
    assert wrong(audited([long, other], [first, answer_to(other.text), *rest])) == {"out_of_order"}
    assert wrong(audited([long], [*rest, first])) == {"out_of_order"}


@pytest.mark.parametrize("form", ["(1/3) {}", "{}\n\n(1/3)"])
def test_the_number_of_a_part_is_no_difference_to_the_history(form: str) -> None:
    """A text message begins with it, a Telegram message ends with it; anywhere else it is text."""
    question = asked(1)
    answer = answer_to(question.text)
    assert wrong(audited([question], [form.format(answer)], history=f"Welcome!{answer}")) == set()
    inside = f"{answer} (1/3) and more"
    assert wrong(audited([question], [inside], history=f"Welcome!{answer} and more")) == {"history"}


def test_a_history_that_differs_from_what_was_seen_is_found() -> None:
    """Both what was answered and what was asked."""
    question = asked(1)
    answer = answer_to(question.text)
    assert wrong(audited([question], [answer], history="Welcome!")) == {"history"}
    assert (
        audited([question], [f"(1/2) {answer[:9]}", f"(2/2) {answer[9:]}"], history=f"Welcome! {answer}").history == []
    )


def test_two_notices_that_read_alike_are_no_resend() -> None:
    """The product says the same words to many a late message; that one was sent again takes nothing from the other."""
    notice, question = "I cannot answer right now.", asked(1)
    person = ChaosUser(0, TELEGRAM, WHO[1], [question])
    part = {"reply_id": "r", "state": "sent", "error": None, "error_code": None, "text": notice}
    parts = [{**part, "provider_id": "2", "resends": 1}, {**part, "provider_id": "3", "resends": 0}]
    received = ["Welcome!", notice, notice, notice]
    row = {"platform": "telegram", "id": 1, "state": "done", "outcome": None, "error": None, "external_id": "SM1"}
    history = {"role": "assistant", "message": f"Welcome!{notice}{notice}"}
    rows = StoredRows({("telegram", "SM1"): row}, {("telegram", WHO[1]): parts}, {("telegram", WHO[1]): [history]})
    question.settled_at = None
    seen = {f"telegram {WHO[1]}": [bubble(number, text) for number, text in enumerate(received)]}
    findings = audit([person], seen, rows)
    assert findings.clean
    assert len(findings.resent) == 1


@pytest.mark.parametrize(("count", "expected"), [(3, set()), (2, {"unanswered"}), (0, {"unanswered"})])
def test_a_question_that_ended_with_unusable_answers_is_counted_apart(count: int, expected: set[str]) -> None:
    """Together with one that was merged with it; only after as many as the setting allows."""
    first, second = asked(1), asked(2)
    row = {"platform": "sms", "state": "done", "outcome": "unanswerable", "error": None, "unusable": count}
    rows = StoredRows(
        {
            ("sms", "SM1"): {**row, "id": 1, "external_id": "SM1", "reason": "unusable"},
            ("sms", "SM2"): {**row, "id": 2, "external_id": "SM2", "reason": "with 1", "unusable": 0},
        },
        {},
        {WHO: [{"role": "user", "message": f"{first.text}\n{second.text}"}, {"role": "assistant", "message": "No."}]},
    )
    findings = audit([ChaosUser(0, SMS, WHO[1], [first, second])], {"sms +12025550101": [bubble(1, "No.")]}, rows)
    assert wrong(findings) == expected
    assert len(findings.unusable) == (0 if expected else 2)


@pytest.mark.parametrize(("copies", "unseen"), [(0, 1), (1, 0), (2, 0)])
def test_a_part_on_telegram_that_was_given_up_is_counted_apart(copies: int, unseen: int) -> None:
    """Its outcome was unknown twice, and the operator sees it; three copies would be one too many."""
    question = asked(1)
    findings = audited([question], [answer_to(question.text)] * copies, history="Welcome!", resends=1, state="failed")
    assert findings.clean
    assert (len(findings.given_up), len(findings.unseen)) == (1, unseen)
