"""The ``.part`` file: opened, locked, and moved onto its target in one step.

Whatever is done by path is done only while the path still leads to the file that is open here:
a person may remove it meanwhile, and another raydl may make a new one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from raydl.errors import OutputError, TargetError


class PartFile:
    """``NAME.part`` beside ``NAME``, for this process alone. Raises OSError and TargetError."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self.fd = self._open()

    @property
    def length(self) -> int:
        """Bytes in it now."""
        return os.fstat(self.fd).st_size

    def is_in_place(self) -> bool:
        """Whether the path still leads to this file."""
        return _same_file(self.fd, self.path)

    def move(self, overwrite: bool) -> None:
        """Give the file its target's name. Raises TargetError where that is taken."""
        if not self.is_in_place():
            raise OutputError(f"{self.path} was changed by someone else", "run it again")
        if overwrite:
            self.path.replace(self.target)
            return
        try:
            # A link, unlike a rename, never replaces what came into being meanwhile.
            os.link(self.path, self.target)
        except FileExistsError:
            raise TargetError(
                f"{self.target} has come into being meanwhile",
                f"the download is whole in {self.path}; --overwrite replaces it",
            ) from None
        except OSError:
            if self.target.exists():
                raise
            self.path.replace(self.target)  # a file system without hard links
        else:
            self.path.unlink()

    def drop(self) -> None:
        """Remove it."""
        if self.is_in_place():
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it."""
        with contextlib.suppress(OSError):
            os.close(self.fd)

    def _open(self) -> int:
        # Not through a symbolic link: who planted it would have its target overwritten.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        while True:
            fd = os.open(self.path, flags, 0o666)
            if not lock_file(fd):
                os.close(fd)
                raise TargetError(
                    f"another raydl is writing {self.target}", "wait for it, or save elsewhere"
                )
            # Between open and lock the other raydl may have finished and renamed this file: then
            # what is locked here is its target. After a crash between link and unlink the file
            # has two names, and the other one is a finished target.
            if _same_file(fd, self.path):
                if os.fstat(fd).st_nlink == 1:
                    return fd
                self.path.unlink()
            os.close(fd)


def _same_file(fd: int, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), path.lstat())
    return False


def lock_file(descriptor: int) -> bool:
    """Whether this process now has the file to itself; the lock ends with the process."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True
