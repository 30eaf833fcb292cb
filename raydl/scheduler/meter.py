"""What has arrived, from where, and how fast."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable

from raydl.model.report import NodeShare, NodeShares

LOOK_SECONDS = 0.1
RAMP_SECONDS = 0.5
"""The shortest time over which a speed is believed at all, and in full."""


class Meter:
    """Counts bytes ``[start, size)``. One thread writes; ``seconds_left`` may be asked by any."""

    def __init__(self, start: int, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._start, self._size, self._clock = start, size, clock
        self._arrived = 0
        self._bytes: Counter[str] = Counter()
        self._lanes: Counter[str] = Counter()
        self._began = clock()
        self.retried = 0
        self.wasted = 0
        """Bytes that were fetched twice, or in vain."""
        self.fetched = start

    def joined(self, node: str, lanes: int) -> None:
        """``node`` takes part with ``lanes`` lanes, or has come to use as many."""
        self._lanes[node] = max(self._lanes[node], lanes)

    def lanes(self, node: str) -> int:
        """The most lanes that ``node`` had."""
        return self._lanes[node]

    def arrived(self, node: str, count: int) -> None:
        """``node`` has fetched ``count`` more bytes."""
        self._arrived += count
        self._bytes[node] += count

    def lost(self, count: int) -> None:
        """``count`` bytes that had arrived have to be fetched again."""
        self._arrived -= count
        self.wasted += count

    def look(self, in_flight: int) -> int:
        """Bytes of the file that are somewhere, ``in_flight`` of a part under way included."""
        self.fetched = min(self._size, self._start + self._arrived + in_flight)
        return self.fetched

    def seconds_left(self) -> float:
        """How long the rest takes at the speed so far; 0 while that is unknown.

        A speed gets going: at first the estimate is discounted, so that what it says is at
        least true.
        """
        elapsed = self._clock() - self._began
        got = self.fetched - self._start
        if elapsed < LOOK_SECONDS or not got:
            return math.inf if elapsed > 3 * LOOK_SECONDS else 0.0
        ramp = min(1.0, elapsed / RAMP_SECONDS) ** 2
        return (self._size - self.fetched) * elapsed / got * ramp

    def shares(self) -> NodeShares:
        """How much each node fetched, the largest share first."""
        return NodeShares(
            NodeShare(node, size, self._lanes[node]) for node, size in self._bytes.most_common()
        )
