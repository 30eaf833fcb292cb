"""How fast something grows, as a person can read it."""

from __future__ import annotations

from collections import deque

SPEED_SECONDS = 3.0
"""A speed is that of the last seconds: these."""

LEFT_SECONDS = 10.0
"""What is still to come is judged by a longer time, or it would jump with every burst."""

LEAST_SECONDS = 1.0
"""Nothing is foretold from less."""

GLANCE_SECONDS = 0.5
"""Nobody reads figures that change more often."""


class Pace:
    """How much more there is each second, over the last ``seconds``; it is as old as it says."""

    def __init__(self, seconds: float) -> None:
        self._longest = seconds
        self._samples: deque[tuple[float, float]] = deque()

    def take(self, now: float, amount: float) -> None:
        """Note how much there is ``now``; so soon after the last time it changes nothing."""
        samples = self._samples
        if samples and now - samples[-1][0] < GLANCE_SECONDS:
            return
        samples.append((now, amount))
        while len(samples) > 2 and samples[1][0] <= now - self._longest:
            samples.popleft()

    def clear(self) -> None:
        """What comes next has nothing to do with what was."""
        self._samples.clear()

    @property
    def seconds(self) -> float:
        """The time that the rate is of."""
        return self._samples[-1][0] - self._samples[0][0] if self._samples else 0.0

    @property
    def rate(self) -> float:
        """A second; 0 while unknown, or where it gets less."""
        seconds = self.seconds
        gain = self._samples[-1][1] - self._samples[0][1] if seconds else 0.0
        return max(0.0, gain / seconds) if seconds else 0.0

    def seconds_for(self, amount: float) -> float | None:
        """How long so much more takes at that rate; None while that is unknown."""
        rate = self.rate
        return amount / rate if rate and self.seconds >= LEAST_SECONDS else None
