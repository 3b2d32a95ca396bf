"""Full-text search of messages on both databases, and the index: filled behind them, emptied with them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, text, update

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.core.messages import Platform, UserId
from relay.storage import search
from relay.storage.history import add_message
from relay.storage.schema import conversations

ANN, BOB = UserId("+12025550100"), UserId("+12025550101")


async def write(db: MessagingDatabase, *texts: str, user: UserId = ANN, platform: Platform = SMS) -> None:
    for one in texts:
        await db._write(lambda tx, one=one: add_message(tx, platform, user, "user", one, in_context=True))  # type: ignore[misc]


async def index(db: MessagingDatabase) -> int:
    """Index all that is not, in steps of three; how many messages."""
    count = 0
    while step := await db.index_messages(3):
        count += step
    return count


async def found(db: MessagingDatabase, words: str, limit: int = 10) -> list[str]:
    rows = await db.query(lambda c: search.find_messages(c, [SMS, TELEGRAM], words, limit))
    return [row["message"] for row in rows]


async def in_index(db: MessagingDatabase) -> int:
    count: int = await db.query(lambda c: c.execute(text("SELECT count(*) FROM message_words")).scalar_one())
    return count


TEXTS = (
    "Order #4711-B was broken, café Zürich",
    "Meine Bestellung 4712 fehlt: Straße 5",
    "我想订一张桌子",
    "मुझे कल मेज़ चाहिए",
    "СКОЛЬКО стоит доставка?",
    '100 % sure_thing "quoted" it\'s',
    "🎉",
    "x" * 5000,
)


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("order 4711", 0),
        ("BROKEN ORDER", 0),
        ("cafe zurich", 0),
        ("4711-b", 0),
        ("bestell", 1),
        ("strasse 5", 1),
        ("471", (1, 0)),
        ("桌子", 2),
        ("मेज़", 3),
        ("сколько", 4),
        ("достав", 4),
        ("it's", 5),
        ('"quoted', 5),
        ("sure_thing", 5),
        ("x" * 5000, 7),
        ("order 4712", ()),
        ("roken", ()),
        ("47", ()),
        ("椅子", ()),
        ("🎉", ()),
        ("%", ()),
        ("*", ()),
        ("' OR 1=1 --", ()),
        ('NEAR("a" "b")', ()),
        ("", ()),
    ],
)
async def test_words_are_found(db: MessagingDatabase, indexed: bool, words: str, place: Any) -> None:
    """In any case, without accents, in any order and script; the last one as a beginning; signs are no syntax."""
    await write(db, *TEXTS)
    if indexed:
        assert await index(db) == len(TEXTS)
    places = place if isinstance(place, tuple) else (place,)
    assert await found(db, words) == [TEXTS[one] for one in places]


async def test_the_newest_come_first_whether_they_are_indexed_or_not(db: MessagingDatabase) -> None:
    """Of all channels that are asked for; what is whole comes before what only begins so where there is too much."""
    await write(db, "late one")
    await write(db, "late two", platform=TELEGRAM)
    assert await index(db) == 2
    await write(db, "late three", "lately", "early")
    assert await found(db, "late") == ["lately", "late three", "late two", "late one"]
    assert await found(db, "late", 2) == ["lately", "late three"]
    assert await index(db) == 3
    assert await index(db) == 0
    assert await found(db, "late") == ["lately", "late three", "late two", "late one"]
    assert await found(db, "late", 2) == ["late three", "late two"]
    only = await db.query(lambda c: search.find_messages(c, [TELEGRAM], "late", 10))
    assert [row["message"] for row in only] == ["late two"]


async def test_what_is_deleted_leaves_the_index_at_once(db: MessagingDatabase) -> None:
    """By clearing, forgetting, or any other statement: the words go in the same transaction."""
    await write(db, "secret one", "secret two")
    await write(db, "secret three", "secret four", user=BOB)
    await index(db)
    await db.clear_history(SMS, ANN)
    assert await in_index(db) == 4  # ANN has no row of a user, so nothing was cleared
    await db.forget_user(SMS, ANN)
    assert await found(db, "secret") == ["secret four", "secret three"]
    assert await in_index(db) == 2
    await db._write(lambda tx: tx.run(delete(conversations).where(conversations.c.message == "secret three")))
    assert await in_index(db) == 1
    assert await found(db, "three") == []


async def test_what_is_changed_is_found_by_its_new_words(db: MessagingDatabase) -> None:
    """At once, and from the index after its next step; other columns change nothing in it."""
    await write(db, "old words")
    await index(db)
    await db._write(lambda tx: tx.run(update(conversations).values(topic="5")))
    assert await in_index(db) == 1
    await db._write(lambda tx: tx.run(update(conversations).values(message="new words")))
    assert await in_index(db) == 0
    assert (await found(db, "old"), await found(db, "new")) == ([], ["new words"])
    assert await index(db) == 1
    assert (await found(db, "old"), await found(db, "new")) == ([], ["new words"])


async def test_a_message_that_was_forgotten_is_not_indexed_behind_that(db: MessagingDatabase) -> None:
    """The step reads and writes in one transaction, so nothing of a deleted message comes back."""
    await write(db, "secret")
    await db.forget_user(SMS, ANN)
    assert await index(db) == 0
    assert await in_index(db) == 0
