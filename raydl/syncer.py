"""Brings written data to the disk in the background, and records how far it is."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from raydl.errors import OutputError
from raydl.journal import Journal
from raydl.partfile import PartFile

SYNC_SECONDS = 2.0
SYNC_BYTES = 256 << 20
"""The data goes to the disk after this many seconds or bytes, whichever is first: what a crash
of the machine loses, besides the window."""


def sync(part: PartFile, journal: Journal, path: Path, written: int) -> Journal:
    """Bring the first ``written`` bytes to the disk; returns the journal that vouches for them.

    Until then the journal at ``path`` vouches for no more than it did. A system tells of bytes
    that it lost once, to whoever syncs first: who ends before that is written down, however
    that comes, must have left a journal that does not count on them. Raises OSError, and
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

    ``synced`` is how many bytes are safe, by the journal where there is one.
    """

    def __init__(self, part: PartFile, journal: Journal | None, path: Path, synced: int) -> None:
        self._part, self._journal, self._path = part, journal, path
        self.synced = self._written = synced
        self._synced_at = time.monotonic()
        self._wake = threading.Condition()
        self._stopped = False
        self._error: OSError | OutputError | None = None
        self._thread: threading.Thread | None = None

    def wrote(self, written: int) -> None:
        """``written`` bytes of the file are with the operating system.

        Raises the error with which earlier bytes failed to reach the disk: OSError, OutputError.
        """
        if self._error is not None:
            raise self._error
        self._written = written
        if self._journal is None:
            return
        late = time.monotonic() - self._synced_at > SYNC_SECONDS
        if late or written - self.synced > SYNC_BYTES:
            with self._wake:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._run, name="raydl-sync", daemon=True
                    )
                    self._thread.start()
                self._wake.notify()

    def stop(self) -> None:
        """Returns when nothing touches the file and its journal any more."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def finish(self) -> None:
        """Stop, and bring the rest to the disk. Raises as ``wrote`` does, again and again."""
        self.stop()
        if self._error is not None:
            raise self._error
        self._sync(self._written)

    def _run(self) -> None:
        while True:
            with self._wake:
                if self._stopped:
                    return
                written = self._written
                self._synced_at = time.monotonic()
            try:
                self._sync(written)
            except (OSError, OutputError):
                return
            with self._wake:
                if not self._stopped:
                    self._wake.wait()

    def _sync(self, written: int) -> None:
        try:
            if self._journal is None:
                _to_disk(self._part.fd)
            elif written > self.synced:
                self._journal = sync(self._part, self._journal, self._path, written)
            self.synced = written
        except (OSError, OutputError) as error:
            # Told once per open file: who does not keep it takes a file with holes for whole.
            self._error = error
            raise


def _to_disk(fd: int) -> None:
    getattr(os, "fdatasync", os.fsync)(fd)
