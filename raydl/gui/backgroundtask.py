"""What a window does in the background, one thing at a time: joining, starting, leaving."""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundTask:
    """What a window is busy with, and what it was asked to do after that."""

    def __init__(self) -> None:
        self.is_busy = False
        self._cancelled = threading.Event()
        self._wish: Callable[[], None] | None = None

    def begin(self) -> None:
        """Something is being done, in a thread that asks ``is_cancelled``."""
        self.is_busy = True
        self._cancelled.clear()

    def is_cancelled(self) -> bool:
        """Whether to give up. From any thread."""
        return self._cancelled.is_set()

    def cancel(self, then: Callable[[], None] | None = None) -> None:
        """Give up; and ``then`` is what comes afterwards."""
        self._cancelled.set()
        self._wish = then or self._wish

    def end(self) -> Callable[[], None] | None:
        """It is done, or given up; returns what comes now, if that was asked for."""
        self.is_busy = False
        wish, self._wish = self._wish, None
        return wish
