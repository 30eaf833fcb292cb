"""Our errors for what the operating system says of a write."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from raydl.model.errors import DiskError, OutputError

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What is no matter of one file."""


def output_error(error: OSError, path: Path, kept: str = "") -> OutputError:
    """Our error for what the operating system said of a write to ``path``.

    ``kept`` says how the same command goes on, which it does not where another place is needed.
    """
    elsewhere = "save elsewhere with -o"
    is_there = os.path.isdir(path.parent)  # noqa: PTH112 - raises nothing
    gone = "no file can be made there" if is_there else f"there is no directory {path.parent}"
    unfit = {
        errno.EFBIG: ("the file system takes no file that large", elsewhere),
        errno.EACCES: ("no permission", elsewhere),
        errno.EPERM: ("no permission", elsewhere),
        errno.EROFS: ("the file system is read-only", elsewhere),
        errno.ENOENT: (gone, elsewhere),
        errno.ENAMETOOLONG: ("the name is too long", "give a shorter one with -o"),
    }
    full = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up"}
    number = error.errno or 0
    if number in unfit:
        what, hint = unfit[number]
    else:
        what = full.get(number) or error.strerror or type(error).__name__
        hint = ", ".join(part for part in ("free some space" * (number in full), kept) if part)
    kind = DiskError if number in _OF_THE_DISK else OutputError
    return kind(f"cannot write {path}: {what}", hint)


def stdout_error(error: OSError) -> OutputError:
    """The same for standard output."""
    if error.errno == errno.EPIPE:
        return OutputError("the reader of standard output has gone")
    return output_error(error, Path("standard output"))
