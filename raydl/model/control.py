"""Cancelling and pausing a download from another thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from raydl.model.errors import CancelledError
from raydl.model.state import DownloadState
from raydl.model.units import format_size


class Control:
    """Lets another thread cancel a download, or hold it for a while.

    ``id`` is what its events call the download. ``kept`` is the number of bytes that the next run
    can go on from, once it has ended, and ``why_nothing`` says why that will always be none, where
    it will.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a listener to a pause may ask for the next
        self._cancelled = threading.Event()
        self._cancel: Callable[[], None] = _no_cancel
        self._hold: Callable[[bool], None] = _no_hold
        self.is_paused = False
        self.id = os.urandom(4).hex()
        self.kept = 0
        self.why_nothing = ""

    @property
    def state(self) -> DownloadState:
        """What was asked of a download that has not ended."""
        if self._cancelled.is_set():
            return DownloadState.CANCELLING
        return DownloadState.PAUSED if self.is_paused else DownloadState.RUNNING

    def cancel(self) -> None:
        """Let the download end with CancelledError, if it has not ended."""
        self._cancelled.set()
        self._cancel()

    def pause(self, paused: bool = True) -> None:
        """Ask the origin for nothing more, or go on; what was asked for already still comes."""
        with self._lock:
            if paused != self.is_paused:
                self.is_paused = paused
                self._hold(paused)

    def watch(self, cancel: Callable[[], None], hold: Callable[[bool], None] | None = None) -> None:
        """What to call from now on to cancel, and to pause or go on."""
        with self._lock:
            self._cancel, self._hold = cancel, hold or _no_hold
            if self.is_paused:
                self._hold(True)
        if self._cancelled.is_set():
            cancel()

    def wait(self, seconds: float) -> None:
        """Wait; raises CancelledError as soon as the download is cancelled."""
        if self._cancelled.wait(seconds):
            raise CancelledError("the download was cancelled")

    def how_to_go_on(self) -> str:
        """What is kept of a download that was interrupted, and what goes on from there."""
        if self.why_nothing:
            return f"nothing is kept: {self.why_nothing}"
        if not self.kept:
            return "nothing new is kept yet"
        return f"{format_size(self.kept)} are kept: run it again to go on"


def _no_cancel() -> None:
    """There is nothing to cancel yet."""


def _no_hold(paused: bool) -> None:
    """There is nothing to hold yet."""
