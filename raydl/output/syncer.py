"""Brings written data to the disk in the background, and records how far it is."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from raydl.model.coverage import Coverage
from raydl.model.errors import CancelledError
from raydl.output.journal import Journal
from raydl.output.partfile import PartFile

SYNC_SECONDS = 2.0
SYNC_BYTES = 256 << 20
"""The data goes to the disk after this many seconds or bytes, whichever is first, or ..."""

STRETCH_SECONDS = 0.5
LEAST_BYTES = 8 << 20
"""... when the sync time, estimated from the last one, reaches this, but not for fewer bytes. Twice
that is the most that is written and not safe: a crash of the machine or a kill amid a sync loses
it, and a download that is interrupted has to wait for it."""

CHECK_SECONDS = 0.1
PATIENCE = 1.0
"""A download that is interrupted waits for the disk no longer than this."""


def sync(part: PartFile, journal: Journal, path: Path, written: int) -> Journal:
    """Bring the first ``written`` bytes to the disk; returns the journal that vouches for them.

    Until then the journal at ``path`` vouches for no more than it did. A system reports
    lost bytes only once, to the process that syncs first: one that ends before that is recorded,
    for whatever reason, must have left a journal that does not count on them. Raises OSError, and
    OutputError where the part file was replaced: the journal there is another's then.
    """
    part.must_be_in_place()
    journal.doubted().save(path)
    _to_disk(part.fd)
    journal = journal.with_synced(Coverage([(0, written)]))
    part.must_be_in_place()
    journal.save(path)
    return journal


class Syncer:
    """Brings data to the disk in the background and records in the journal how far it is.

    ``synced`` is how many bytes are safe, by the journal where there is one. ``check`` is called
    now and then while the disk is waited for, and may end that with CancelledError.
    """

    def __init__(
        self,
        part: PartFile,
        journal: Journal | None,
        path: Path,
        synced: int,
        check: Callable[[], None],
    ) -> None:
        self._part, self._journal, self._path, self._check = part, journal, path, check
        self.synced = self._written = synced
        self._stretch = min(LEAST_BYTES, SYNC_BYTES)
        self._synced_at = time.monotonic()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def wrote(self, written: int) -> None:
        """``written`` bytes of the file are with the operating system.

        Waits while too many of them are not safe: that many would be lost. Raises the error with
        which earlier bytes failed to reach the disk: OSError, OutputError.
        """
        if self._error is not None:
            raise self._error
        self._written = written
        if self._journal is None:
            return
        late = time.monotonic() - self._synced_at > SYNC_SECONDS
        if late or written - self.synced > self._stretch:
            self._start()
        while written - self.synced > 2 * self._stretch:
            self._start()
            self.settle()

    def settle(self) -> None:
        """Returns when nothing touches the file and its journal. Raises as ``wrote`` does."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(CHECK_SECONDS)
            self._check()
        if self._error is not None:
            raise self._error

    def bring(self, written: int) -> None:
        """Bring the first ``written`` bytes to the disk. Raises as ``wrote`` does, each time."""
        self.settle()
        self._written = written
        if written > self.synced:
            self._start()
            self.settle()

    def close(self) -> None:
        """Bring the rest to the disk; once ``check`` raises, only where that is soon done.

        Raises what ``wrote`` does.
        """
        with contextlib.suppress(CancelledError):
            self.bring(self._written)
            return
        deadline = time.monotonic() + PATIENCE
        if self._is_over(deadline) and self._error is None and self._written > self.synced:
            self._start()
            self._is_over(deadline)

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
        work = (self._part.again(), self._written)
        self._thread = threading.Thread(
            target=self._sync, args=work, name="raydl-sync", daemon=True
        )
        self._thread.start()

    def _sync(self, part: PartFile, written: int) -> None:
        began = time.monotonic()
        try:
            if self._journal is None:
                _to_disk(part.fd)
            else:
                self._journal = sync(part, self._journal, self._path, written)
        except BaseException as error:
            # Reported once per open file: if not kept, a file with holes would be taken for whole.
            self._error = error
        else:
            speed = (written - self.synced) / max(time.monotonic() - began, 1e-6)
            self._stretch = min(max(LEAST_BYTES, int(speed * STRETCH_SECONDS)), SYNC_BYTES)
            self.synced = written
        finally:
            part.close()


def _to_disk(fd: int) -> None:
    getattr(os, "fdatasync", os.fsync)(fd)
