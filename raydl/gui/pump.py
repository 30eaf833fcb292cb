"""From threads to the window: only the thread of Tk may touch it."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import tkinter as tk
from collections.abc import Callable
from typing import Any, TypeVar

from raydl.model.errors import RaydlError

POLL_MS = 40
MOST_SECONDS = 0.02
"""The window is busy with what came for at most this long, before it looks at the user again."""

SETTLE_SECONDS = 20.0

T = TypeVar("T")


class Pump:
    """Calls, posted from anywhere, made by the window's own thread."""

    def __init__(self, root: tk.Misc) -> None:
        self._root = root
        self._queue: queue.SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]]]
        self._queue = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._timer = root.after(POLL_MS, self._drain)

    def post(self, call: Callable[..., None], *args: Any) -> None:
        """Have ``call(*args)`` made soon. From any thread."""
        self._queue.put((call, args))

    def run(
        self,
        job: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[RaydlError], None],
    ) -> None:
        """Do ``job`` in a thread; then one of the others in the window's."""

        def work() -> None:
            try:
                result = job()
            except RaydlError as error:
                self.post(failed, error)
            except Exception as error:  # a bug must be seen, not be waited for
                self.post(failed, RaydlError(f"unexpected {type(error).__name__}: {error}"))
            else:
                self.post(done, result)

        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=work, name="raydl-window-job", daemon=True))
        self._threads[-1].start()

    def settle(self) -> None:
        """Wait for the jobs, and make every call that is left. Then no more are made."""
        for thread in self._threads:
            thread.join(SETTLE_SECONDS)
        self._root.after_cancel(self._timer)
        while not self._queue.empty():
            call, args = self._queue.get_nowait()
            with contextlib.suppress(Exception):  # what is to be ended comes after this
                call(*args)

    def _drain(self) -> None:
        self._timer = self._root.after(POLL_MS, self._drain)  # first: a call may end it all
        until = time.monotonic() + MOST_SECONDS
        while time.monotonic() < until:
            try:
                call, args = self._queue.get_nowait()
            except queue.Empty:
                break
            call(*args)
