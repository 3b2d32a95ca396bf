"""The outcome of an inbound message is a word of `relay.core.messages.Outcome`, the reason stands beside it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_inbound = sa.table("inbound", sa.column("outcome", sa.Text()), sa.column("reason", sa.Text()))


def upgrade() -> None:
    op.add_column("inbound", sa.Column("reason", sa.Text(), nullable=True))
    old = _inbound.update()
    for prefix, outcome in (("told: ", "told"), ("silent: ", "silent"), ("answered ", "answered")):
        reason = sa.func.substr(_inbound.c.outcome, len(prefix) + 1)
        op.execute(old.where(_inbound.c.outcome.startswith(prefix)).values(reason=reason, outcome=outcome))
    for sentence, code in (("over the limit of the minute", "over_minute"), ("over the limit of the day", "over_day")):
        op.execute(old.where(_inbound.c.reason == sentence).values(reason=code))
    failures = ["context_too_long", "refused", "cannot_see", "bad_request"]
    op.execute(old.where(_inbound.c.outcome.in_(failures)).values(reason=_inbound.c.outcome, outcome="unanswerable"))
