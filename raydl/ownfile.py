"""Files that nobody else may have written, or read: looked at once they are open.

What a path names can change between a look at it and its being read, in a directory where others
may write; what is open stays the same.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path


class NotOwnError(Exception):
    """Another user wrote the file, or may read what is to be secret. Its text says which."""


def read_own(path: Path, *, secret: bool = False) -> str:
    """The text of a file that belongs to this user or to root.

    With ``secret`` nobody else may read one of this user's either. Raises NotOwnError, OSError, and
    ValueError for what is no text.
    """
    # Without O_NONBLOCK another user's pipe would hold us before we know that it is one.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags)) as file:
        if sys.platform != "win32":
            _check(os.fstat(file.fileno()), secret)
            os.set_blocking(file.fileno(), True)
        return file.read()


def _check(status: os.stat_result, secret: bool) -> None:
    me, mode = os.getuid(), stat.S_IMODE(status.st_mode)
    if status.st_uid not in (me, 0):
        raise NotOwnError("it belongs to another user")
    if mode & 0o002:
        raise NotOwnError("others can write it")
    # What is root's has the mode that the administrator chose: secrets mounted into a container.
    if secret and status.st_uid == me and mode & 0o077:
        raise NotOwnError("others can read it")
