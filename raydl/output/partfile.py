"""The ``.part`` file: opened, locked, and moved onto its target in one step.

Whatever is done by path is done only while the path still leads to the file that is open here:
a person may remove it meanwhile, and another raydl may make a new one.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import os
import stat
import sys
from itertools import count
from pathlib import Path

from raydl.model.errors import BusyError, OutputError, TargetError
from raydl.output.ranges import stamp_at
from raydl.settings.ownfile import make_own, open_own

NOT_OFFERED = (errno.EPERM, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EMLINK)
"""What file systems say of a way to name a file that they do not have."""

_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2


class PartFile:
    """``NAME.part`` beside ``NAME``, for this process alone. Raises OSError and TargetError.

    ``mode_of`` is the file that is to be replaced in the end, where that is not the target.
    """

    def __init__(self, target: Path, mode_of: Path | None = None) -> None:
        self.target, self._mode_of = target, mode_of or target
        self.path = target.with_name(target.name + ".part")
        self.fd = self._open()

    @property
    def length(self) -> int:
        """Bytes in it now."""
        return os.fstat(self.fd).st_size

    @property
    def room(self) -> int:
        """Bytes that it takes on the disk: one with gaps takes less than its length."""
        found = os.fstat(self.fd)
        return 512 * getattr(found, "st_blocks", -(-found.st_size // 512))

    def is_in_place(self) -> bool:
        """Whether the path still leads to this file."""
        return _same_file(self.fd, self.path)

    def must_be_in_place(self) -> None:
        """Raise OutputError where the path leads elsewhere."""
        if not self.is_in_place():
            raise OutputError(f"{self.path} was changed by someone else", "run it again")

    def move(self, overwrite: bool, stamp: tuple[int, ...] = ()) -> None:
        """Give the file its target's name. Raises TargetError where that is taken.

        What may be overwritten is, where a ``stamp`` is given, only what has that.
        """
        self.must_be_in_place()
        if overwrite:
            self.take_mode()
            if stamp and stamp_at(self.target) != stamp:
                raise TargetError(
                    f"{self.target} was changed meanwhile",
                    f"what was fetched is in {self.path}; run it again",
                )
            self.path.replace(self.target)
            return
        try:
            give_name(self.path, self.target)
        except FileExistsError:
            raise TargetError(
                f"{self.target} has come into being meanwhile",
                f"the download is whole in {self.path}; --overwrite replaces it",
            ) from None
        except OSError as error:
            if error.errno not in NOT_OFFERED:
                raise
            raise OutputError(
                f"on the file system of {self.target} a file cannot get a name without the risk "
                "of replacing another",
                f"the download is whole in {self.path}; --overwrite takes that risk",
            ) from None

    def take_mode(self, ours: int = 0) -> None:
        """Take on the permissions of the regular file that is to be replaced, and ``ours``."""
        with contextlib.suppress(OSError, AttributeError):  # none is there, or no such permissions
            there = self._mode_of.lstat().st_mode
            if stat.S_ISREG(there):
                os.fchmod(self.fd, there & 0o777 | ours)

    def set_aside(self) -> Path:
        """Give the file a name that nobody takes for its target's, and that was free."""
        self.must_be_in_place()
        for number in count():
            ending = f".bad.{number}" if number else ".bad"
            bad = self.target.with_name(self.target.name + ending)
            with contextlib.suppress(FileExistsError):
                give_name(self.path, bad)
                return bad
        raise AssertionError("unreachable")

    def drop(self) -> None:
        """Remove it."""
        if self.is_in_place():
            self.path.unlink(missing_ok=True)

    def cut(self, length: int) -> None:
        """Truncate; at length 0, a hard-linked file (a backup) is replaced by a new one instead."""
        if length or os.fstat(self.fd).st_nlink < 2:
            os.ftruncate(self.fd, length)
        else:
            self.renew()

    def renew(self) -> None:
        """Put a new file in its place: who has the old one open still writes into that."""
        self.drop()
        old, self.fd = self.fd, self._open()
        os.close(old)

    def again(self) -> PartFile:
        """Another handle on it. The file is this process's until all of them are closed."""
        other = copy.copy(self)
        other.fd = os.dup(self.fd)
        return other

    def close(self) -> None:
        """Let go of it."""
        with contextlib.suppress(OSError):
            os.close(self.fd)

    def _open(self) -> int:
        while True:
            fd = self._open_or_make()
            if fd is None:
                continue
            if not lock_file(fd):
                os.close(fd)
                raise BusyError(
                    f"another raydl is writing {self.target}", "wait for it, or save elsewhere"
                )
            # Between open and lock the other raydl may have finished and renamed this file: then
            # what is locked here is its target. After a crash between link and unlink the file
            # has two names, and the other one is the finished target.
            if _same_file(fd, self.path):
                if not _same_file(fd, self.target):
                    return fd
                self.path.unlink()
            os.close(fd)

    def _open_or_make(self) -> int | None:
        """The file's descriptor; None where it came or went just now."""
        with contextlib.suppress(FileNotFoundError):
            return open_own(self.path, os.O_RDWR)
        with contextlib.suppress(FileExistsError):
            return make_own(self.path, os.O_RDWR)
        return None


def give_name(path: Path, name: Path) -> None:
    """Rename a file, but never to a name that is taken. Raises FileExistsError and OSError."""
    try:
        os.link(path, name)
    except OSError as error:
        if error.errno not in NOT_OFFERED:
            raise
        _rename_if_free(path, name)
    else:
        path.unlink()


def _rename_if_free(path: Path, name: Path) -> None:
    """For file systems without hard links: with Linux's renameat2, and as Windows renames."""
    if sys.platform == "win32":
        path.rename(name)
    else:
        _rename(path, name, _RENAME_NOREPLACE)


def exchange(path: Path, other: Path) -> bool:
    """Have two names change places in one step; False where that cannot be. Raises OSError."""
    try:
        _rename(path, other, _RENAME_EXCHANGE)
    except OSError as error:
        if error.errno not in NOT_OFFERED:
            raise
        return False
    return True


def _rename(path: Path, name: Path, how: int) -> None:
    import ctypes  # takes milliseconds, of every start, and few file systems need it

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    source, target = os.fsencode(path), os.fsencode(name)
    if rename(_AT_FDCWD, source, _AT_FDCWD, target, how):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


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
