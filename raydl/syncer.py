"""Brings written data to the disk in the background, and records how far it is."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

from raydl.journal import Journal

SYNC_SECONDS = 2.0
SYNC_BYTES = 256 << 20
"""The data goes to the disk after this many seconds or bytes, whichever is first: what a crash
of the machine loses, besides the window."""


class Syncer:
    """Brings data to the disk in the background and records in the journal how far it is."""

    def __init__(self, fd: int, journal: Journal | None, path: Path, synced: int) -> None:
        self._fd, self._journal, self._path = fd, journal, path
        self._synced = self._written = synced
        self._synced_at = time.monotonic()
        self._wake = threading.Condition()
        self._stopped = False
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None

    def wrote(self, written: int) -> None:
        """``written`` bytes of the file are with the operating system.

        Raises the OSError with which earlier bytes failed to reach the disk.
        """
        if self._error is not None:
            raise self._error
        if self._journal is None:
            return
        self._written = written
        late = time.monotonic() - self._synced_at > SYNC_SECONDS
        if late or written - self._synced > SYNC_BYTES:
            with self._wake:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._run, name="raydl-sync", daemon=True
                    )
                    self._thread.start()
                self._wake.notify()

    def finish(self) -> None:
        """Stop; returns when nothing touches the file any more. Raises as ``wrote`` does."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        assert self._journal is not None
        while True:
            with self._wake:
                if self._stopped:
                    return
                written = self._written
                self._synced_at = time.monotonic()
            try:
                getattr(os, "fdatasync", os.fsync)(self._fd)
            except OSError as error:
                # Told once per open file: who does not keep it takes a file with holes for whole.
                self._error = error
                return
            with contextlib.suppress(OSError):  # an older journal only keeps less
                self._journal.with_synced(written).save(self._path)
            with self._wake:
                self._synced = written
                if not self._stopped:
                    self._wake.wait()
