"""Compares the messages of the users with the answers they got and with the database. Pure: all of it is passed in.

The simulator's transcripts show the answers. The database adds what users cannot see: the resends of parts whose
outcome was unknown, and the history.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, create_engine, select

from relay.channels.telegram.spec import TELEGRAM
from relay.config.settings import Settings
from relay.core.errors import ModelFailure
from relay.core.messages import Platform
from relay.storage.schema import conversations, inbound, outbound
from tests.chaos.chaos_fairness import MAX_ROUNDS, ModelLog, Served, waits
from tests.chaos.chaos_questions import Piece, Question, markers_in, pieces_in, user_of
from tests.chaos.chaos_users import ChaosUser

Row = dict[str, Any]
Bubble = dict[str, Any]
_MAX_UNUSABLE: int = Settings.model_fields["max_unusable_answers"].default
_NUMBER = re.compile(r"^\(\d+/\d+\) |\n\n\(\d+/\d+\)$")
"""The number of a part, before a text message and after a Telegram message; the history has none."""


@dataclass(slots=True)
class Findings:
    """Each list names ids and what is wrong; the first five, `dead` and `unfair` must be empty.

    resent: Telegram messages that came twice after an unknown outcome. given_up: questions whose answer has a Telegram
    part that failed, with the reason for the operator, because its outcome was unknown twice; unseen: those of them
    whose answer the user did not get whole. unusable: questions that were refused after as many unusable answers as the
    setting allows, with a sentence to the user. unfair: waits of more than MAX_ROUNDS; most_rounds: the longest of all.
    """

    lost: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    resent: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    unfair: list[str] = field(default_factory=list)
    waits: int = 0
    most_rounds: int = 0
    acknowledged: int = 0
    answered: int = 0
    notices: int = 0

    @property
    def clean(self) -> bool:
        wrong = (self.lost, self.unanswered, self.doubled, self.out_of_order, self.history, self.dead, self.unfair)
        return not any(wrong)


@dataclass(slots=True)
class StoredRows:
    """The rows of one database; those of parts and history by user."""

    inbound: dict[tuple[str, str], Row]
    outbound: dict[tuple[str, str], list[Row]]
    history: dict[tuple[str, str], list[Row]]

    def row_of(self, platform: Platform, external_id: str) -> Row | None:
        """The inbound row with this provider's id; Telegram's are stored with the bot's id before them."""
        return self.inbound.get((platform, external_id))

    def head_of(self, row: Row) -> Row:
        """The row of the question with which this one was merged; the row itself when it was not."""
        merged = re.fullmatch(r"with (\d+)", row.get("reason") or "")
        return next(one for one in self.inbound.values() if one["id"] == int(merged[1])) if merged else row

    def as_json(self) -> dict[str, list[Row]]:
        """All rows by their table: a PostgreSQL of a campaign ends with it."""
        by_user = {"outbound": self.outbound, "conversations": self.history}
        return {
            "inbound": [*self.inbound.values()],
            **{name: [*chain.from_iterable(rows.values())] for name, rows in by_user.items()},
        }


def read_rows(database_url: str) -> StoredRows:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        rows = _rows(connection, inbound)
        stored = StoredRows({(row["platform"], row["external_id"].rpartition(":")[2]): row for row in rows}, {}, {})
        stored.outbound = _by_person(_rows(connection, outbound))
        stored.history = _by_person(_rows(connection, conversations))
    engine.dispose()
    return stored


def _rows(connection: Connection, table: Table) -> list[Row]:
    return [dict(row) for row in connection.execute(select(table).order_by(table.c.id)).mappings()]


def _by_person(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[row["platform"], row["user_id"]].append(row)
    return found


def audit(people: Sequence[ChaosUser], seen: dict[str, list[Bubble]], stored: StoredRows) -> Findings:
    """`seen` holds the bubbles that each person got, in order, by platform and address ("sms +1202...")."""
    findings = Findings()
    for person in people:
        bubbles = seen[key_of(person)]
        _UserAudit(person, stored, findings).check(bubbles)
    findings.dead += [
        f"{row['platform']} {row['external_id']}: {row['outcome']}: {row['error']}"
        for row in stored.inbound.values()
        if row["state"] == "dead"
    ]
    return findings


def audit_fairness(
    people: Sequence[ChaosUser], seen: dict[str, list[Bubble]], stored: StoredRows, log: ModelLog, findings: Findings
) -> None:
    """Add to the findings what users waited for each other; the bubbles' times are those of the model's log."""
    settled = {one.marker: one.settled_at for person in people for one in person.questions if one.settled_at}
    bubbles = [bubble for person in people for bubble in seen[key_of(person)]]
    parts = [(bubble["at"], marker) for bubble in bubbles for marker in markers_in(bubble["text"])]
    first_part = {marker: moment for moment, marker in sorted(parts, reverse=True)}
    arrived = {Served(moment, user_of(marker)) for moment, marker in parts}
    found = waits(log, settled, list(arrived), first_part, _failed(people, stored))
    findings.waits = len(found)
    findings.most_rounds = max((one.rounds for one in found), default=0)
    findings.unfair += [str(one) for one in found if one.rounds > MAX_ROUNDS]


def _failed(people: Sequence[ChaosUser], stored: StoredRows) -> set[str]:
    """The markers of all questions and answers that had to be tried again."""
    parts = [part for rows in stored.outbound.values() for part in rows if part["attempts"] > 1 or part["resends"]]
    failed = {marker for part in parts for marker in markers_in(str(part["text"]))}
    for person in people:
        for question in person.questions:
            row = stored.row_of(person.platform, question.external_id)
            if row is None or row["tries"] > 1 or row["failures"]:
                failed.add(question.marker)
    return failed


def key_of(person: ChaosUser) -> str:
    return f"{person.platform} {person.address}"


class _UserAudit:
    """The audit of one user."""

    def __init__(self, person: ChaosUser, stored: StoredRows, findings: Findings) -> None:
        self._person = person
        self._name = key_of(person)
        self._rows = stored
        self._findings = findings
        self._parts = stored.outbound.get((person.platform, person.address), [])
        self._unknown = {
            marker
            for part in self._parts
            if person.platform == TELEGRAM and part["state"] == "failed" and part["resends"] and part["error"]
            for marker in self._of_reply(part["reply_id"])
        }

    def _of_reply(self, reply_id: str) -> set[str]:
        return {
            marker for part in self._parts if part["reply_id"] == reply_id for marker in markers_in(str(part["text"]))
        }

    def check(self, bubbles: list[Bubble]) -> None:
        once = self._without_resends(bubbles)
        pieces = [piece for bubble in once for piece in pieces_in(bubble["text"])]
        self._findings.notices += sum(not pieces_in(bubble["text"]) for bubble in once) - 1
        self._check_doubled(pieces)
        self._check_answers(pieces)
        self._check_order(pieces)
        if self._unknown:
            self._findings.given_up += [f"{self._name}: {marker}" for marker in sorted(self._unknown)]
        else:
            self._check_history(once)

    def _without_resends(self, bubbles: list[Bubble]) -> list[Bubble]:
        """What the person got, each resend that is allowed taken out and counted."""
        if self._person.platform is not TELEGRAM:
            return bubbles
        allowed = Counter[str]()
        for part in self._parts:
            allowed[_plain(part["text"])] += part["resends"]
        accepted = {str(part["provider_id"]) for part in self._parts}
        copies = Counter(_plain(bubble["text"]) for bubble in bubbles)
        once: list[Bubble] = []
        for bubble in bubbles:
            text = _plain(bubble["text"])
            # Two notices may read alike: a resend is only what came more than once and was never known to be accepted.
            if str(bubble["message_id"]) not in accepted and allowed[text] > 0 and copies[text] > 1:
                allowed[text] -= 1
                copies[text] -= 1
                self._findings.resent.append(f"{self._name}: {' '.join(markers_in(bubble['text'])[:3])}")
                continue
            once.append(bubble)
        return once

    def _check_doubled(self, pieces: list[Piece]) -> None:
        for piece, count in Counter(pieces).items():
            if count > 1:
                self._findings.doubled.append(f"{self._name}: {piece.marker} piece {piece.number}, {count} times")

    def _check_answers(self, pieces: list[Piece]) -> None:
        got: dict[str, set[int]] = defaultdict(set)
        wanted: dict[str, int] = {}
        for piece in pieces:
            got[piece.marker].add(piece.number)
            wanted[piece.marker] = piece.count
        for question in self._person.questions:
            if question.settled_at is None:
                continue
            self._findings.acknowledged += 1
            marker = question.marker
            if marker in wanted and len(got[marker]) == wanted[marker]:
                self._findings.answered += 1
            elif marker in self._unknown:
                self._findings.unseen.append(f"{self._name}: {marker}")
            elif self._was_unusable(question):
                self._findings.unusable.append(f"{self._name}: {marker}")
            else:
                self._missing(question, sorted(got[marker]))

    def _was_unusable(self, question: Question) -> bool:
        """Whether it ended after as many unusable answers as allowed; the history shows what the user was told."""
        row = self._rows.row_of(self._person.platform, question.external_id)
        head = self._rows.head_of(row) if row else {}
        return head.get("reason") == ModelFailure.UNUSABLE and head["unusable"] >= _MAX_UNUSABLE

    def _missing(self, question: Question, got: list[int]) -> None:
        row = self._rows.row_of(self._person.platform, question.external_id)
        what = f"{self._name}: {question.marker} ({question.external_id})"
        if row is None:
            self._findings.lost.append(what)
            return
        parts = [part for part in self._parts if question.marker in str(part["text"])]
        states = ", ".join(f"{part['state']} {part['error_code'] or ''}".strip() for part in parts)
        self._findings.unanswered.append(
            f"{what}: row {row['id']} {row['state']} {row['outcome'] or ''} {row['error'] or ''}; got {got}; "
            f"parts: {states or 'none'}"
        )

    def _check_order(self, pieces: list[Piece]) -> None:
        """Pieces in sequence, one answer after the other, and answers in the order of what was certainly earlier."""
        order: list[str] = []
        last: Piece | None = None
        for piece in dict.fromkeys(pieces):
            if last is None or piece.marker != last.marker:
                if piece.marker in order:
                    self._findings.out_of_order.append(f"{self._name}: {piece.marker} goes on after another answer")
                order.append(piece.marker)
            elif piece.number < last.number:
                self._findings.out_of_order.append(f"{self._name}: {piece.marker} piece {piece.number} comes late")
            last = piece
        self._check_answer_order({marker: place for place, marker in enumerate(order)})

    def _check_answer_order(self, places: dict[str, int]) -> None:
        asked = [question for question in self._person.questions if question.marker in places]
        for early in asked:
            for late in asked:
                before = early.settled_at is not None and early.settled_at < late.first_at
                if before and places[early.marker] > places[late.marker]:
                    self._findings.out_of_order.append(
                        f"{self._name}: {late.marker} was answered before {early.marker}"
                    )

    def _check_history(self, once: list[Bubble]) -> None:
        """The history holds exactly what the person wrote and saw."""
        history = self._rows.history.get((self._person.platform, self._person.address), [])
        stored = "".join(_plain(message["message"]) for message in history if message["role"] == "assistant")
        received = "".join(_plain(bubble["text"]) for bubble in once)
        if stored != received:
            self._findings.history.append(f"{self._name}: {_difference(stored, received)}")
        questions = [message["message"] for message in history if message["role"] == "user"]
        asked = Counter(marker for question in questions for marker in markers_in(question))
        for question in self._person.questions:
            if question.settled_at is not None and asked[question.marker] != 1:
                self._findings.history.append(
                    f"{self._name}: the question {question.marker} is there {asked[question.marker]} times"
                )


def _plain(text: str) -> str:
    """The text without the number of a part and without white space, which splitting into parts may drop."""
    return "".join(_NUMBER.sub("", text).split())


def _difference(stored: str, received: str) -> str:
    place = next((at for at, (one, other) in enumerate(zip(stored, received, strict=False)) if one != other), None)
    place = min(len(stored), len(received)) if place is None else place
    about = slice(max(0, place - 30), place + 40)
    return f"the history has ...{stored[about]!r}, the user got ...{received[about]!r}"
