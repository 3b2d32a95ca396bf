"""The vectors of passages: kept by model and text on both databases, and deleted when they were not used for long."""

from __future__ import annotations

from sqlalchemy import update

from messaging_database import MessagingDatabase
from relay.storage.schema import passage_vectors
from relay.storage.transactions import Tx
from relay.storage.vectors import UNUSED_SECONDS


async def test_vectors_are_kept_by_model_and_text(db: MessagingDatabase) -> None:
    """The first of two servers that compute the same one is kept; more hashes than a statement has parameters."""
    many = {f"{number:064x}": bytes([number % 256, 0]) for number in range(1200)}
    await db.add_vectors("vec", many)
    await db.add_vectors("vec", {"0" * 64: b"other"})
    await db.add_vectors("another", {"0" * 64: b"\x00\xff"})
    assert await db.read_vectors("vec", [*many, "missing"]) == many
    assert await db.read_vectors("another", ["0" * 64]) == {"0" * 64: b"\x00\xff"}
    assert await db.read_vectors("none", list(many)) == {}
    assert await db.read_vectors("vec", []) == {}


async def test_those_that_nobody_used_for_long_are_deleted(db: MessagingDatabase) -> None:
    """Reading is use, so the vectors of documents that are there stay."""
    await db.add_vectors("vec", {"used": b"1", "unused": b"2"})

    def age(tx: Tx) -> None:
        tx.run(update(passage_vectors).values(used_at=tx.now - UNUSED_SECONDS - 1))

    await db._write(age)
    await db.read_vectors("vec", ["used"])
    assert await db.read_vectors("vec", ["used", "unused"]) == {"used": b"1"}
