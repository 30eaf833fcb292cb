"""Room in the object stores: Ray never says no, it spills to the disk without a word."""

from __future__ import annotations

from collections import deque

SHARE = 4
"""The window takes one part in ``SHARE`` of the smallest object store at most."""

LAG_SECONDS = 1.5
"""Ray frees memory about a second after the last reference to it has gone (measured)."""


class StoreBudget:
    """Keeps what is in the window, and what Ray has not freed yet, in half of the smallest store.

    ``size`` is that store's size in bytes, 0 while unknown.
    """

    def __init__(self) -> None:
        self.size = 0
        self._late: deque[tuple[float, int]] = deque()
        self._late_bytes = 0

    def meet(self, size: int) -> None:
        """A store of ``size`` bytes is used from now on, too; 0 stands for none."""
        if size:
            self.size = min(self.size or size, size)

    def window(self, limit: int) -> int:
        """How large a window of at most ``limit`` bytes may be."""
        return min(limit, self.size // SHARE) if self.size else limit

    def took(self, size: int) -> None:
        """Counted by the window."""

    def released(self, size: int, now: float) -> None:
        """``size`` bytes in the stores are no longer needed."""
        if self.size:
            self._late.append((now + LAG_SECONDS, size))
            self._late_bytes += size

    def has_room(self, size: int, now: float) -> bool:
        """Whether ``size`` bytes of the window may be in the stores beside those freed late."""
        while self._late and self._late[0][0] <= now:
            self._late_bytes -= self._late.popleft()[1]
        return not self.size or size + self._late_bytes <= 2 * self.size // SHARE
