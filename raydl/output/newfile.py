"""A small file that comes into being whole: under its name, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from raydl.model.errors import TargetError
from raydl.output.oserrors import output_error
from raydl.output.partfile import give_name
from raydl.output.seal import sealed

_NOT_OFFERED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
"""What systems and file systems without nameless files say."""


READ_SIZE = 1 << 20


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


class NewFile:
    """A file without a name, where the system has such; ``publish`` gives it its own.

    What is in the way is replaced with ``overwrite``, or if its size and time of writing (ns) are
    still those of ``stamp``; with ``may_be_there`` it stays, if it has the same bytes. What is
    interrupted leaves nothing there. Its time of writing shows the ``seal``. Directories that are
    missing are made. Nothing is brought to the disk by this: who needs that syncs.
    Raises OutputError.
    """

    def __init__(
        self,
        target: str,
        overwrite: bool = False,
        stamp: tuple[int, int] | None = None,
        may_be_there: bool = False,
        seal: int | None = None,
    ) -> None:
        self._target, self._overwrite = target, overwrite
        self._stamp, self._may_be_there, self._seal = stamp, may_be_there, seal
        self._name = ""
        try:
            try:
                self._fd = self._make()
            except FileNotFoundError:
                os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
                self._fd = self._make()
        except OSError as error:
            raise output_error(error, Path(target)) from None

    def write(self, data: memoryview) -> None:
        """Append the bytes."""
        try:
            while data.nbytes:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise output_error(error, Path(self._target)) from None

    def publish(self) -> tuple[int, int]:
        """Give it its name; returns its size and when it was written (ns).

        Raises TargetError where something else is in the way.
        """
        try:
            # Some file systems tell only now that they could not take the bytes (NFS, close(2)).
            os.close(os.dup(self._fd))
            self._set_time()
            if self._overwrite or self._stamp is not None:
                self._replace()
            elif self._name:
                give_name(Path(self._name), Path(self._target))
                self._name = ""
            else:
                self._link(self._target)
            found = os.fstat(self._fd)
        except FileExistsError:
            there = same_there(self._fd, self._target) if self._may_be_there else None
            if there is None:
                raise _in_the_way(self._target, self._may_be_there) from None
            found = there
        except OSError as error:
            raise output_error(error, Path(self._target)) from None
        return found.st_size, found.st_mtime_ns

    def _set_time(self) -> None:
        if self._seal is not None:
            now = time.time_ns()
            with contextlib.suppress(OSError):  # some file systems set no times
                os.utime(self._fd, ns=(now, sealed(self._seal, now)))

    def _replace(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            there = os.stat(self._target)  # noqa: PTH116
            if not self._overwrite and (there.st_size, there.st_mtime_ns) != self._stamp:
                raise FileExistsError
            os.fchmod(self._fd, there.st_mode & 0o777)
        if not self._name:
            name = self._beside()
            self._link(name)
            self._name = name
        os.replace(self._name, self._target)  # noqa: PTH105
        self._name = ""

    def close(self) -> None:
        """Let go of it; without a name it is gone."""
        with contextlib.suppress(OSError):
            os.close(self._fd)
        if self._name:
            with contextlib.suppress(OSError):
                os.unlink(self._name)  # noqa: PTH108

    def _make(self) -> int:
        directory = os.path.dirname(self._target) or "."  # noqa: PTH120
        nameless = getattr(os, "O_TMPFILE", 0)
        if nameless:
            try:
                return os.open(directory, os.O_RDWR | nameless, 0o666)
            except OSError as error:
                if error.errno not in _NOT_OFFERED or not os.path.isdir(directory):  # noqa: PTH112
                    raise
        self._name = self._beside()
        return os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)

    def _beside(self) -> str:
        return os.path.join(os.path.dirname(self._target), f".raydl-{os.urandom(6).hex()}")  # noqa: PTH118, PTH120

    def _link(self, name: str) -> None:
        # With a directory given, even if it does not count, Python asks the system to follow the
        # link that /proc has (open(2), O_TMPFILE).
        os.link(f"/proc/self/fd/{self._fd}", name, src_dir_fd=self._fd, follow_symlinks=True)


def same_there(
    fd: int, path: str, check: Callable[[], None] = lambda: None
) -> os.stat_result | None:
    """What is at a path, if it is a file with the same bytes as that which is open.

    ``check`` is called now and then, and may end that by what it raises.
    """
    with contextlib.suppress(OSError), open(path, "rb", opener=_no_link) as there:
        found, size = os.fstat(there.fileno()), os.fstat(fd).st_size
        if found.st_size != size or not stat.S_ISREG(found.st_mode):
            return None
        for at in range(0, size, READ_SIZE):
            check()
            if os.pread(fd, READ_SIZE, at) != os.pread(there.fileno(), READ_SIZE, at):
                return None
        return found
    return None


def _in_the_way(path: str, may_be_there: bool) -> TargetError:
    if not may_be_there:
        return TargetError(f"{path} exists already")
    what = "and is not what came now: somebody's, or of a run that was killed"
    return TargetError(f"{path} exists already, {what}", "--overwrite replaces it")
