"""Limits the rate of all nodes together: one budget, not one per node.

Whether one origin may be asked now (its pauses, its requests in flight) is for ``mirrorchoice`` to
say, by what ``origins`` knows of it.
"""

from __future__ import annotations

import threading

from raydl.scheduler.plan import SMALLEST_PART

BURST_SECONDS = 0.5
"""Unused rate accumulates for at most this long."""

PIECE_SECONDS = 0.25
"""A part takes at most this much of the rate, so that the bytes arrive evenly."""

NEARLY = 0.75
"""Lanes that bring this share of the rate would have to wait if they brought more."""


class Throttle:
    """Whether another request may start. ``rate`` is in bytes a second; None: no limit.

    A request is charged when it starts; what it did not deliver is refunded. Any thread may ask:
    downloads of one stream have their own.
    """

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._saved = 0.0
        self._at: float | None = None
        self._lock = threading.Lock()

    def allows(self, now: float) -> bool:
        """Whether one more request may start."""
        return self.next_at(now) <= now

    def next_at(self, now: float) -> float:
        """When one more may start."""
        if self._rate is None:
            return now
        with self._lock:
            self._save(now, self._rate)
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
        with self._lock:
            self._saved -= size

    def spared(self, size: int) -> None:
        """Refund ``size`` bytes that a request did not deliver."""
        self.took(-size)

    def _save(self, now: float, rate: int) -> None:
        if self._at is not None:
            saved = self._saved + (now - self._at) * rate
            self._saved = min(saved, BURST_SECONDS * rate)
        self._at = now


class Throttles:
    """The throttles of the process: downloads that set the same rate share one budget."""

    def __init__(self) -> None:
        self._by_rate: dict[int, Throttle] = {}
        self._lock = threading.Lock()

    def at(self, rate: int | None) -> Throttle:
        """The budget of ``rate`` bytes a second; None: no limit."""
        if rate is None:
            return Throttle(None)
        with self._lock:
            return self._by_rate.setdefault(rate, Throttle(rate))
