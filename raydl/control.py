"""Cancelling a download from another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from raydl.errors import CancelledError


class Control:
    """Lets another thread cancel a download.

    ``kept`` is the number of bytes that the next run can go on from, once it has ended.
    """

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._cancel: Callable[[], None] = _nothing
        self.kept = 0

    def cancel(self) -> None:
        """Let the download end with CancelledError, if it has not ended."""
        self._cancelled.set()
        self._cancel()

    def watch(self, cancel: Callable[[], None]) -> None:
        """What to call from now on to cancel."""
        self._cancel = cancel
        if self._cancelled.is_set():
            cancel()

    def pause(self, seconds: float) -> None:
        """Wait; raises CancelledError as soon as the download is cancelled."""
        if self._cancelled.wait(seconds):
            raise CancelledError("the download was cancelled")


def _nothing() -> None:
    """There is nothing to cancel yet."""
