"""How many lanes a node may have at most: by the fleet's size, and by what the origin bears."""

from __future__ import annotations

from raydl.scheduler.gauge import Gauge

FIRST_LANES = 4
MOST_LANES = 64
MOST_IN_ALL = 256
"""Connections that the whole fleet opens without being told to, beyond ``FIRST_LANES`` a node."""

COMPLAINT_SECONDS = 1.0
"""Complaints within this time are one."""

FORGIVEN_SECONDS = 80.0
"""What the origin refused is tried again after a while."""

FALL_SECONDS, LONGEST_FALL_SECONDS = 20.0, 1280.0
"""Where all came to a standstill with more lanes, a few more are tried after the first time, and
after twice as long each time that it does so again, up to the second."""

OLD_SECONDS = 600.0
"""After so long, one that has short downloads alone finds out what its origin bears now."""

DOUBT_SECONDS = 10.0
"""A fall that has another reason, such as bytes that come in bursts, shows it within this time."""


class Bearing:
    """With more than ``lanes`` lanes a node an origin gave much less; None: that was not seen.

    It outlives the downloads, and what else is known of the origin.
    """

    def __init__(self) -> None:
        self.lanes: int | None = None
        self._again_at = self._hold = 0.0
        self._fell_at = -DOUBT_SECONDS
        self._was_doubted = False

    def fell(self, lanes: int, now: float) -> None:
        """With more than ``lanes`` there was much less."""
        self.lanes, self._fell_at = lanes, now
        self._hold = min(max(FALL_SECONDS, 2 * self._hold), LONGEST_FALL_SECONDS)
        self._again_at = now + self._hold

    def may_doubt(self, now: float) -> bool:
        """Whether it fell so short a time ago that what is seen now may be another reason."""
        return not self._was_doubted and now - self._fell_at < DOUBT_SECONDS

    def did_not_fall(self) -> None:
        """It had another reason. That is believed once: else it would begin again and again."""
        self.lanes, self._was_doubted = None, True

    def may_try(self, now: float) -> bool:
        """Whether more may be tried once again."""
        return self.lanes is None or now >= self._again_at

    def is_old(self, now: float) -> bool:
        """Whether it fell so long ago that the origin may be another one by now."""
        return now - self._fell_at > OLD_SECONDS

    def bore(self, lanes: int) -> None:
        """So many did no harm."""
        if self.lanes is not None and lanes > self.lanes:
            self.lanes = None


class Ceiling:
    """At most ``full`` lanes, and fewer while the origin refuses that many or slows down."""

    def __init__(self, gauge: Gauge, full: int, bearing: Bearing | None = None) -> None:
        self._gauge = gauge
        self._full = full
        self.bearing = bearing or Bearing()
        self.borne = full
        """How many the origin bears without a complaint, as far as is known."""
        self._complained_at = -FORGIVEN_SECONDS

    @property
    def refused(self) -> bool:
        """Whether there may be fewer because the origin complained."""
        return self.borne < self._full

    def lanes(self) -> int:
        """How many there may be now."""
        return min(self._most(), self.bearing.lanes or self._full)

    def above(self, lanes: int, step: int, now: float, *, is_start: bool) -> int:
        """How many to try next where there are ``lanes``; at most ``step`` times as many.

        Beyond what the origin was seen to bear that is half as many again, seldom, and at the
        beginning of a download only if that was long ago.
        """
        borne = self.bearing.lanes
        if borne is None or lanes < borne:
            return min(step * lanes, self.lanes())
        if not self.bearing.may_try(now) or (is_start and not self.bearing.is_old(now)):
            return lanes
        return min(lanes * 3 // 2, self._most())

    def _most(self) -> int:
        return min(self.borne, max(FIRST_LANES, MOST_IN_ALL // max(1, len(self._gauge))))

    def complained(self, lanes: int, now: float) -> bool:
        """The origin refuses ``lanes``: half of them are the most for a while.

        Returns False where it has said so a moment ago.
        """
        if now - self._complained_at < COMPLAINT_SECONDS:
            return False
        self._complained_at = now
        self.borne = max(1, lanes // 2)
        return True

    def forgive(self, now: float) -> bool:
        """Forget an old complaint; returns whether there was one."""
        if not self.refused or now - self._complained_at <= FORGIVEN_SECONDS:
            return False
        self.borne = self._full
        return True
