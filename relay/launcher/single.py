"""One launcher a settings folder: a lock on a file, held until the process ends, however it ends."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

FILE = "launcher.lock"
_HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}  # as Linux, macOS and Windows report a lock that is held


class AnotherLauncherError(Exception):
    """Another launcher holds the lock of the folder."""


def lock_folder(folder: Path) -> IO[bytes]:
    """Take the lock; it is held until the returned file is closed.

    Raises AnotherLauncherError, and OSError when the file cannot be opened or its file system has no locks.
    """
    file = (folder / FILE).open("ab")
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if error.errno in _HELD:
            raise AnotherLauncherError from None
        raise
    return file
