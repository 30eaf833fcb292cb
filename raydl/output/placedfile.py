"""A file whose bytes come in any order, each at its place: ``NAME.part``, then ``NAME``."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from raydl.model.coverage import Coverage
from raydl.model.digests import new_hash
from raydl.model.errors import OutputError
from raydl.model.remote import Remote
from raydl.model.units import format_size
from raydl.origin.identity import Identity
from raydl.output.journal import Journal
from raydl.output.oserrors import output_error
from raydl.output.partfile import PartFile
from raydl.output.record import Record, record_path
from raydl.output.takeover import journal_of, why_start_over
from raydl.output.target import sync_directory

SYNC_SECONDS = 0.5
"""Between two times that what is written goes to the disk. What came since the last one is fetched
again after a crash: the journal vouches for nothing else."""

HASH_SIZE = 1 << 20
"""Bytes that are taken into the digest at once: few enough to stay in a processor's cache."""

_READ_AND_WRITE = 0o600


class PlacedFile:
    """``NAME.part`` with its journal; bytes are written at their place, in any order.

    ``written`` is what it has, what an earlier run left included, of which ``note`` tells. With
    an ``algorithm`` its digest grows behind its first gap, read back from the system's cache.
    Threads of its own bring what is written to the disk, and compute. ``size`` has to be known.

    Raises TargetError while another raydl writes the same target, and where what is there is of
    others or of another URL, OutputError for what the file system refuses.
    """

    def __init__(
        self,
        target: Path,
        remote: Remote,
        identity: Identity,
        *,
        algorithm: str | None,
        resume: bool,
        overwrite: bool,
        proven: bool,
    ) -> None:
        assert remote.size is not None
        self.target, self.size, self.note = target, remote.size, ""
        self._journal_path = target.with_name(target.name + ".part.journal")
        self._overwrite, self._algorithm = overwrite, algorithm
        self._lock = threading.Condition()
        self._error: BaseException | None = None
        self._is_over = self._is_published = False
        self._hash = new_hash(algorithm) if algorithm else None
        self._hashed, self._buffer = 0, memoryview(bytearray(HASH_SIZE if algorithm else 0))
        self._journal = Journal.of(remote, identity).doubted()
        with contextlib.ExitStack() as on_error:
            try:
                self._part = PartFile(target)
                on_error.callback(self._part.close)
                self.written = self._take_over(remote, identity, resume, proven)
                self._begin()
            except OSError as error:
                raise output_error(error, target) from None
            on_error.pop_all()
        self._threads = [threading.Thread(target=self._sync, name="raydl-sync", daemon=True)]
        if self._hash is not None:
            hashing = threading.Thread(target=self._compute, name="raydl-digest", daemon=True)
            self._threads.append(hashing)
        for thread in self._threads:
            thread.start()

    @property
    def is_whole(self) -> bool:
        """Whether every byte is there."""
        return self.written.size == self.size

    @property
    def synced(self) -> Coverage:
        """What is safe on the disk."""
        return self._journal.synced

    def write(self, start: int, data: memoryview) -> None:
        """Put the bytes at their place. Raises OutputError, also for earlier ones."""
        stop = start + data.nbytes
        self._check()
        try:
            while data.nbytes:
                count = os.pwrite(self._part.fd, data, stop - data.nbytes)
                data = data[count:]
        except OSError as error:
            raise output_error(error, self._part.path, "run the same command again") from None
        self.note_written(start, stop)

    def note_written(self, start: int, stop: int) -> None:
        """These bytes are there, whoever wrote them."""
        with self._lock:
            self.written.add(start, stop)
            self._lock.notify_all()

    def read(self, start: int, stop: int) -> bytearray:
        """These bytes, which are there. Raises OutputError."""
        if not self.written.covers(start, stop):
            raise OutputError(f"{self.target} has not all of {start}-{stop}")
        return read_range(self._part.fd, start, stop, self._part.path)

    def digest(self, check: Callable[[], None] = lambda: None) -> str:
        """The digest (hex) of the whole file, which is safe on the disk then.

        Waits for both; ``check`` is called meanwhile. Raises OutputError.
        """
        with self._lock:
            while not (self._is_synced() and (self._hash is None or self._hashed == self.size)):
                self._raise_error()
                check()
                self._lock.wait(0.1)
        self._raise_error()
        return self._hash.hexdigest() if self._hash is not None else ""

    def publish(self) -> None:
        """Give the whole file its name, and record what it is. Raises TargetError, OutputError."""
        self.digest()
        try:
            self._part.move(self._overwrite)
            self._is_published = True
            self._journal_path.unlink(missing_ok=True)
            if self._hash is not None and self._algorithm is not None:
                digests = {self._algorithm: self._hash.hexdigest()}
                Record.of(self._journal, self.target, digests).save(record_path(self.target))
            sync_directory(self.target.parent)
        except OSError as error:
            raise output_error(error, self.target, "run the same command again") from None

    def drop(self) -> None:
        """Remove what there is: it is wrong."""
        with contextlib.suppress(OSError):
            if not self._is_published:
                self._part.drop()
                self._journal_path.unlink(missing_ok=True)
        self._is_published = True

    def close(self) -> None:
        """Let go; what is written is brought to the disk first, for the next run."""
        with self._lock:
            self._is_over = True
            self._lock.notify_all()
        for thread in self._threads:
            thread.join()
        if not self._is_published and not self.written.size:
            self.drop()
        self._part.close()

    def _take_over(
        self, remote: Remote, identity: Identity, resume: bool, proven: bool
    ) -> Coverage:
        """What of an earlier run stays."""
        length = self._part.length
        if not length:
            return Coverage()
        old = journal_of(self._part, self._journal_path)
        self.note = why_start_over(
            self._part, old, remote, identity,
            resume=resume, overwrite=self._overwrite, proven=proven,
        )  # fmt: skip
        if self.note:
            return Coverage()
        # Of what is written and was not safe yet the journal vouches for nothing, until it is.
        self._journal = self._journal.with_synced(old.kept_safe(length)).doubted()
        kept = old.kept(length)
        self.note = f"going on from {format_size(kept.size)} kept from before"
        return kept

    def _begin(self) -> None:
        """Make room for all of it, with a journal that fits what is there after every step."""
        if not self.written.size:
            self._part.cut(0)
        if self._overwrite:
            self._part.take_mode(_READ_AND_WRITE)
        self._journal.save(self._journal_path)
        sync_directory(self.target.parent)
        try:
            reserve(self._part.fd, self.size)
        except OSError as error:
            if not self.written.size:
                self.drop()
            if error.errno != errno.ENOSPC:
                raise
            free = os.fstatvfs(self._part.fd)
            raise OutputError(
                f"{self.target.parent} has {format_size(free.f_bavail * free.f_frsize)} free, "
                f"{format_size(self.size)} are needed",
                "free some space, or save elsewhere with -o",
            ) from None

    def _is_synced(self) -> bool:
        return self._journal.synced.size == self.size

    def _check(self) -> None:
        self._raise_error()
        if self._is_over:
            raise OutputError(f"{self.target} was closed")

    def _raise_error(self) -> None:
        if isinstance(self._error, OSError):
            raise output_error(self._error, self._part.path, "run the same command again")
        if self._error is not None:
            raise self._error

    def _run(self, turn: Callable[[], bool]) -> None:
        """Take turns until there is nothing more to do, or something goes wrong."""
        try:
            while turn():
                pass
        except BaseException as error:
            with self._lock:
                self._error = self._error or error
                self._lock.notify_all()

    def _sync(self) -> None:
        self._run(self._sync_once)

    def _sync_once(self) -> bool:
        """Bring what is written to the disk, and say so in the journal; False at the end."""
        with self._lock:
            self._lock.wait_for(lambda: self._is_over or self.written != self._journal.synced)
            written, is_last = Coverage(self.written), self._is_over
        if written != self._journal.synced and not self._is_published:
            self._part.must_be_in_place()
            getattr(os, "fdatasync", os.fsync)(self._part.fd)
            journal = self._journal.with_synced(written).doubted()
            self._part.must_be_in_place()
            journal.save(self._journal_path)
            with self._lock:
                self._journal = journal
                self._lock.notify_all()
        if is_last or self._is_synced():
            return False
        with self._lock:
            self._lock.wait_for(lambda: self._is_over or self.is_whole, SYNC_SECONDS)
        return True

    def _compute(self) -> None:
        self._run(self._compute_once)

    def _compute_once(self) -> bool:
        """Take the next bytes into the digest; False at the end."""
        with self._lock:
            self._lock.wait_for(lambda: self._is_over or self.written.prefix > self._hashed)
            stop = min(self.written.prefix, self._hashed + HASH_SIZE)
            if self._is_over or self._hash is None:
                return False
        data = self._buffer[: stop - self._hashed]
        fill(self._part.fd, self._hashed, data, self._part.path)
        self._hash.update(data)
        with self._lock:
            self._hashed = stop
            self._lock.notify_all()
        return stop < self.size


def read_range(fd: int, start: int, stop: int, path: Path) -> bytearray:
    """The bytes ``[start, stop)`` of an open file. Raises OutputError, OSError."""
    data = bytearray(stop - start)
    fill(fd, start, memoryview(data), path)
    return data


def fill(fd: int, start: int, view: memoryview, path: Path) -> None:
    """Read an open file from there on until the view is full. Raises OutputError, OSError."""
    stop = start + view.nbytes
    while view.nbytes:
        count = os.preadv(fd, [view], stop - view.nbytes)
        if not count:
            raise OutputError(f"{path} became shorter while it was read")
        view = view[count:]


def reserve(fd: int, size: int) -> None:
    """Take the room for a file of ``size`` bytes, and make it that long. Raises OSError.

    Not with ``os.posix_fallocate``: where a file system has no such call, as NFS before 4.2, the C
    library writes into every block of it, and would overwrite what others write meanwhile.
    """
    if sys.platform == "linux":
        import ctypes

        fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None)
        if fallocate is not None and size:
            fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
            if fallocate(fd, 0, 0, size) == 0:
                return
            number = ctypes.get_errno()
            if number not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                raise OSError(number, os.strerror(number))
    if os.fstat(fd).st_size < size:
        os.ftruncate(fd, size)
