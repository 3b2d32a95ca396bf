"""One launcher a settings folder: a lock on a file, held until the process ends, however it ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

FILE = "launcher.lock"


class AnotherLauncherError(Exception):
    """Another launcher holds the lock of the folder."""


def lock_folder(folder: Path) -> IO[bytes]:
    """Take the lock; it is held until the returned file is closed.

    Raises AnotherLauncherError, and OSError when the file cannot be opened.
    """
    file = (folder / FILE).open("ab")
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise AnotherLauncherError from None
    return file
