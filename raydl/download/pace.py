"""How much of a stream is read at once, and whether it crawls. Pure: the time is an argument."""

from __future__ import annotations

from raydl.scheduler.flights import CRAWL_SECONDS

SMALLEST = 64 << 10
QUICK_SECONDS, SLOW_SECONDS = 0.05, 0.5
"""A speed is seen in steps of what is read into a buffer: one that is filled sooner
takes more the next time, one that takes longer less."""


class Pace:
    """The pace at which a connection is read. ``amount`` is how many bytes to read next, at most
    ``largest``; ``lowest`` is the speed in bytes a second below which a connection crawls.
    """

    def __init__(self, largest: int, lowest: int | None) -> None:
        self._largest, self._lowest = largest, lowest or 0
        # A second's worth at most of what is just quick enough.
        self._smallest = max(1, min(SMALLEST, lowest or SMALLEST))
        self.amount = self._smallest
        self._reading_since: float | None = None
        self._seconds, self._received = 0.0, 0
        self._marked = (0.0, 0)

    def begin(self, now: float) -> None:
        """A read begins. What comes between two reads is not the connection's matter."""
        self._reading_since = now

    def end(self, now: float, count: int) -> None:
        """It has brought ``count`` bytes."""
        took = 0.0 if self._reading_since is None else now - self._reading_since
        self.stop()
        self._seconds += took
        self._received += count
        if took < QUICK_SECONDS:
            self.amount = min(4 * self.amount, self._largest)
        elif took > SLOW_SECONDS:
            self.amount = max(self.amount // 2, self._smallest)

    def stop(self) -> None:
        """Nothing is being read."""
        self._reading_since = None

    def crawls(self, now: float) -> bool:
        """Whether reading was slower than wanted since it was last asked for it."""
        since = self._reading_since
        seconds = self._seconds + (0.0 if since is None else now - since)
        seconds_before, received_before = self._marked
        if seconds - seconds_before < CRAWL_SECONDS:
            return False
        self._marked = (seconds, self._received)
        return self._received - received_before < self._lowest * (seconds - seconds_before)
