"""The rows of users inside a transaction: created by the first message, changed by decisions, moved to an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, delete, func, update

from relay.core.decisions import Decision
from relay.core.messages import SILENT_STATES, Platform, UserId, UserState
from relay.core.parts import Origin
from relay.core.person_settings import SAFEGUARDS, PersonSettings
from relay.storage import broadcasts
from relay.storage.parts import cancel_parts
from relay.storage.prepared import Upsert
from relay.storage.schema import audit, conversations, inbound, outbound, users
from relay.storage.transactions import Tx, of_user

_KEY = ["platform", "user_id"]
_PROFILE = ("username", "language")
_CREATE = Upsert(users, lambda row: row.on_conflict_do_nothing(index_elements=_KEY))
_CREATE_OR_UPDATE = Upsert(
    users,
    lambda row: row.on_conflict_do_update(
        index_elements=_KEY,
        set_={
            "last_message_at": row.excluded.last_message_at,
            **{key: func.coalesce(row.excluded[key], users.c[key]) for key in _PROFILE},
        },
    ),
)


def touch_user(tx: Tx, platform: Platform, user_id: UserId, **profile: str | None) -> None:
    """Create the user's row if there is none. A profile is given for a user who wrote now; it updates the row."""
    new = {"platform": platform, "user_id": user_id, "state": UserState.NEW, "created_at": tx.now, "updated_at": tx.now}
    if profile:
        profile = {key: profile.get(key) or None for key in _PROFILE}
        tx.run(_CREATE_OR_UPDATE, {**new, **profile, "last_message_at": tx.now})
    else:
        tx.run(_CREATE, new)


def change_user(tx: Tx, platform: Platform, user_id: UserId, decision: Decision) -> UserState | None:
    """Apply a decision to the user; the state afterwards, or None when the user has no row and needs none."""
    row = tx.locked_user(platform, user_id)
    if row is None:
        if decision.name is None and decision.state is None and not decision.reply:
            return None
        touch_user(tx, platform, user_id)
        row = tx.locked_user(platform, user_id)
        assert row is not None  # noqa: S101 (created by touch_user)
    state, changes = decision.state, _profile_changes(tx, platform, row, decision)
    if decision.name is not None and row.state == UserState.NEW:
        state = state or UserState.ACTIVE
    if state is not None:
        changes["state"] = state
        if state in SILENT_STATES:
            cancel_parts(tx, of_user(outbound, platform, user_id), f"the user is {state}")
    if changes:
        tx.run(update(users).where(of_user(users, platform, user_id)).values(**changes, updated_at=tx.now))
    return state or UserState(row.state)


def _profile_changes(tx: Tx, platform: Platform, row: Row[Any], decision: Decision) -> dict[str, Any]:
    """The columns of name, settings and takeover that a decision changes; users with a name are counted."""
    changes: dict[str, Any] = {}
    if decision.forget:
        kept = {key: value for key, value in (row.settings or {}).items() if key in SAFEGUARDS}
        changes = {"name": None, "language": None, "settings": kept}
    if decision.name is not None:
        changes["name"] = decision.name
    if "name" in changes:
        tx.count(platform, "users", (changes["name"] is not None) - (row.name is not None))
    old = changes.get("settings", row.settings or {})
    if settings := {name: value for name, value in _new_settings(decision).items() if old.get(name, "") != value}:
        changes["settings"] = {**old, **settings}
    if decision.left_for_seconds is not None:
        changes |= {"human_since": tx.now, "human_until": tx.now + decision.left_for_seconds}
    return changes


def _new_settings(decision: Decision) -> dict[str, Any]:
    if decision.paused_until is None:
        return decision.settings
    return {**decision.settings, "paused_until": decision.paused_until, "paused": decision.reason}


def set_for_person(tx: Tx, platform: Platform, user_id: UserId, changes: Mapping[str, Any]) -> bool:
    """Change settings of a user, None removes one; what the AI has planned for a user who is not answered is canceled.

    False for an unknown user, and when nothing changes.
    """
    row = tx.locked_user(platform, user_id)
    old = dict(row.settings or {}) if row is not None else {}
    new = {key: value for key, value in {**old, **changes}.items() if value is not None}
    if row is None or new == old:
        return False
    tx.run(update(users).where(of_user(users, platform, user_id)).values(settings=new, updated_at=tx.now))
    chosen = PersonSettings.of(new)
    if chosen.barred or chosen.is_paused(tx.now):
        answers = of_user(outbound, platform, user_id) & (outbound.c.origin == Origin.ANSWER)
        cancel_parts(tx, answers, "the operator wants no answer here")
    return True


def release_user(tx: Tx, platform: Platform, user_id: UserId) -> bool:
    """End a pause; False when the user was not paused."""
    row = tx.locked_user(platform, user_id)
    if row is None or row.state != UserState.PAUSED:
        return False
    settings = {key: value for key, value in row.settings.items() if not key.startswith("paused")}
    state = UserState.ACTIVE if row.name else UserState.NEW
    changes = {"state": state, "settings": settings, "updated_at": tx.now}
    tx.run(update(users).where(of_user(users, platform, user_id)).values(changes))
    return True


def move_user(tx: Tx, platform: Platform, old: UserId, new: UserId) -> None:
    """Give the user and all rows a new address; a user who exists there already is merged."""
    if old == new:
        return
    tx.run(update(inbound).where(of_user(inbound, platform, old)).values(user_id=new))
    old_row, new_row = tx.locked_user(platform, old), tx.locked_user(platform, new)
    if old_row is not None and new_row is None:
        tx.run(update(users).where(of_user(users, platform, old)).values(user_id=new, updated_at=tx.now))
    elif old_row is not None and new_row is not None:
        _merge(tx, old_row, new_row)
    for table in (conversations, outbound, audit):
        tx.run(update(table).where(of_user(table, platform, old)).values(user_id=new))
    broadcasts.move_person(tx, platform, old, new)
    tx.run(update(outbound).where(outbound.c.about == f"{platform} {old}").values(about=f"{platform} {new}"))


def _merge(tx: Tx, old: Row[Any], new: Row[Any]) -> None:
    """Delete the old of two users; the new one takes the message count, and the name if it has none."""
    platform = Platform(old.platform)
    tx.run(delete(users).where(of_user(users, platform, UserId(old.user_id))))
    changes: dict[str, Any] = {"message_count": users.c.message_count + old.message_count, "updated_at": tx.now}
    if old.name is not None and new.name is None:
        changes |= {"name": old.name, "state": old.state}
    elif old.name is not None:
        tx.count(platform, "users", -1)
    tx.run(update(users).where(of_user(users, platform, UserId(new.user_id))).values(changes))
