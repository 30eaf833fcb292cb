"""Files that raydl finds and obeys: opened first, then judged by what was opened.

Anyone who may write into the directory, as in /tmp everybody may, could have put anything there: a
symbolic link, a pipe, a file that stays theirs; and what a path names can change between a look at
it and its being read.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

from raydl.model.errors import TargetError

_CAREFUL = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
"""Follow no symbolic link, do not wait for a pipe's other end."""


def open_own(path: Path, flags: int) -> int:
    """Open a regular file of this user; returns its descriptor.

    Raises TargetError for what is none, OSError for what cannot be opened.
    """
    fd = os.open(path, flags | _CAREFUL)
    try:
        why = _objection(os.fstat(fd), path.parent)
    except BaseException:
        os.close(fd)
        raise
    if why:
        os.close(fd)
        raise _not_ours(path, why)
    return fd


def check_own(path: Path) -> None:
    """Raise TargetError for what ``open_own`` would, and open nothing.

    Where a process closes a file, it loses all its locks on it (fcntl(2)).
    """
    why = _objection(path.lstat(), path.parent)
    if why:
        raise _not_ours(path, why)


def _not_ours(path: Path, why: str) -> TargetError:
    return TargetError(f"{path} {why}", "remove it, or save elsewhere with -o")


def make_own(path: Path, flags: int, mode: int = 0o666) -> int:
    """Make a file that was not there; returns its descriptor. Raises OSError."""
    return os.open(path, flags | os.O_CREAT | os.O_EXCL | _CAREFUL, mode)


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


def _objection(opened: os.stat_result, folder: Path) -> str:
    if not stat.S_ISREG(opened.st_mode):
        return "is no regular file"
    if not hasattr(os, "geteuid") or opened.st_uid == os.geteuid():
        return ""
    # Some file systems give what we make to another user, such as an NFS that squashes root.
    with tempfile.TemporaryFile(dir=folder) as made:
        ours = os.fstat(made.fileno()).st_uid
    return "" if opened.st_uid == ours else "belongs to another user"


def _check(status: os.stat_result, secret: bool) -> None:
    me, mode = os.getuid(), stat.S_IMODE(status.st_mode)
    if status.st_uid not in (me, 0):
        raise NotOwnError("it belongs to another user")
    if mode & 0o002:
        raise NotOwnError("others can write it")
    # What is root's has the mode that the administrator chose: secrets mounted into a container.
    if secret and status.st_uid == me and mode & 0o077:
        raise NotOwnError("others can read it")
