"""Memory of a worker for what it fetches, used again once nobody has it any more.

Shipped to the nodes by value, with what it uses: nothing in here imports raydl inside a function.
"""

from __future__ import annotations

import threading

KEPT_BYTES = 64 << 20
"""Of buffers for the next requests. A new one is cleared by the system, which takes a tenth of the
processor time of a request."""


class Buffers:
    """Hands out views of buffers; whoever has one gives it back by dropping it.

    Ray copies what a task returns in its own time, and says nothing when that is done.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[bytearray] = []

    def take(self, size: int) -> memoryview:
        """Memory for ``size`` bytes; what is in it is left from before."""
        with self._lock:
            free = [buffer for buffer in self._kept if _is_free(buffer)]
            fitting = [buffer for buffer in free if size <= len(buffer) <= 2 * size]
            if fitting:
                return memoryview(min(fitting, key=len))[:size]
            buffer = bytearray(size)
            for old in [*free, None]:
                if sum(map(len, self._kept)) + size <= KEPT_BYTES:
                    self._kept.append(buffer)
                    break
                if old is not None:
                    self._kept = [kept for kept in self._kept if kept is not old]
            return memoryview(buffer)

    def forget(self) -> None:
        """Keep none."""
        with self._lock:
            self._kept.clear()


def _is_free(buffer: bytearray) -> bool:
    """Whether no view of it is left: only then can its length change."""
    try:
        last = buffer.pop()
    except BufferError:
        return False
    buffer.append(last)
    return True
