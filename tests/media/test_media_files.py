"""The media folder: each content once, for its owner alone, and not for ever."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.core.errors import AttachmentError
from relay.media.files import DAY, UNREFERENCED_SECONDS, MediaFiles


def keep(files: MediaFiles, content: bytes) -> str:
    with files.incoming(1000) as incoming:
        incoming.write(content)
    return incoming.sha256


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "media"


def test_a_content_is_kept_once_and_for_its_owner_alone(folder: Path) -> None:
    """By its hash, for any sender."""
    files = MediaFiles(folder)
    first, second = keep(files, b"cat"), keep(files, b"cat")
    assert first == second == hashlib.sha256(b"cat").hexdigest()
    path = files.path(first)
    assert path is not None
    assert path.read_bytes() == b"cat"
    assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert len(list(folder.iterdir())) == 1


def test_what_is_not_whole_leaves_nothing_behind(folder: Path) -> None:
    """Neither a file that becomes too large, nor one whose download fails."""
    files = MediaFiles(folder)
    with pytest.raises(AttachmentError), files.incoming(3) as incoming:
        incoming.write(b"four")
    with pytest.raises(ZeroDivisionError), files.incoming(3) as incoming:
        incoming.write(b"2" * (1 // 0))
    assert list(folder.iterdir()) == []


def test_a_reference_leads_to_its_content_on_its_platform(folder: Path) -> None:
    """As long as the content is there."""
    files = MediaFiles(folder)
    sha256 = keep(files, b"cat")
    files.record(SMS, "file-1", sha256)
    assert [files.fetched(SMS, "file-1"), files.fetched(TELEGRAM, "file-1"), files.fetched(SMS, "2")] == [
        sha256,
        None,
        None,
    ]
    (folder / sha256).unlink()
    assert files.fetched(SMS, "file-1") is None


def test_the_words_of_a_text_file_do_not_take_its_place(folder: Path) -> None:
    """They may be the same bytes."""
    files = MediaFiles(folder)
    sha256 = keep(files, b"words")
    files.keep_text(sha256, "words")
    assert files.text(sha256) == "words"
    assert files.path(sha256) is not None


@pytest.mark.parametrize("name", ["", "..", "../secret", "A" * 64, "0" * 63, "0" * 64])
def test_a_name_that_is_no_hash_of_ours_finds_nothing(folder: Path, name: str) -> None:
    """It comes from the address of a page."""
    folder.mkdir()
    (folder.parent / "secret").write_text("x")
    assert MediaFiles(folder).path(name) is None


def aged(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_files_go_when_they_are_old_or_no_message_has_them(folder: Path) -> None:
    """What was fetched moments ago may belong to a message that still waits."""
    files = MediaFiles(folder)
    old, used, unused, fresh = (keep(files, word) for word in (b"old", b"used", b"unused", b"fresh"))
    files.keep_text(unused, "its words")
    aged(folder / old, 31 * DAY)
    for name in (used, unused, f"{unused}.txt"):
        aged(folder / name, UNREFERENCED_SECONDS + 60)
    (folder / "notes of the operator.md").write_text("mine")
    aged(folder / "notes of the operator.md", 99 * DAY)
    assert files.prune({old, used}, 30, 10**9) == 3
    assert {path.name for path in folder.iterdir()} == {used, fresh, "notes of the operator.md"}


def test_the_oldest_files_go_when_there_is_too_much(folder: Path) -> None:
    """The folder cannot fill the disk."""
    files = MediaFiles(folder)
    kept = {word: keep(files, word * 100) for word in (b"a", b"b", b"c")}
    for age, sha256 in enumerate(reversed(kept.values())):
        aged(folder / sha256, age)
    assert files.prune(set(kept.values()), 30, 250) == 1
    assert files.path(kept[b"a"]) is None


def test_nothing_was_ever_kept(folder: Path) -> None:
    """There is no folder yet."""
    assert MediaFiles(folder).prune(set(), 30, 1) == 0
