"""The commands of `python messaging_database.py`: parse arguments, call a verb of the database, print the result.

Exit status: 0 done, 1 not done (with the reason), 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from relay.config.settings import Settings
from relay.core.errors import StorageError
from relay.core.messages import Platform, UserId
from relay.storage.database import Database
from relay.storage.files import backup, read_old_users, restore, sqlite_path
from relay.storage.maintenance import MIN_DAYS_KEPT

Print = Callable[[str], None]

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([dhwy]?)", re.IGNORECASE)
_BACKUP_NAME = re.compile(r"relay-\d{8}-\d{6}\.db", re.ASCII)
_DAYS = {"": 1.0, "d": 1.0, "h": 1 / 24, "w": 7.0, "y": 365.0}


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a command, with everything that it may use."""

    options: argparse.Namespace
    settings: Settings
    opened: Callable[[Settings], Database]
    print: Print

    def run(self, verb: Callable[[Database], Awaitable[int]], *, must_exist: bool = True) -> int:
        """Run `verb` on the database, migrated to the newest revision. A missing file is an error if `must_exist`."""
        if must_exist and self.settings.database_url.startswith("sqlite:"):
            self.existing_file("this")

        async def work() -> int:
            database = self.opened(self.settings)
            try:
                await database.prepare()
                return await verb(database)
            finally:
                await database.stop()

        return asyncio.run(work())

    def existing_file(self, verb: str) -> Path:
        """The file of the database. Raises StorageError when there is none, with that of try-out mode if it exists."""
        path = sqlite_path(self.settings.database_url, verb)
        if path.exists():
            return path
        tried = sqlite_path(self.settings.for_simulator().database_url, verb)
        hint = f"; the data of try-out mode is in {tried.name}: set SIMULATED=true for this command"
        raise StorageError(f"the database file {path} does not exist" + (hint if tried.exists() else ""))


def run(
    arguments: Sequence[str] | None,
    platforms: Sequence[Platform],
    settings: Callable[[], Settings],
    opened: Callable[[Settings], Database],
    output: Print,
) -> int:
    """Run the command of these arguments; the exit status."""
    options = _parser(platforms).parse_args(arguments)
    try:
        return int(options.command(_Call(options, settings(), opened, output)))
    except StorageError as error:
        output(f"not done: {error}")
        return 1


def _parser(platforms: Sequence[Platform]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Look after the messaging database. The servers may keep running meanwhile.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, verb: Callable[..., int], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=verb)
        return made

    command("migrate", _migrate, "Create the tables, or bring them to the newest revision.")
    made = command("backup", _backup, "Copy the SQLite database, as it is at this moment, to FILE.")
    made.add_argument(
        "file", type=Path, metavar="FILE", help="must not exist yet; in a folder, it is named by the time"
    )
    made.add_argument("--keep", type=_count, metavar="N", help="in a folder: of the files so named, keep the newest N")
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


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: a number from 1 on")
    return int(text)


def _migrate(call: _Call) -> int:
    async def verb(_: Database) -> int:
        call.print("the database is at the newest revision")
        return 0

    return call.run(verb, must_exist=False)


def _backup(call: _Call) -> int:
    file: Path = call.options.file
    keep: int | None = call.options.keep
    folder = file if file.is_dir() else None
    if folder is None and keep is not None:
        raise StorageError(f"--keep needs an existing folder, and {file} is none")
    if folder is not None:
        file = folder / f"relay-{datetime.now(UTC):%Y%m%d-%H%M%S}.db"
    size = backup(call.existing_file("backup"), file.absolute())
    call.print(f"wrote {file}, {size:,} bytes, checked")
    if folder is not None and keep is not None:
        for old in _backups(folder)[:-keep]:
            _remove(old)
            call.print(f"removed {old}")
    return 0


def _remove(old: Path) -> None:
    try:
        old.unlink()
    except OSError as error:
        raise StorageError(f"{old} cannot be removed: {error}") from error


def _backups(folder: Path) -> list[Path]:
    """The backups in the folder that were named by the time, oldest first; other files there are not ours to remove."""
    return sorted(path for path in folder.iterdir() if _BACKUP_NAME.fullmatch(path.name))


def _restore(call: _Call) -> int:
    target, file = sqlite_path(call.settings.database_url, "restore"), call.options.file
    if not call.options.yes:
        call.print(f"this would replace the content of {target} with that of {file}; add --yes to do it")
        return 1
    saved = restore(file.absolute(), target, datetime.now(UTC))

    async def verb(_: Database) -> int:
        call.print(f"restored {target} from {file}" + (f"; what was there before is in {saved}" if saved else ""))
        return 0

    return call.run(verb)


def _check(call: _Call) -> int:
    async def verb(database: Database) -> int:
        found = await database.problems()
        for problem in found:
            call.print(problem)
        call.print(f"{len(found)} problems found" if found else "all is well")
        return 1 if found else 0

    return call.run(verb)


def _import(call: _Call) -> int:
    people, refused = read_old_users(call.options.file, call.settings.default_region)

    async def verb(database: Database) -> int:
        taken = await database.import_users(people)
        call.print(f"imported {taken['users']} people with {taken['conversations']} messages")
        if taken["known_already"]:
            call.print(f"left {taken['known_already']} people as they are: they are already known")
        for number in refused:
            call.print(f"left out {number!r}: not a phone number")
        return 0

    return call.run(verb, must_exist=False)


def _export(call: _Call) -> int:
    platform, user_id, file = Platform(call.options.platform), UserId(call.options.user_id), call.options.output

    async def verb(database: Database) -> int:
        found = await database.export_user(platform, user_id)
        if found is None:
            call.print(f"nothing is kept about {user_id} on {platform}")
            return 1
        content = json.dumps(found, ensure_ascii=False, indent=2)
        if file is None:
            call.print(content)
            return 0
        try:
            file.touch(mode=0o600, exist_ok=False)
            file.write_text(content, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{file} cannot be written: {error}") from error
        call.print(f"wrote {file}")
        return 0

    return call.run(verb)


def _forget(call: _Call) -> int:
    platform, user_id = Platform(call.options.platform), UserId(call.options.user_id)

    async def verb(database: Database) -> int:
        kept = await database.export_user(platform, user_id)
        if kept is None:
            call.print(f"nothing is kept about {user_id} on {platform}")
            return 1
        if not call.options.yes:
            amounts = _amounts({name: len(rows) for name, rows in kept.items()})
            call.print(f"this would remove {amounts}; add --yes to do it")
            return 1
        call.print("removed " + _amounts(await database.forget_user(platform, user_id)))
        return 0

    return call.run(verb)


def _prune(call: _Call) -> int:
    days = call.options.older_than

    async def verb(database: Database) -> int:
        removed = await database.prune(days, with_conversations=call.options.conversations)
        call.print(f"removed what is older than {days:g} days: " + _amounts(removed))
        return 0

    return call.run(verb)


def _amounts(removed: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in removed.items())
