"""The vectors of passages of documents, by embedding model and hash of the text. Rows inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, select, update

from relay.storage.prepared import Upsert
from relay.storage.schema import passage_vectors
from relay.storage.transactions import Tx

UNUSED_SECONDS = 90 * 86_400.0
"""After this time without use a vector is deleted: its passage was changed, or the model is another one."""

_MAX_PARAMETERS = 500
_ADD = Upsert(passage_vectors, lambda row: row.on_conflict_do_nothing())


def read_vectors(connection: Connection, model: str, hashes: Sequence[str]) -> dict[str, bytes]:
    """Those of these texts that are stored: 32-bit floats, in the order of bytes of the machine that stored them."""
    table = passage_vectors.c
    found: dict[str, bytes] = {}
    for start in range(0, len(hashes), _MAX_PARAMETERS):
        chosen = (table.model == model) & table.text_hash.in_(hashes[start : start + _MAX_PARAMETERS])
        rows = connection.execute(select(table.text_hash, table.vector).where(chosen))
        found |= {row.text_hash: bytes(row.vector) for row in rows}
    return found


def note_use(tx: Tx, model: str, hashes: Sequence[str]) -> None:
    """Keep these vectors for another UNUSED_SECONDS, and delete those whose time is over."""
    table = passage_vectors
    for start in range(0, len(hashes), _MAX_PARAMETERS):
        used = (table.c.model == model) & table.c.text_hash.in_(hashes[start : start + _MAX_PARAMETERS])
        tx.run(update(table).where(used).values(used_at=tx.now))
    tx.run(delete(table).where(table.c.used_at < tx.now - UNUSED_SECONDS))


def add_vectors(tx: Tx, model: str, vectors: Mapping[str, bytes]) -> None:
    """Store vectors by the hash of their text; those that another server has stored meanwhile stay."""
    tx.run_for_each(
        _ADD, [{"model": model, "text_hash": key, "vector": one, "used_at": tx.now} for key, one in vectors.items()]
    )
