"""What came is brought to the disk now and then, beside everything else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from raydl.output.ledger import Ledger
from raydl.output.ranges import sync_file_system

EVERY_SECONDS = 2.0
LAST_SECONDS = 0.2
"""How long the end of a run waits for the disk. What it has not taken by then counts until the
machine ends: after that it is fetched again."""


class Settling:
    """Syncs the file system of ``directory`` in a thread; the caller's tells the ``ledger``."""

    def __init__(
        self,
        ledger: Ledger,
        directory: Path,
        sync: Callable[[Path], None] = sync_file_system,
    ) -> None:
        self._ledger, self._directory, self._sync = ledger, directory, sync
        self._done = threading.Event()
        self._round: int | None = None
        self._next_at = 0.0

    def look(self, now: float) -> None:
        """Note what is on the disk by now, and begin again where that is due."""
        if not self._next_at:
            self._next_at = now + EVERY_SECONDS
        if self._round is not None and self._done.is_set():
            self._ledger.settle(self._round)
            self._round = None
        if self._round is None and now >= self._next_at:
            self._next_at = now + EVERY_SECONDS
            self._begin()

    def finish(self) -> None:
        """The same for all of it, if that is soon done."""
        if self._round is None:
            self._begin()
            if self._done.wait(LAST_SECONDS) and self._round is not None:
                self._ledger.settle(self._round)

    def _begin(self) -> None:
        self._round = self._ledger.next_round()
        done = self._done = threading.Event()

        def sync() -> None:
            with contextlib.suppress(OSError):
                self._sync(self._directory)
                done.set()

        threading.Thread(target=sync, name="raydl-sync", daemon=True).start()
