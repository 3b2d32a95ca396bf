"""A database as years of use leave it, made inside the database in minutes.

People on two channels come back for two years, a fiftieth of them with very long conversations; there are failed,
dismissed and dead rows, delivery statuses, costs by person and day, broadcasts, acts of operators, and the full-text
index of all messages. Indexes are made at the end, and nothing is synced to the disk: an unfinished one is useless.
"""

from __future__ import annotations

import itertools
import random
import re
import time
from typing import Any, Final

from sqlalchemy import Connection, create_engine, text

MESSAGES_EACH = 100
"""Questions that were answered for each person."""

YEARS_SECONDS: Final = 2 * 365 * 86_400
BROADCASTS: Final = 10
SENTENCES: Final = 5000

_PERSON = "CASE WHEN i % 2 = 0 THEN i / 2 % :people ELSE i / 2 % :heavy END"  # who is rare, or has written very much
_PLATFORM = "CASE WHEN p % 5 < 3 THEN 'sms' ELSE 'telegram' END"
_USER = "CASE WHEN p % 5 < 3 THEN '+49151' || CAST(10000000 + p AS TEXT) ELSE CAST(700000000 + p AS TEXT) END"
_NUMBER = "CAST(1000000000 + i AS TEXT)"  # of one length, so that unique ids come in their order
_WHEN = "(:now - (:count - i) * :gap)"
_STATE = (
    "CASE WHEN p % 5 >= 3 THEN 'sent' WHEN i % 100 < 90 THEN 'delivered' WHEN i % 100 < 95 THEN 'sent'"
    " WHEN i % 100 < 97 THEN 'failed' WHEN i % 100 < 99 THEN 'undelivered' ELSE 'canceled' END"
)
_CODE = "CASE WHEN p % 5 < 3 AND i % 100 IN (95, 96, 97, 98) THEN CASE WHEN i % 7 = 0 THEN '30005' ELSE '30003' END END"


def _numbered(first: str, last: str, columns: str = f"i, {_PERSON} AS p") -> str:
    """Rows with a number i from `first` to `last`, and the person p of each."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})"
    return f"(SELECT {columns} FROM ({numbers} SELECT i FROM n) AS numbers) AS numbered"


_MESSAGES = _numbered(":low + 1", ":high")
_LINES = _numbered(":low * 2 + 1", ":high * 2", f"k, i, {_PERSON} AS p").replace(
    "SELECT i FROM n", "SELECT i AS k, (i + 1) / 2 AS i FROM n"
)
_IS_SMS = "platform = 'sms'"

_PEOPLE = f"""
INSERT INTO users (platform, user_id, name, username, state, message_count, created_at, updated_at, last_message_at)
SELECT {_PLATFORM}, {_USER}, 'Person ' || CAST(p AS TEXT), 'person' || CAST(p AS TEXT),
CASE WHEN p % 50 = 2 AND p > :heavy THEN 'stopped' ELSE 'active' END, 0, :now - :years, :now, :now - p
FROM {_numbered("0", ":people - 1", "i AS p")}"""

_PERIOD = f"""
INSERT INTO inbound (platform, external_id, user_id, state, raw, received_at, due, tries, outcome, finished_at,
updated_at)
SELECT {_PLATFORM}, 'old' || {_NUMBER}, {_USER}, CASE WHEN i % 100 = 0 THEN 'dead' ELSE 'done' END,
CASE WHEN i % 100 = 0 THEN 'what came' END, {_WHEN}, {_WHEN}, 1,
CASE WHEN i % 100 = 0 THEN 'model failed' WHEN i % 10 = 1 THEN 'told' ELSE 'answered' END, {_WHEN} + 4, {_WHEN} + 4
FROM {_MESSAGES};
INSERT INTO outbound (part_id, reply_id, platform, user_id, inbound_id, origin, number, part_count, text, source, state,
error_code, provider_id, cost_usd, due, attempts, attempted_at, created_at, accepted_at, updated_at, dismissed_at)
SELECT 'part' || {_NUMBER}, 'reply' || {_NUMBER}, {_PLATFORM}, {_USER}, i, 'answer', 1, 1, answer, answer, {_STATE},
{_CODE}, CASE WHEN i % 100 = 99 THEN NULL ELSE 'SMold' || {_NUMBER} END, 0.0083, {_WHEN}, 1, {_WHEN} + 4, {_WHEN} + 4,
CASE WHEN i % 100 = 99 THEN NULL ELSE {_WHEN} + 4.2 END, {_WHEN} + 5, CASE WHEN i % 2 = 0 THEN {_WHEN} + 9 END
FROM {_MESSAGES} JOIN sentences ON sentences.id = i % {SENTENCES};
INSERT INTO conversations (platform, user_id, role, message, timestamp, in_context, reply_id, source, model,
prompt_tokens, answer_tokens, cost_usd, first_token_seconds, total_seconds, request_id, generation_id, indexed)
SELECT {_PLATFORM}, {_USER}, 'user', CASE WHEN i % 10 = 3 THEN question || ' order ' || {_NUMBER} ELSE question END,
{_WHEN}, i % 10 <> 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1 = 1
FROM {_LINES} JOIN sentences ON sentences.id = i % {SENTENCES} WHERE k % 2 = 1
UNION ALL
SELECT {_PLATFORM}, {_USER}, 'assistant', answer, {_WHEN} + 4, i % 10 <> 1, 'reply' || {_NUMBER}, 'openai', 'a-model',
420, 60, 0.0004, 0.5, 3.5, {_PLATFORM} || '-' || CAST(i AS TEXT), 'gen-' || {_NUMBER}, 1 = 1
FROM {_LINES} JOIN sentences ON sentences.id = i % {SENTENCES} WHERE k % 2 = 0
ORDER BY 5;
INSERT INTO delivery_events (platform, provider_id, part_id, state, received_at, applied)
SELECT 'sms', 'SMold' || {_NUMBER}, 'part' || {_NUMBER}, state, {_WHEN} + 5, 1 = 1
FROM (SELECT i, {_STATE} AS state FROM {_MESSAGES} WHERE p % 5 < 3 AND i % 100 <> 99) AS reported;
INSERT INTO delivery_events (platform, provider_id, part_id, state, received_at, applied)
SELECT 'sms', 'SMold' || {_NUMBER}, 'part' || {_NUMBER}, 'queued', {_WHEN} + 4.5, 1 = 1
FROM {_MESSAGES} WHERE p % 5 < 3 AND i % 100 <> 99 AND i % 3 = 0;
INSERT INTO audit (at, who, action, platform, user_id, detail)
SELECT {_WHEN}, 'anna', 'send', {_PLATFORM}, {_USER}, 'by hand' FROM {_MESSAGES} WHERE i % 500 = 0;
INSERT INTO broadcasts (form, platform, text, who, state, beyond_caps, people, planned, usd, last_user, created_at,
updated_at)
SELECT 'form' || CAST(:high AS TEXT), 'sms', 'We are closed on the day after tomorrow', 'anna', 'done', 1 = 0,
count(*), count(*), count(*) * 0.0083, max(user_id), :now - (:count - :high) * :gap,
:now - (:count - :high) * :gap + 900 FROM users WHERE {_IS_SMS};
INSERT INTO broadcast_people (broadcast_id, platform, user_id, reply_id, planned_at)
SELECT (SELECT max(id) FROM broadcasts), platform, user_id, 'to-all' || CAST(:high AS TEXT) || user_id,
:now - (:count - :high) * :gap FROM users WHERE {_IS_SMS};
INSERT INTO outbound (part_id, reply_id, platform, user_id, origin, number, part_count, text, source, state,
provider_id, cost_usd, due, attempts, attempted_at, created_at, accepted_at, updated_at)
SELECT reply_id || '-1', reply_id, platform, user_id, 'broadcast', 1, 1, 'We are closed on the day after tomorrow', '',
'delivered', 'SM' || reply_id, 0.0083, planned_at, 1, planned_at, planned_at, planned_at + 1, planned_at + 2
FROM broadcast_people WHERE broadcast_id = (SELECT max(id) FROM broadcasts)"""

_DAY = {
    "sqlite": "date(received_at, 'unixepoch')",
    "postgresql": "to_char(to_timestamp(received_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
}
_WORDS = {
    "sqlite": "INSERT INTO message_words (rowid, words) SELECT id, message FROM conversations",
    "postgresql": "INSERT INTO message_words (id, words)"
    " SELECT id, array_to_tsvector(string_to_array(message, ' ')) FROM conversations",
}
_SUMS = """
UPDATE users SET message_count = (SELECT count(*) FROM conversations AS c
WHERE c.platform = users.platform AND c.user_id = users.user_id);
INSERT INTO charges (platform, day, user_id, segments_in, segments_out, media, usd)
SELECT platform, DAY, user_id, count(*), count(*), 0, count(*) * 0.0166 FROM inbound WHERE platform = 'sms'
GROUP BY platform, DAY, user_id;
INSERT INTO counters (platform, name, value) SELECT platform, 'inbound', count(*) FROM inbound GROUP BY platform;
INSERT INTO counters (platform, name, value)
SELECT platform, 'dead_letters', count(*) FROM inbound WHERE state = 'dead' GROUP BY platform;
INSERT INTO counters (platform, name, value)
SELECT platform, 'messages', count(*) FROM conversations GROUP BY platform;
INSERT INTO counters (platform, name, value)
SELECT platform, 'model_cost_usd', sum(cost_usd) FROM conversations GROUP BY platform;
INSERT INTO counters (platform, name, value) SELECT platform, 'users', count(*) FROM users GROUP BY platform;
INSERT INTO counters (platform, name, value) SELECT platform, 'segments', count(*) FROM outbound
WHERE accepted_at IS NOT NULL GROUP BY platform;
INSERT INTO counters (platform, name, value)
SELECT platform, 'dismissed_parts', count(*) FROM outbound
WHERE state IN ('failed', 'undelivered') AND dismissed_at IS NOT NULL GROUP BY platform;
INSERT INTO counters (platform, name, value)
SELECT platform, 'part:' || state, count(*) FROM outbound GROUP BY platform, state;
INSERT INTO counters (platform, name, value)
SELECT platform, 'usd:' || day, sum(usd) FROM charges GROUP BY platform, day;
INSERT INTO counters (platform, name, value)
SELECT platform, 'usd:' || substr(day, 1, 7), sum(usd) FROM charges GROUP BY platform, substr(day, 1, 7)"""

_FILLED = (
    *("users", "inbound", "outbound", "conversations", "delivery_events", "counters", "charges", "notes"),
    *("audit", "broadcasts", "broadcast_people", "message_words"),
)
_EMPTIED = {
    "sqlite": [*(f"DELETE FROM {table}" for table in _FILLED), "DELETE FROM sqlite_sequence"],
    "postgresql": [f"TRUNCATE {', '.join(_FILLED)} RESTART IDENTITY"],
}
_INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
    " AND indexname NOT IN (SELECT conname FROM pg_constraint)",
}
"""The names of all indexes that can be dropped, and the statements that make them again."""

_UNSAFE = {
    "sqlite": (
        *("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-1000000"),
        *("PRAGMA temp_store=MEMORY", "PRAGMA locking_mode=EXCLUSIVE"),
    ),
    "postgresql": ("SET synchronous_commit = off", "SET maintenance_work_mem = '512MB'"),
}


def fill(url: str, count: int, seconds: float = YEARS_SECONDS, *, now: float | None = None) -> None:
    """Replace everything in this database by a past of `count` answered messages, which took so long until `now`."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        dialect = engine.dialect.name
        _run(connection, _UNSAFE[dialect])
        indexes = [tuple(row) for row in connection.exec_driver_sql(_INDEXES[dialect])]
        _run(connection, (f"DROP INDEX {name}" for name, _ in indexes))
        _run(connection, _EMPTIED[dialect])
        _add_sentences(connection)
        people = max(5, count // MESSAGES_EACH)
        values = {
            "count": count,
            "people": people,
            "heavy": max(1, people // 50),
            "now": time.time() if now is None else now,
        }
        values |= {"years": seconds, "gap": seconds / max(1, count)}
        _run(connection, [_PEOPLE], values)
        # Rows are added in the order of time, as their ids are in a running relay.
        bounds = [count * number // BROADCASTS for number in range(BROADCASTS + 1)]
        for low, high in itertools.pairwise(bounds):
            if low < high:
                _run(connection, _PERIOD.split(";"), values | {"low": low, "high": high})
        _run(connection, (statement for _, statement in indexes))
        _run(connection, [*_SUMS.replace("DAY", _DAY[dialect]).split(";"), _WORDS[dialect]])
    engine.dispose()


def _run(connection: Connection, statements: Any, values: dict[str, Any] | None = None) -> None:
    for statement in statements:
        used = {name: value for name, value in (values or {}).items() if re.search(rf":{name}\b", statement)}
        connection.execute(text(statement.replace("part:", "part\\:").replace("usd:", "usd\\:")), used)


def vocabulary() -> list[str]:
    """The words of all messages, the most frequent first."""
    rng = random.Random(7)  # noqa: S311 (no secret)
    syllables = [first + vowel for first in "bcdfghklmnprstvw" for vowel in "aeiou"]
    return list(dict.fromkeys("".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(6000)))


def _add_sentences(connection: Connection) -> None:
    """Questions and answers in words that are as unequally frequent as those of a language."""
    rng, words = random.Random(8), vocabulary()  # noqa: S311 (no secret)
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(words))))

    def sentence(least: int, most: int) -> str:
        return " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(least, most)))

    rows = [{"id": n, "question": sentence(2, 14), "answer": sentence(8, 40)} for n in range(SENTENCES)]
    connection.execute(text("CREATE TEMPORARY TABLE sentences (id INTEGER PRIMARY KEY, question TEXT, answer TEXT)"))
    connection.execute(text("INSERT INTO sentences VALUES (:id, :question, :answer)"), rows)
