"""A file whose bytes come in any order, each at its place: ``NAME.part``, then ``NAME``."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

from raydl.model.coverage import Coverage
from raydl.model.digests import new_hash
from raydl.model.errors import OutputError
from raydl.model.remote import Remote
from raydl.model.units import format_size
from raydl.origin.identity import Identity
from raydl.output.journal import Journal
from raydl.output.oserrors import output_error
from raydl.output.owner import written_by_another
from raydl.output.partfile import PartFile
from raydl.output.ranges import fill, read_range, reserve, stamp_of, write_at
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
    Any thread may call it, also while another closes it. For ``mode_of`` see ``PartFile``.

    Raises TargetError while another raydl writes the same target, and where what is there is of
    others or of another URL, OutputError for what the file system refuses.
    """

    owner: str | None = None
    """The record of who writes it, for its journal."""

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
        mode_of: Path | None = None,
    ) -> None:
        assert remote.size is not None
        self.target, self.size, self.note = target, remote.size, ""
        self._journal_path = target.with_name(target.name + ".part.journal")
        self._overwrite, self._algorithm = overwrite, algorithm
        self._lock = threading.Condition()
        self._error: BaseException | None = None
        self._is_over = self._is_released = False
        self._writers = 0
        self._hash = new_hash(algorithm) if algorithm else None
        self._hashed, self._buffer = 0, memoryview(bytearray(HASH_SIZE if algorithm else 0))
        self._stamp: tuple[int, ...] = ()
        """What the file is known by once it has its name, and anybody may change it."""
        journal = replace(Journal.of(remote, identity), owner=self.owner, writer=token_hex(8))
        self._journal = journal.doubted()
        with contextlib.ExitStack() as on_error:
            try:
                self._part = PartFile(target, mode_of)
                on_error.callback(self._part.close)
                self._written = self._take_over(remote, identity, resume, proven)
                on_error.callback(self._drop_if_empty)
                self._begin()
            except OSError as error:
                raise output_error(error, target) from None
            on_error.pop_all()
        self._threads = [threading.Thread(target=self._sync, name="raydl-sync", daemon=True)]
        if self._hash is not None:
            hashing = threading.Thread(target=self._compute, name="raydl-digest", daemon=True)
            self._threads.append(hashing)
        self._start()

    @property
    def written(self) -> Coverage:
        """What is there now."""
        with self._lock:
            return Coverage(self._written)

    @property
    def is_whole(self) -> bool:
        """Whether every byte is there."""
        return self._written.size == self.size

    @property
    def synced(self) -> Coverage:
        """What is safe on the disk."""
        return self._journal.synced

    def write(self, start: int, data: memoryview) -> None:
        """Put the bytes at their place, unless they are there: then the file may have its digest,
        or its name. Raises OutputError, also for earlier ones."""
        stop = start + data.nbytes
        self._raise_error()
        with self._writing(start, stop) as part:
            if part is None:
                return
            try:
                write_at(part.fd, start, data)
            except OSError as error:
                raise output_error(error, part.path, "run the same command again") from None
            self.note_written(start, stop)

    def note_written(self, start: int, stop: int) -> None:
        """These bytes are there, whoever wrote them."""
        with self._lock:
            self._written.add(start, stop)
            self._lock.notify_all()

    def read(self, start: int, stop: int) -> bytearray:
        """These bytes, which are there. Raises OutputError, also where others changed the file."""
        with self._lock:
            is_there = self._written.covers(start, stop)
        if not is_there:
            raise OutputError(f"{self.target} has not all of {start}-{stop}")
        with self._open_part() as part:
            return read_range(part.fd, start, stop, part.path, self._stamp)

    def digest(self, check: Callable[[], None] = lambda: None) -> str:
        """The digest (hex) of the whole file, which is safe on the disk then.

        Waits for both; ``check`` is called meanwhile. Raises OutputError.
        """
        with self._lock:
            while not (
                self._is_synced()
                and not self._writers
                and (self._hash is None or self._hashed == self.size)
            ):
                self._raise_error()
                self._must_be_open()
                check()
                self._lock.wait(0.1)
        self._raise_error()
        return self._hash.hexdigest() if self._hash is not None else ""

    def publish(self) -> None:
        """Give the whole file its name, and record what it is. Raises TargetError, OutputError."""
        digest = self.digest()
        self._must_be_ours()
        with self._open_part() as part:
            try:
                if part.length != self.size:
                    raise OutputError(f"{part.path} was changed by someone else", "run it again")
                os.fsync(part.fd)  # its time too, which the record has
                self._stamp = stamp_of(part.fd)
                if self._algorithm is not None:
                    # Before it has its name: else a crash in between would leave a file there
                    # that the next run knows nothing of. One that finds no room is done without.
                    with contextlib.suppress(OSError):
                        record = Record(self._journal, self._stamp, {self._algorithm: digest})
                        record.save(record_path(self.target))
                part.move(self._overwrite)
                self._journal_path.unlink(missing_ok=True)
                sync_directory(self.target.parent)
            except OSError as error:
                raise output_error(error, self.target, "run the same command again") from None

    def drop(self) -> None:
        """Remove what there is: it is wrong. Nothing more can be done with it."""
        self._stop()  # else what is on its way to the disk would leave a journal
        self._remove()

    def close(self) -> None:
        """Let go; what is written is brought to the disk first, for the next run."""
        self._stop()
        try:
            self._drop_if_empty()
        finally:
            with self._lock:
                if not self._is_released:  # later on its number may be another file's
                    self._is_released = True
                    self._part.close()

    def _start(self) -> None:
        for thread in self._threads:
            thread.start()

    def _stop(self) -> None:
        """End the threads; nothing begins any more."""
        with self._lock:
            self._is_over = True
            self._lock.notify_all()
        for thread in self._threads:
            thread.join()

    @contextlib.contextmanager
    def _open_part(self) -> Iterator[PartFile]:
        """A handle of the caller's own. Without, a file that is closed meanwhile would leave it
        with a number that may be another file's by then. Raises OutputError."""
        with self._lock:
            self._must_be_open()
            part = self._part.again()
        try:
            yield part
        finally:
            part.close()

    @contextlib.contextmanager
    def _writing(self, start: int, stop: int) -> Iterator[PartFile | None]:
        """A handle to write these bytes with, None if they are there."""
        with self._lock:
            self._must_be_open()
            is_there = self._written.covers(start, stop)
            self._writers += not is_there
        if is_there:
            yield None
            return
        try:
            with self._open_part() as part:
                yield part
        finally:
            with self._lock:
                self._writers -= 1
                self._lock.notify_all()

    def _must_be_open(self) -> None:
        if self._is_over:
            raise OutputError(f"{self.target} was closed")

    def _drop_if_empty(self) -> None:
        if not self._written.size:
            self._remove()

    def _remove(self) -> None:
        """Remove the part file and its journal, unless that is the target by now, or another's."""
        with contextlib.suppress(OSError):
            if self._part.is_in_place():
                self._part.drop()
                self._journal_path.unlink(missing_ok=True)

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
        if not kept.size:
            self.note = f"starting over: nothing in {self._part.path.name} is certain"
        return kept

    def _begin(self) -> None:
        """Make room for all of it, with a journal that fits what is there after every step."""
        length = min(self._part.length, self.size) if self._written.size else 0
        if length:
            self._part.cut(length)
        elif self._part.length:
            # What a worker of an earlier run still writes goes nowhere then, and no other, where
            # locks say yes to everybody, gives its name to a file that was emptied.
            self._part.renew()
        if self._overwrite:
            self._part.take_mode(_READ_AND_WRITE)
        self._journal.save(self._journal_path)
        sync_directory(self.target.parent)
        try:
            reserve(self._part.fd, self.size)
        except OSError as error:
            os.ftruncate(self._part.fd, length)  # the room that it did get
            if error.errno != errno.ENOSPC:
                raise
            free = os.fstatvfs(self._part.fd)
            raise OutputError(
                f"{self.target.parent} has {format_size(free.f_bavail * free.f_frsize)} free, "
                f"{format_size(self.size - length)} are needed",
                "free some space, or save elsewhere with -o",
            ) from None

    def _is_synced(self) -> bool:
        return self._journal.synced.size == self.size

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
            self._lock.wait_for(lambda: self._is_over or self._is_behind())
            written, is_last = Coverage(self._written), self._is_over
        if written.size != self._journal.synced.size:
            self._part.must_be_in_place()
            getattr(os, "fdatasync", os.fsync)(self._part.fd)
            self._save(self._journal.with_synced(written).doubted())
        if is_last or self._is_synced():
            return False
        with self._lock:
            self._lock.wait_for(lambda: self._is_over or self.is_whole, SYNC_SECONDS)
        return True

    def _save(self, journal: Journal) -> None:
        self._part.must_be_in_place()
        self._must_be_ours()
        journal.save(self._journal_path)
        with self._lock:
            self._journal = journal
            self._lock.notify_all()

    def _must_be_ours(self) -> None:
        """Raise TargetError where another one writes the file, which no lock kept it from."""
        found = Journal.load(self._journal_path)
        if found is not None and found.writer != self._journal.writer:
            raise written_by_another(self.target)

    def _is_behind(self) -> bool:
        # Both only grow, and what is safe is written: their sizes tell.
        return self._written.size != self._journal.synced.size

    def _compute(self) -> None:
        self._run(self._compute_once)

    def _compute_once(self) -> bool:
        """Take the next bytes into the digest; False at the end."""
        with self._lock:
            self._lock.wait_for(lambda: self._is_over or self._written.prefix > self._hashed)
            stop = min(self._written.prefix, self._hashed + HASH_SIZE)
            if self._is_over or self._hash is None:
                return False
        data = self._buffer[: stop - self._hashed]
        fill(self._part.fd, self._hashed, data, self._part.path)
        self._hash.update(data)
        with self._lock:
            self._hashed = stop
            self._lock.notify_all()
        return stop < self.size
