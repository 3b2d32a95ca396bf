"""The lock of a folder: what counts as another launcher, and what does not."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from relay.launcher.single import AnotherLauncherError, lock_folder


def test_a_lock_that_is_held_is_another_launcher(tmp_path: Path) -> None:
    """Until the file is closed."""
    held = lock_folder(tmp_path)
    with pytest.raises(AnotherLauncherError):
        lock_folder(tmp_path)
    held.close()
    lock_folder(tmp_path).close()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_without_locks_is_not_another_launcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """As some network file systems: the launcher starts, and says that it would not notice a second one."""

    def refuse(_file: object, _how: int) -> None:
        raise OSError(code, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="no locks available"):
        lock_folder(tmp_path)
