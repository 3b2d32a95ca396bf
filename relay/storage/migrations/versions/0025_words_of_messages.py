"""A full-text index of messages, filled later in small steps; its words go with their message, by triggers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_SQLITE = (
    # The words are ours, so this tokenizer only has to part them at spaces: all that is not ASCII is a letter to it.
    "CREATE VIRTUAL TABLE message_words USING fts5(words, detail = none, tokenize = 'ascii')",
    """CREATE TRIGGER message_words_gone AFTER DELETE ON conversations WHEN OLD.indexed BEGIN
        DELETE FROM message_words WHERE rowid = OLD.id;
    END""",
    """CREATE TRIGGER message_words_changed AFTER UPDATE OF message ON conversations WHEN OLD.indexed BEGIN
        DELETE FROM message_words WHERE rowid = OLD.id;
        UPDATE conversations SET indexed = NULL WHERE id = OLD.id;
    END""",
)
_POSTGRESQL = (
    "CREATE TABLE message_words (id BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
    "CREATE INDEX message_words_gin ON message_words USING gin (words)",
    """CREATE FUNCTION remove_message_words() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM message_words WHERE id = OLD.id;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        NEW.indexed := NULL;
        RETURN NEW;
    END $$""",
    """CREATE TRIGGER message_words_gone BEFORE DELETE OR UPDATE OF message ON conversations
        FOR EACH ROW WHEN (OLD.indexed) EXECUTE FUNCTION remove_message_words()""",
)


def upgrade() -> None:
    op.add_column("conversations", sa.Column("indexed", sa.Boolean(), nullable=True))
    not_indexed = sa.text("indexed IS NULL")
    op.create_index(
        "conversations_not_indexed", "conversations", ["id"], sqlite_where=not_indexed, postgresql_where=not_indexed
    )
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
