"""How large requests to an origin may be. Pure state.

nginx's ``limit_rate`` belongs to the request: a second's worth comes at once, and then nothing
until that was worth its time. A request for no more than this takes no time, one of four times the
size three seconds. So parts get larger only as long as larger ones are not slower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raydl.scheduler.plan import FIRST_PART, GROWTH

if TYPE_CHECKING:
    from raydl.scheduler.flights import Flight
    from raydl.scheduler.lanes import Lanes

SLOWER = 0.7
"""A request that is slower than this share of the usual one on its node was too large."""

SAME = 1.2
"""One that was too slow is tried again once the usual speed is only this many times as high."""

PATIENCE_SECONDS = 0.1
"""How much longer than that it may take before it is given up: the answer may be late."""

LONG_SECONDS = 1.0
"""Requests that take this long as it is are slowed down already if ever: then there is no bound."""

NEARER = 2
"""What was too large by ``GROWTH`` may be right by this."""

LARGER = 1.5
"""A part is for more than the proven size from this ratio on: they are cut to fit the file."""

HOLD_SECONDS, LONGEST_HOLD = 1.0, 80.0
"""Larger ones are tried again after a while, and then after twice as long."""

LIFTED_SECONDS = 80.0
"""How long fewer and larger requests are asked for where the origin complains of too many."""


class Sizes:
    """The size of requests that was ``proven`` not to slow them down, in bytes.

    Larger ones are tried one at a time: the ``scout``. It has its size proven by coming in time;
    where it does not, it is given up.
    """

    def __init__(self) -> None:
        self.proven = FIRST_PART
        self.scout: Flight | None = None
        self._step = GROWTH
        self._hold = HOLD_SECONDS
        self._try_at = self._lifted_until = 0.0
        self._slow: tuple[Lanes, float] | None = None
        """The speed of a scout that was too large, and whose it was."""

    def fit(self, size: int, speed: float, now: float) -> int:
        """Bytes of the next request of a lane of ``speed`` bytes a second (0: unknown), where
        ``size`` would be right but for this."""
        if size <= self.proven or self._is_long(speed) or now < self._lifted_until:
            return size
        may_try = self.scout is None and now >= self._try_at
        return min(size, self._step * self.proven) if may_try else self.proven

    def launched(self, flight: Flight) -> None:
        """A request starts. Whole pieces that are larger than what is proven cannot be smaller."""
        is_large = flight.part.size > LARGER * self.proven >= flight.job.plan.unit
        speed = flight.lanes.speed
        if self.scout is None and is_large and speed and not self._is_long(speed):
            self.scout = flight

    def landed(self, flight: Flight) -> None:
        """A request ended, well or not."""
        if flight is self.scout:
            self.scout = None

    def came(self, flight: Flight, got: int, seconds: float, now: float) -> bool:
        """A request brought ``got`` bytes in ``seconds``, which its lanes do not know yet.

        Returns whether that says how fast these are.
        """
        if flight is self.scout:
            return got < flight.part.size or self._judge(flight, got, seconds, now)
        if self._slow is not None:
            lanes, slow = self._slow
            if lanes.speed < SAME * slow:  # the others are no faster any more
                self._slow, self._try_at = None, now
        return True

    def give_up(self, now: float) -> Flight | None:
        """The scout, once it is too slow whatever may come."""
        flight = self.scout
        if flight is None or flight.given_up is not None or not flight.lanes.speed:
            return None
        expected = flight.part.size / (SLOWER * flight.lanes.speed)
        if now - flight.began <= expected + PATIENCE_SECONDS:
            return None
        return flight if self.is_late(flight, now) else None

    def is_late(self, flight: Flight, now: float) -> bool:
        """Whether ``flight``, which is slow, is the scout: then it was for too much."""
        if flight is not self.scout or flight.given_up is not None:
            return False
        self._was_slow(flight, flight.got / max(now - flight.began, 1e-6), now)
        return True

    def complained(self, now: float) -> None:
        """The origin wants fewer requests: they may be as large as they like for a while."""
        self._lifted_until = now + LIFTED_SECONDS

    def _is_long(self, speed: float) -> bool:
        return 0 < speed * LONG_SECONDS <= self.proven

    def _judge(self, flight: Flight, got: int, seconds: float, now: float) -> bool:
        speed = got / max(seconds, 1e-6)
        if speed < SLOWER * flight.lanes.speed:
            self._was_slow(flight, speed, now)
            return False
        self.proven = max(self.proven, got)
        self._slow, self._hold = None, HOLD_SECONDS
        return True

    def _was_slow(self, flight: Flight, speed: float, now: float) -> None:
        if self._step > NEARER:
            self._step = NEARER
            return
        self._slow = flight.lanes, speed
        self._try_at = now + self._hold
        self._hold = min(2 * self._hold, LONGEST_HOLD)
