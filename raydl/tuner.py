"""How many lanes a node should have: found by trying, for the whole fleet at once. Pure state.

All nodes have the same number. Would each node find its own, two that share a limit of the
origin would take from each other, see a gain in it, and never stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

FIRST_LANES = 4
MOST_LANES = 64
MOST_IN_ALL = 256
"""Connections that the whole fleet opens without being told to, beyond ``FIRST_LANES`` a node."""

GAIN = 1.2
"""Twice the lanes must bring this much more to be kept."""

SETTLE_SECONDS = 0.1
JOIN_SECONDS = 0.5
"""A node that joins gets going for so long: that its speed grows has nothing to do with lanes."""

MEASURE_SECONDS = 0.3
SOON_SECONDS = 1.0
HOLD_SECONDS = 10.0
LONGEST_HOLD = 80.0
"""What was tried in vain is tried again after a while, and then after twice as long."""


class Trial(NamedTuple):
    """``rate`` bytes a second were measured with ``lanes`` lanes a node."""

    lanes: int
    rate: float


class Tuner:
    """Doubles the lanes a node as long as that brings more; ``fixed`` lanes stay as they are."""

    def __init__(self, fixed: int | None = None) -> None:
        self.lanes = fixed or FIRST_LANES
        self.capped = False
        """Whether every doubling brought more, up to the most that there may be."""
        self._most = fixed or MOST_LANES
        self._is_fixed = fixed is not None
        self._team: tuple[Any, ...] = ()
        self._since = 0.0
        self._marks: dict[Any, tuple[float, int]] = {}
        self._before: Trial | None = None
        self._hold = HOLD_SECONDS
        self._complained_at = -LONGEST_HOLD

    @property
    def refused(self) -> bool:
        """Whether there are fewer lanes because the origin complained."""
        return not self._is_fixed and self._most < MOST_LANES

    def lanes_soon(self, now: float) -> int:
        """How many there may be before the parts that are cut now have come."""
        if self._is_fixed or now < self._since - SOON_SECONDS:
            return self.lanes
        return min(2 * self.lanes, self._limit())

    def look(self, now: float, received: Mapping[Any, tuple[float, int]], busy: bool) -> None:
        """Take in each node's (clock, bytes received); ``busy``: all lanes had work since."""
        if self._is_fixed:
            return
        team = tuple(received)
        if team != self._team:
            # A trial that began with other nodes can't tell what the lanes did.
            self._back()
            self._begin(now + JOIN_SECONDS if self._team else now)
            self._team = team
            self._fit()
        if now < self._since:
            return
        if not busy:
            # What holds the fleet back is behind it: nothing can be learned now.
            self._back()
            self._begin(now + MEASURE_SECONDS)
            return
        if not self._marks:
            self._marks = dict(received)
            return
        spans = [received[node][0] - mark[0] for node, mark in self._marks.items()]
        if not spans or min(spans) < MEASURE_SECONDS:
            return
        rate = sum(
            (received[node][1] - mark[1]) / span
            for (node, mark), span in zip(self._marks.items(), spans, strict=True)
        )
        self._judge(Trial(self.lanes, rate), now)

    def complained(self, now: float) -> None:
        """The origin refuses: half the lanes, and no more than that for a while."""
        if self._is_fixed or now - self._complained_at < 1.0:
            return
        self._complained_at = now
        self._most = self.lanes = max(1, self.lanes // 2)
        self._before, self.capped = None, False
        self._begin(now + self._hold)

    def _judge(self, trial: Trial, now: float) -> None:
        before = self._before
        if before is not None and trial.rate < GAIN * before.rate:
            self._back()
            self._begin(now + self._hold)
            self._hold = min(2 * self._hold, LONGEST_HOLD)
            return
        if now - self._complained_at > LONGEST_HOLD:
            self._most = MOST_LANES
        at_most = 2 * self.lanes > self._limit()
        self.capped = before is not None and at_most
        if at_most:
            self._before = None
            self._begin(now + self._hold)
            return
        self._before = trial
        self.lanes *= 2
        self._begin(now + SETTLE_SECONDS)

    def _back(self) -> None:
        if self._before is not None:
            self.lanes, self._before = self._before.lanes, None

    def _begin(self, at: float) -> None:
        """Measure anew, from ``at`` on."""
        self._marks = {}
        self._since = at

    def _limit(self) -> int:
        return min(self._most, max(FIRST_LANES, MOST_IN_ALL // max(1, len(self._team))))

    def _fit(self) -> None:
        while self.lanes > self._limit():
            self.lanes //= 2
