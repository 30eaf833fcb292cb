"""Threads that wait for others' answers: no program that ends waits for them."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable


class Daemons:
    """As many threads called ``name`` as calls are under way at once, up to ``most``. To be closed,
    by the thread that calls."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._under_way = 0

    def call(self, what: Callable[[], None]) -> None:
        """In one of them, once it is free."""
        with self._lock:
            self._under_way += 1
            is_new = len(self._threads) < min(self._under_way, self._most)
        self._calls.put(what)
        if is_new:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self, seconds: float = 0.0) -> None:
        """Have them end, and wait so long for what is under way; what has not begun is dropped."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._calls.get_nowait()
        for _ in self._threads:
            self._calls.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            finally:
                with self._lock:
                    self._under_way -= 1
