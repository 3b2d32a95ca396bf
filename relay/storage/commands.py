"""The commands of `python messaging_database.py`: words in, one verb each, a short report out.

The verbs are the database's; this file parses, asks and prints. Exit status: 0 done, 1 not done (with the reason), 2
the command was not understood.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from relay.config.settings import Settings
from relay.core.errors import StorageError
from relay.core.messages import Platform, UserId
from relay.storage.database import Database
from relay.storage.files import backup, read_old_users, restore, sqlite_path
from relay.storage.maintenance import MIN_DAYS_KEPT

Say = Callable[[str], None]

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([dhwy]?)", re.IGNORECASE)
_DAYS = {"": 1.0, "d": 1.0, "h": 1 / 24, "w": 7.0, "y": 365.0}


def run(
    arguments: Sequence[str] | None,
    platforms: Sequence[Platform],
    settings: Callable[[], Settings],
    opened: Callable[[Settings], Database],
    say: Say,
) -> int:
    """Do what the words ask for; the exit status."""
    options = _parser(platforms).parse_args(arguments)
    try:
        return int(options.command(options, settings(), opened, say))
    except StorageError as error:
        say(f"not done: {error}")
        return 1


def _parser(platforms: Sequence[Platform]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="messaging_database.py",
        description="Look after the messaging database. The servers may keep running meanwhile.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, verb: Callable[..., int], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=verb)
        return made

    command("migrate", _migrate, "Create the tables, or bring them to the newest revision.")
    made = command("backup", _backup, "Copy the SQLite database, as it is at this moment, to FILE.")
    made.add_argument("file", type=Path, metavar="FILE", help="must not exist yet")
    made = command("restore", _restore, "Replace the database's content with that of the backup FILE.")
    made.add_argument("file", type=Path, metavar="FILE")
    made.add_argument("--yes", action="store_true", help="do it (without this, only say what would happen)")
    command("check", _check, "Verify that the file is intact and its counters are right.")
    made = command("import-sms-users", _import, "Import people and history from an old sms_users.db.")
    made.add_argument("file", type=Path, metavar="FILE")
    for name, verb, text in (
        ("export-user", _export, "Write everything stored about a person, as JSON, to stdout or FILE."),
        ("forget-user", _forget, "Remove everything stored about a person, and say what it was."),
    ):
        made = command(name, verb, text)
        made.add_argument("platform", choices=platforms)
        made.add_argument("user_id", metavar="USER", help="phone number in E.164, or Telegram chat id")
        if verb is _export:
            made.add_argument("--output", type=Path, metavar="FILE", help="a new file, readable by its owner only")
        else:
            made.add_argument("--yes", action="store_true", help="do it (without this, only say what would be removed)")
    made = command("prune", _prune, "Delete finished rows (messages handled, parts closed, delivery reports) by age.")
    made.add_argument("--older-than", type=_days, required=True, metavar="AGE", help="such as 90d, 12w or 1y")
    made.add_argument("--conversations", action="store_true", help="delete messages of the history of that age as well")
    return parser


def _days(text: str) -> float:
    found = _AGE.fullmatch(text.strip())
    days = float(found[1]) * _DAYS[found[2].lower()] if found else 0.0
    if days < MIN_DAYS_KEPT:
        raise argparse.ArgumentTypeError(f"{text!r}: at least {MIN_DAYS_KEPT:g}d; write it like 90d, 12w or 1y")
    return days


def _with(
    opened: Callable[[Settings], Database],
    settings: Settings,
    verb: Callable[[Database], Awaitable[int]],
    *,
    must_exist: bool = True,
) -> int:
    """Open the database, do one thing, close it. A file that is not there is a mistake, not a new database."""
    if must_exist and settings.database_url.startswith("sqlite:"):
        path = sqlite_path(settings.database_url, "this")
        if not path.exists():
            raise StorageError(f"the database file {path} does not exist")

    async def work() -> int:
        database = opened(settings)
        try:
            await database.prepare()
            return await verb(database)
        finally:
            await database.stop()

    return asyncio.run(work())


def _migrate(_: argparse.Namespace, settings: Settings, opened: Callable[[Settings], Database], say: Say) -> int:
    async def verb(_: Database) -> int:
        say("the database is at the newest revision")
        return 0

    return _with(opened, settings, verb, must_exist=False)


def _backup(options: argparse.Namespace, settings: Settings, _: Callable[[Settings], Database], say: Say) -> int:
    size = backup(sqlite_path(settings.database_url, "backup"), options.file.absolute())
    say(f"wrote {options.file}, {size:,} bytes, checked")
    return 0


def _restore(options: argparse.Namespace, settings: Settings, _: Callable[[Settings], Database], say: Say) -> int:
    target = sqlite_path(settings.database_url, "restore")
    if not options.yes:
        say(f"this would replace the content of {target} with that of {options.file}; add --yes to do it")
        return 1
    saved = restore(options.file.absolute(), target, datetime.now(UTC))
    say(f"restored {target} from {options.file}" + (f"; what was there before is in {saved}" if saved else ""))
    return 0


def _check(_: argparse.Namespace, settings: Settings, opened: Callable[[Settings], Database], say: Say) -> int:
    async def verb(database: Database) -> int:
        found = await database.problems()
        for problem in found:
            say(problem)
        say(f"{len(found)} problems found" if found else "all is well")
        return 1 if found else 0

    return _with(opened, settings, verb)


def _import(options: argparse.Namespace, settings: Settings, opened: Callable[[Settings], Database], say: Say) -> int:
    people, refused = read_old_users(options.file, settings.default_region)

    async def verb(database: Database) -> int:
        taken = await database.import_users(people)
        say(f"imported {taken['users']} people with {taken['conversations']} messages")
        if taken["known_already"]:
            say(f"left {taken['known_already']} people as they are: they are already known")
        for number in refused:
            say(f"left out {number!r}: not a phone number")
        return 0

    return _with(opened, settings, verb, must_exist=False)


def _export(options: argparse.Namespace, settings: Settings, opened: Callable[[Settings], Database], say: Say) -> int:
    async def verb(database: Database) -> int:
        found = await database.export_user(Platform(options.platform), UserId(options.user_id))
        if found is None:
            say(f"nothing is kept about {options.user_id} on {options.platform}")
            return 1
        content = json.dumps(found, ensure_ascii=False, indent=2)
        if options.output is None:
            say(content)
        else:
            _write_new(options.output, content)
            say(f"wrote {options.output}")
        return 0

    return _with(opened, settings, verb)


def _write_new(path: Path, content: str) -> None:
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}") from error


def _forget(options: argparse.Namespace, settings: Settings, opened: Callable[[Settings], Database], say: Say) -> int:
    platform, user_id = Platform(options.platform), UserId(options.user_id)

    async def verb(database: Database) -> int:
        kept = await database.export_user(platform, user_id)
        if kept is None:
            say(f"nothing is kept about {user_id} on {platform}")
            return 1
        if not options.yes:
            say(
                "this would remove "
                + _amounts({name: len(rows) for name, rows in kept.items()})
                + "; add --yes to do it"
            )
            return 1
        say("removed " + _amounts(await database.forget_user(platform, user_id)))
        return 0

    return _with(opened, settings, verb)


def _prune(options: argparse.Namespace, settings: Settings, opened: Callable[[Settings], Database], say: Say) -> int:
    async def verb(database: Database) -> int:
        removed = await database.prune(options.older_than, with_conversations=options.conversations)
        say(f"removed what is older than {options.older_than:g} days: " + _amounts(removed))
        return 0

    return _with(opened, settings, verb)


def _amounts(removed: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in removed.items())
