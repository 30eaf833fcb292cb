"""Brings written data to the disk in the background, and records in the journal how far it is."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from raydl.model.coverage import Coverage
from raydl.model.errors import CancelledError, OutputError, TargetError
from raydl.output.journal import Journal
from raydl.output.partfile import PartFile

SYNC_SECONDS = 2.0
SYNC_BYTES = 256 << 20
"""The data goes to the disk after this many seconds or bytes, whichever is first, or ..."""

STRETCH_SECONDS = 0.5
LEAST_BYTES = 8 << 20
"""... when the sync time, estimated from the last one, reaches this, but not for fewer bytes. Twice
that, and what lanes write until the window is full, is the most that is written and not safe: a
crash of the machine or a kill amid a sync loses it, and who interrupts a download waits for it."""

NOTE_SECONDS = 0.05
"""Between two notes of what is written: a kill loses that much."""

CHECK_SECONDS = 0.1
PATIENCE = 1.0
"""A download that is interrupted waits for the disk no longer than this."""


def sync(part: PartFile, journal: Journal, path: Path, written: Coverage) -> Journal:
    """Bring the bytes of ``written`` to the disk; returns the journal that vouches for them.

    Until then the journal at ``path`` vouches for no more than it did. A system reports
    lost bytes only once, to the process that syncs first: one that ends before that is recorded,
    for whatever reason, must have left a journal that does not count on them. Raises OSError, and
    OutputError where the part file was replaced: the journal there is another's then.
    """
    part.must_be_in_place()
    journal.doubted().save(path)
    _to_disk(part.fd)
    journal = journal.with_synced(written)
    part.must_be_in_place()
    journal.save(path)
    return journal


class Syncer:
    """Brings data to the disk in the background and records in the journal how far it is.

    ``landed`` tells what is with the operating system, and ``synced`` is what of it is safe, by the
    journal where there is one. ``check`` is called now and then while the disk is waited for, and
    may end that with CancelledError.
    """

    def __init__(
        self,
        part: PartFile,
        journal: Journal | None,
        path: Path,
        synced: Coverage,
        landed: Callable[[], Coverage],
        check: Callable[[], None],
    ) -> None:
        self._part, self._journal, self._path = part, journal, path
        self._landed, self._check = landed, check
        self.synced = synced
        self._noted_size = synced.size
        self._stretch = min(LEAST_BYTES, SYNC_BYTES)
        self._synced_at = time.monotonic()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._journaling = threading.Lock()
        """Whoever has it may write to the journal."""
        self._noting: threading.Thread | None = None

    def begin(self) -> None:
        """The journal is there, and bytes will come: note now and then which have."""
        if self._journal is not None and self._noting is None:
            noting = threading.Thread(target=self._note, name="raydl-note", daemon=True)
            with contextlib.suppress(RuntimeError):  # a system may refuse it: a kill loses more
                noting.start()
                self._noting = noting

    def wrote(self) -> None:
        """More bytes of the file are with the operating system.

        Waits while too many of them are not safe: that many would be lost. Raises the error with
        which earlier bytes failed to reach the disk: OSError, OutputError.
        """
        if self._error is not None:
            raise self._error
        if self._journal is None:
            return
        late, behind = time.monotonic() - self._synced_at > SYNC_SECONDS, self._behind()
        if late or behind > self._stretch:
            self._start()
        while behind > 2 * self._stretch:
            self._start()
            self.settle()
            behind = self._behind()

    def settle(self) -> None:
        """Returns when nothing touches the file and its journal. Raises as ``wrote`` does."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(CHECK_SECONDS)
            self._check()
        if self._error is not None:
            raise self._error

    def bring(self) -> None:
        """Bring all that is written to the disk. Raises as ``wrote`` does, each time."""
        self.settle()
        if self._behind():
            self._start()
            self.settle()

    def note(self) -> None:
        """Note what is written by now, unless a sync is under way, or the journal is another's."""
        landed = self._landed()
        # Whoever ends waits for this, and not for a disk that hangs.
        if landed.size == self._noted_size or not self._journaling.acquire(blocking=False):
            return
        try:
            # What is in doubt after a sync stays so, whatever is written since.
            if self._journal is None or self._error is not None:
                return
            with contextlib.suppress(OSError, OutputError, TargetError):  # a kill would lose more
                self._part.must_be_in_place()
                self._journal.note(self._path, landed)
                self._noted_size = landed.size
        finally:
            self._journaling.release()

    def stop_noting(self) -> None:
        """Note nothing more."""
        self._over.set()
        if self._noting is not None:
            self._noting.join()

    def close(self) -> None:
        """Bring the rest to the disk; once ``check`` raises, only where that is soon done.

        Raises what ``wrote`` does.
        """
        self.stop_noting()
        with contextlib.suppress(CancelledError):
            self.bring()
            return
        deadline = time.monotonic() + PATIENCE
        if self._is_over(deadline) and self._error is None and self._behind():
            self._start()
            self._is_over(deadline)

    def _behind(self) -> int:
        """How many bytes are written and not safe."""
        return self._landed().size - self.synced.size

    def _is_over(self, deadline: float) -> bool:
        """Whether the sync that is under way ended in time."""
        if self._thread is None:
            return True
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    def _start(self) -> None:
        """Begin a sync of what is written, unless one is under way."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._synced_at = time.monotonic()
        # A handle of its own: it may outlast ours, and nobody takes the file over before it ends.
        work = (self._part.again(), self._landed())
        self._thread = threading.Thread(
            target=self._sync, args=work, name="raydl-sync", daemon=True
        )
        self._thread.start()

    def _sync(self, part: PartFile, written: Coverage) -> None:
        began = time.monotonic()
        try:
            if self._journal is None:
                _to_disk(part.fd)
            else:
                with self._journaling:
                    self._journal = sync(part, self._journal, self._path, written)
                    self._noted_size = written.size
        except BaseException as error:
            # Reported once per open file: if not kept, a file with holes would be taken for whole.
            self._error = error
        else:
            speed = (written.size - self.synced.size) / max(time.monotonic() - began, 1e-6)
            self._stretch = min(max(LEAST_BYTES, int(speed * STRETCH_SECONDS)), SYNC_BYTES)
            self.synced = written
        finally:
            part.close()

    def _note(self) -> None:
        while not self._over.wait(NOTE_SECONDS):
            self.note()
        self.note()  # the digest may still take long


def _to_disk(fd: int) -> None:
    getattr(os, "fdatasync", os.fsync)(fd)
