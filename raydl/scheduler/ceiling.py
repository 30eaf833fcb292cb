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


class Ceiling:
    """At most ``full`` lanes, and fewer while the origin refuses that many."""

    def __init__(self, gauge: Gauge, full: int) -> None:
        self._gauge = gauge
        self._full = full
        self.borne = full
        """How many the origin bears, as far as is known."""
        self._complained_at = -FORGIVEN_SECONDS

    @property
    def refused(self) -> bool:
        """Whether there may be fewer because the origin complained."""
        return self.borne < self._full

    def lanes(self) -> int:
        """How many there may be now."""
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
