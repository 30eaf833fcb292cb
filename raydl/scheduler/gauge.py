"""What all nodes bring together, in bytes a second. Pure; no call costs more with more nodes."""

from __future__ import annotations

import math
from collections.abc import Hashable
from weakref import WeakSet

from raydl.workers.protocol import Pulse

LATEST = -math.inf
"""Measure from the latest pulse of each node on."""

SHORT_SECONDS = 0.2
"""Shortest time in which a speed is measured."""

NEWS = 0.2
"""How much one measurement counts against those before it."""

BURSTY, EVEN = 0.4, 0.2
"""Where the speed differs from its mean by that share of it, short measurements are a lottery: some
servers let a second's worth through at once, and then nothing. The second is where they are not."""

EVEN_LOOKS = 10
"""How many looks show that the bytes come evenly again."""


class Gauge:
    """The nodes that bring something, or may yet, and what was last heard of each.

    A node counts from its first pulse on. One that is set aside or silent has left.
    """

    def __init__(self) -> None:
        self.generation = 0
        """Changes whenever the nodes that count change."""
        self.moved_at = -math.inf
        """When it was last heard that any bytes had come."""
        self._latest: dict[Hashable, Pulse] = {}
        self._awaited: set[Hashable] = set()
        # Weak: whoever has no more use for a measurement drops it.
        self._measurements: WeakSet[Measurement] = WeakSet()

    def __len__(self) -> int:
        return len(self._latest)

    def joined(self, node: Hashable, pulse: Pulse | None) -> None:
        """A node takes part; ``pulse`` is the latest that is known of it."""
        if node in self._latest:
            self.left(node)
        self._awaited.add(node)
        if pulse is not None:
            self.heard(node, pulse)

    def left(self, node: Hashable) -> None:
        """A node does not take part any more."""
        self._awaited.discard(node)
        if self._latest.pop(node, None) is not None:
            self.generation += 1
            for measurement in self._measurements:
                measurement.left(node)

    def heard(self, node: Hashable, pulse: Pulse) -> None:
        """Take in a node's pulse; that of a node that does not take part is ignored."""
        before = self._latest.get(node)
        if before is None:
            if node not in self._awaited:
                return
            self._awaited.remove(node)
            self.generation += 1
        self._latest[node] = pulse
        if before is not None and pulse.received > before.received:
            self.moved_at = pulse.at
        for measurement in self._measurements:
            measurement.heard(node, before, pulse)

    def begin(self, since: float, seconds: float) -> Measurement:
        """Measure each node from its first pulse at ``since`` or later, over ``seconds`` or more.

        ``since`` is by this machine's clock. It goes on as long as the measurement is kept.
        """
        measurement = Measurement(self, since, seconds)
        self._measurements.add(measurement)
        return measurement


class Measurement:
    """The speed of all nodes of a gauge together, since one moment. ``Gauge.begin`` makes it."""

    def __init__(self, gauge: Gauge, since: float, seconds: float) -> None:
        self._gauge, self._since, self._seconds = gauge, since, seconds
        self._marks: dict[Hashable, Pulse] = {}
        self._rates: dict[Hashable, float] = {}
        self._sum = 0.0

    @property
    def rate(self) -> float | None:
        """Bytes a second; None as long as any node was measured for too short."""
        return self._sum if len(self._rates) == len(self._gauge) > 0 else None

    def heard(self, node: Hashable, before: Pulse | None, pulse: Pulse) -> None:
        """Take in a pulse, and the one ``before`` it: that may have come since, too."""
        mark = self._marks.get(node)
        if mark is None:
            mark = before if before is not None and before.at >= self._since else pulse
            if mark.at < self._since:
                return
            self._marks[node] = mark
        span = pulse.clock - mark.clock
        if span >= self._seconds:
            rate = (pulse.received - mark.received) / span
            self._sum += rate - self._rates.get(node, 0.0)
            self._rates[node] = rate

    def left(self, node: Hashable) -> None:
        """A node does not count any more."""
        self._marks.pop(node, None)
        self._sum -= self._rates.pop(node, 0.0)


class Bursts:
    """Whether the bytes come evenly, or in bursts."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self.seen = False
        self.start_over()

    def start_over(self) -> None:
        """Compare nothing with what came before: it was slower or faster for a reason."""
        self._mean = self._deviation = 0.0
        self._looks = 0
        self._measured = self._gauge.begin(LATEST, SHORT_SECONDS)

    def look(self) -> None:
        """Take in how much the speed goes up and down."""
        rate = self._measured.rate
        if rate is None:
            return
        self._measured = self._gauge.begin(LATEST, SHORT_SECONDS)
        self._mean += (NEWS if self._mean else 1.0) * (rate - self._mean)
        self._deviation += NEWS * (abs(rate - self._mean) - self._deviation)
        self._looks += 1
        if self._deviation > BURSTY * self._mean:
            self.seen = True
        elif self._deviation < EVEN * self._mean and self._looks >= EVEN_LOOKS:
            self.seen = False
