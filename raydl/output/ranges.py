"""An open file: ranges of it, room for it, and what tells whether it was changed."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from raydl.model.errors import OutputError

_NOT_OFFERED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def stamp_of(fd: int) -> tuple[int, ...]:
    """What tells an open file from a changed or another one: its size, when it was written last
    (ns), its number, and whose it is. Raises OSError."""
    return _stamp(os.fstat(fd))


def stamp_at(path: Path) -> tuple[int, ...]:
    """The same of what is at a path now, links not followed; empty where nothing is.

    Raises OSError.
    """
    try:
        return _stamp(path.lstat())
    except FileNotFoundError:
        return ()


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_uid


def read_range(
    fd: int, start: int, stop: int, path: Path, stamp: tuple[int, ...] = ()
) -> bytearray:
    """The bytes ``[start, stop)`` of an open file, which has this ``stamp``. Raises OutputError."""
    data = bytearray(stop - start)
    fill(fd, start, memoryview(data), path)
    if stamp and stamp_of(fd) != stamp:  # afterwards: a change before is one that was read
        raise OutputError(f"{path} was changed by someone else")
    return data


def write_at(fd: int, start: int, data: memoryview) -> None:
    """Write all of ``data`` to an open file from there on. Raises OSError."""
    while data.nbytes:
        count = os.pwrite(fd, data, start)
        start, data = start + count, data[count:]


def fill(fd: int, start: int, view: memoryview, path: Path) -> None:
    """Read an open file from there on until the view is full. Raises OutputError."""
    stop = start + view.nbytes
    while view.nbytes:
        try:
            count = os.preadv(fd, [view], stop - view.nbytes)
        except OSError as error:
            raise OutputError(f"cannot read {path}: {error.strerror}") from None
        if not count:
            raise OutputError(f"{path} became shorter while it was read")
        view = view[count:]


def reserve(fd: int, size: int) -> None:
    """Take the room for a file of ``size`` bytes, and make it that long. Raises OSError.

    Not with ``os.posix_fallocate``: where a file system has no such call, as NFS before 4.2, the C
    library writes into every block of it, and would overwrite what others write meanwhile.
    """
    if sys.platform == "linux" and size:
        import ctypes

        fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None)
        if fallocate is not None:
            fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
            while fallocate(fd, 0, 0, size):
                number = ctypes.get_errno()
                if number in _NOT_OFFERED:
                    break
                if number != errno.EINTR:
                    raise OSError(number, os.strerror(number))
    there, room = os.fstat(fd), os.fstatvfs(fd)
    if room.f_bavail * room.f_frsize < size - 512 * there.st_blocks:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if there.st_size < size:
        os.ftruncate(fd, size)


def sync_file_system(path: Path) -> None:
    """Bring everything that was written to the file system of ``path`` to its disk. Raises OSError.

    See syncfs(2); where there is none, that of all file systems.
    """
    import ctypes  # takes milliseconds, of every start

    sync = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if sync is None:
        os.sync()
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        if sync(fd):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(fd)
