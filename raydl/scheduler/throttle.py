"""Limits rate and connections for all nodes together: one budget, not one per node. Pure."""

from __future__ import annotations

from raydl.scheduler.plan import SMALLEST_PART

BURST_SECONDS = 0.5
"""Unused rate accumulates for at most this long."""

PIECE_SECONDS = 0.25
"""A part takes at most this much of the rate, so that the bytes arrive evenly."""

NEARLY = 0.75
"""Lanes that bring this share of the rate would have to wait if they brought more."""


class Throttle:
    """Whether another request may start, for all nodes together.

    ``rate`` is in bytes a second, ``connections`` the most requests at once; None: no limit.
    A request is charged when it starts; what it did not deliver is refunded.
    """

    def __init__(self, rate: int | None, connections: int | None) -> None:
        self._rate, self._whole_rate = rate, rate
        self._connections, self._all_connections = connections, connections
        self._saved = 0.0
        self._at: float | None = None

    def share(self, downloads: int) -> None:
        """Share the budget evenly among ``downloads``."""
        if self._whole_rate is not None:
            self._rate = max(1, self._whole_rate // downloads)
        if self._all_connections is not None:
            self._connections = max(1, self._all_connections // downloads)

    def is_full(self, in_flight: int) -> bool:
        """Whether those in flight are all that the user allows."""
        return self._connections is not None and in_flight >= self._connections

    def allows(self, in_flight: int, now: float) -> bool:
        """Whether one more may start beside those in flight."""
        if self.is_full(in_flight):
            return False
        return self.next_at(now) <= now

    def next_at(self, now: float) -> float:
        """When one more may start, as far as that is a matter of time."""
        if self._rate is None:
            return now
        self._save(now)
        return now if self._saved > 0 else now - self._saved / self._rate + 0.001

    def is_spent(self, now: float, rate: float) -> bool:
        """Whether lanes wait for the rate, or come near to it: ``rate`` is what they bring."""
        if self._rate is None:
            return False
        return rate >= NEARLY * self._rate or now < self.next_at(now)

    def piece(self, size: int) -> int:
        """Bytes of a part of at most ``size``."""
        if self._rate is None:
            return size
        return min(size, max(SMALLEST_PART, int(self._rate * PIECE_SECONDS)))

    def took(self, size: int) -> None:
        """A request for ``size`` bytes starts."""
        self._saved -= size

    def spared(self, size: int) -> None:
        """Refund ``size`` bytes that a request did not deliver."""
        self._saved += size

    def _save(self, now: float) -> None:
        assert self._rate is not None
        if self._at is not None:
            saved = self._saved + (now - self._at) * self._rate
            self._saved = min(saved, BURST_SECONDS * self._rate)
        self._at = now
