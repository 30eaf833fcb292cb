"""Files that raydl finds and obeys: opened first, then judged by what was opened.

Who may write into the directory, as anybody may into /tmp, could have put anything there: a
symbolic link, a pipe, a file that stays theirs.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from raydl.errors import TargetError

_CAREFUL = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
"""Follow no symbolic link, do not wait for a pipe's other end."""


def open_own(path: Path, flags: int) -> int:
    """Open a regular file of this user; returns its descriptor.

    Raises TargetError for what is none, OSError for what cannot be opened.
    """
    fd = os.open(path, flags | _CAREFUL)
    try:
        why = _objection(fd, path.parent)
    except BaseException:
        os.close(fd)
        raise
    if why:
        os.close(fd)
        raise TargetError(f"{path} {why}", "remove it, or save elsewhere with -o")
    return fd


def make_own(path: Path, flags: int, mode: int = 0o666) -> int:
    """Make a file that was not there; returns its descriptor. Raises OSError."""
    return os.open(path, flags | os.O_CREAT | os.O_EXCL | _CAREFUL, mode)


def _objection(fd: int, folder: Path) -> str:
    opened = os.fstat(fd)
    if not stat.S_ISREG(opened.st_mode):
        return "is no regular file"
    if not hasattr(os, "geteuid") or opened.st_uid == os.geteuid():
        return ""
    # Some file systems give what we make to another user, such as an NFS that squashes root.
    with tempfile.TemporaryFile(dir=folder) as made:
        ours = os.fstat(made.fileno()).st_uid
    return "" if opened.st_uid == ours else "belongs to another user"
