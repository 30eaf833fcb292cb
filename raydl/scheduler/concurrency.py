"""How many lanes a node should have: found by trying, for the whole fleet at once. Pure state.

All nodes have the same number. Would each node find its own, two that share a limit of the
origin would take from each other, see a gain in it, and never stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from raydl.workers.lane import Pulse

FIRST_LANES = 4
MOST_LANES = 64
MOST_IN_ALL = 256
"""Connections that the whole fleet opens without being told to, beyond ``FIRST_LANES`` a node."""

GAIN = 1.2
"""Twice the lanes must bring this much more to be kept."""

PROPORTIONAL = 0.9
"""Where the speed of a node that is alone grows by this share of what its lanes grow by, four times
as many are tried next. Of several nodes a leap would be a flood."""

NEARLY = 0.75
"""More lanes that bring this share of what would be proportional show that each is capped."""

KEEP = 0.9
"""And half the lanes this share of what there was: those that came while the parts were still
small, or by chance, go again."""

NEWS = 0.2
"""How much one measurement counts against those before it."""

IDLE, IDLE_NEWS = 0.9, 0.1
"""Lanes that had nothing to do in this share of the last looks are too many. The share is
exponentially weighted; the second number is the weight of each look."""

SETTLE_SECONDS = 0.1
JOIN_SECONDS = 0.5
"""The ramp-up time of a new node, in which its speed grows whatever the lanes are."""

MEASURE_SECONDS, FLEET_MEASURE_SECONDS = 0.2, 0.4
"""What other nodes bring is known a few times a second only."""

FEWER_MEASURE_SECONDS = 1.0
"""Fewer lanes first bring what the system had received for them already."""

BURSTY = 0.4
"""Where the speed differs from its mean by that share of it, short measurements are a lottery: some
servers let a second's worth through at once, and then nothing."""

BURSTY_MEASURE_SECONDS, BURSTY_NEWS = 2.0, 0.5

FAIR = 0.7
"""A trial was held against too much if what it had to beat was not there afterwards, either."""

SOON_SECONDS = 1.0
DOUBT_SECONDS = 3.0
"""This long after the most lanes were reached, half of them are tried."""

HOLD_SECONDS = 20.0
LONGEST_HOLD = 80.0
"""What was tried in vain is tried again after a while, and then after twice as long."""


class Level(NamedTuple):
    """``rate`` bytes a second came with ``lanes`` lanes a node."""

    lanes: int
    rate: float


class Tuner:
    """More lanes a node as long as that brings more, fewer where that costs nothing.

    ``fixed`` lanes stay as they are, unless the origin refuses that many.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self._all = self._full = fixed or MOST_LANES
        self.lanes = fixed or FIRST_LANES
        self.capped = False
        """Whether every doubling brought more, up to the most that there may be."""
        self.more_brings: bool | None = None
        """Whether more lanes had brought as much more when they were tried last, or nothing; None
        where it was something between, or nothing was tried."""
        self._most = self._full
        self._is_fixed = fixed is not None
        self._team: tuple[Any, ...] = ()
        self._since = 0.0
        self._marks: dict[Any, Pulse] = {}
        self._before: Level | None = None
        self._usual = self._try_at = self._beaten_by = 0.0
        self._fine: dict[Any, Pulse] = {}
        self._mean = self._deviation = 0.0
        self._is_bursty = False
        self._fewer_next = self._shrank = False
        self._step, self._idle = 2, 0.0
        self._hold = HOLD_SECONDS
        self._complained_at = -LONGEST_HOLD

    @property
    def is_fixed(self) -> bool:
        """Whether the user has set the number."""
        return self._is_fixed

    @property
    def refused(self) -> bool:
        """Whether there are fewer lanes because the origin complained."""
        return self._most < self._full

    def share(self, downloads: int) -> None:
        """Share the maximum number of lanes evenly among ``downloads``."""
        full = max(1, self._all // downloads)
        if full == self._full:
            return
        if self._is_fixed or self.lanes > full:
            self.lanes = full
        self._full = self._most = full

    def lanes_soon(self, now: float) -> int:
        """How many there may be before the parts that are cut now have come."""
        if self._is_fixed or (self._before is None and now < self._try_at - SOON_SECONDS):
            return self.lanes
        return min(2 * self.lanes, self._limit())

    def look(
        self,
        now: float,
        pulses: Mapping[Any, Pulse],
        flying: int,
        busy: bool,
        strained: bool,
    ) -> None:
        """Take in how each node is doing; ``flying`` requests are in flight.

        ``busy``: whether all lanes had work since; ``strained``: whether the processors of a node
        have no time for more.
        """
        if self._is_fixed:
            if self.refused and now - self._complained_at > LONGEST_HOLD:
                self.lanes = self._most = self._full
            return
        team = tuple(pulses)
        if team != self._team:
            # A trial that began with other nodes can't tell what the lanes did.
            self._back()
            self._try_at = now + JOIN_SECONDS if self._team else now
            self._begin(self._try_at)
            self._team = team
            self._forget()
            self._fit()
        self._see_bursts(pulses)
        self._idle += IDLE_NEWS * ((not busy) - self._idle)
        if not busy or not team:
            # What holds the fleet back is behind it: nothing can be learned now, but that there
            # are more lanes than it takes.
            self._back()
            self._begin(now + MEASURE_SECONDS)
            if self._idle > IDLE and self.lanes > FIRST_LANES:
                self.lanes //= 2
                self._idle, self.capped = 0.0, False
            return
        if not self._marks or self._are_landing(flying):
            # What was heard before says nothing about the lanes that there are now.
            if min(pulse.at for pulse in pulses.values()) >= self._since:
                self._marks = dict(pulses)
            return
        needed = MEASURE_SECONDS if len(team) == 1 else FLEET_MEASURE_SECONDS
        if self._is_fewer:
            needed = FEWER_MEASURE_SECONDS
        if self._is_bursty:
            needed = BURSTY_MEASURE_SECONDS
        rate = _rate(self._marks, pulses, needed)
        if rate is None:
            return
        if self._before is None:
            self._marks = dict(pulses)
            news = BURSTY_NEWS if self._is_bursty else NEWS
            self._usual += (news if self._usual else 1.0) * (rate - self._usual)
            if self._usual < FAIR * self._beaten_by:
                self._try_at, self._beaten_by, self._hold = now, 0.0, HOLD_SECONDS
                self._is_bursty, self._usual = True, rate
        else:
            self._judge(self._before, rate, now)
        may_try = self._before is None and now >= self._try_at and self._usual > 0
        if may_try and (self._fewer_next or not strained):
            self._try(now)

    def complained(self, now: float) -> None:
        """The origin refuses: half the lanes, and no more than that for a while."""
        if now - self._complained_at < 1.0:
            return
        self._complained_at = now
        self._most = self.lanes = max(1, self.lanes // 2)
        self._before, self.capped, self.more_brings = None, False, None
        self._forget()
        self._wait(now)

    def _try(self, now: float) -> None:
        """Begin a trial of twice the lanes, or of half."""
        if now - self._complained_at > LONGEST_HOLD:
            self._most = self._full
        fewer, self._fewer_next = self._fewer_next and self.lanes > FIRST_LANES, False
        if not fewer and 2 * self.lanes > self._limit():
            self._try_at = now + HOLD_SECONDS
            return
        self._before = Level(self.lanes, self._usual)
        self.lanes = self.lanes // 2 if fewer else min(self._step * self.lanes, self._limit())
        self._begin(now + SETTLE_SECONDS)

    def _judge(self, before: Level, rate: float, now: float) -> None:
        """Keep the lanes of a trial, or go back."""
        tried, self._before, self._marks = self.lanes, None, {}
        more, gain = tried / before.lanes, rate / max(before.rate, 1.0)
        leaps = len(self._team) == 1 and more > 1 and gain >= PROPORTIONAL * more
        if more < 1:
            self.more_brings = False if gain >= KEEP else self.more_brings
        else:
            self.more_brings = gain >= GAIN if gain < GAIN or gain >= NEARLY * more else None
        self._step = 4 if leaps else 2
        if more < 1:
            if gain >= KEEP:
                self._fewer_next, self._shrank, self.capped = True, True, False
                self._usual = rate
                self._try_at = now + SOON_SECONDS
            else:
                self.lanes = before.lanes
                if self._shrank:  # perhaps one step too far: what is above is tried at once
                    self._shrank, self._try_at = False, now
                else:
                    self._wait(now)
        elif gain >= GAIN:
            self._usual = rate
            self.capped = 2 * tried > self._limit()
            if gain < more / 2:  # after a leap: half of it would have brought as much
                self.lanes //= 2
            self._fewer_next = self.capped
            if self.capped:
                self._try_at = now + DOUBT_SECONDS
        else:
            self.lanes, self.capped = before.lanes, False
            if before.lanes > FIRST_LANES:
                self._fewer_next = True
                self._try_at = now + SOON_SECONDS
            else:
                self._wait(now)
                self._beaten_by = before.rate

    def _forget(self) -> None:
        """Forget what was seen so far: it was of another fleet."""
        self._usual, self._step, self._fewer_next, self._shrank = 0.0, 2, False, False
        self._mean = self._deviation = self._beaten_by = 0.0
        self._fine, self._is_bursty = {}, False

    def _see_bursts(self, pulses: Mapping[Any, Pulse]) -> None:
        """Take in how much the speed goes up and down."""
        if self._before is not None:  # it changes because of the lanes
            self._fine, self._mean, self._deviation = {}, 0.0, 0.0
            return
        if not self._fine:
            self._fine = dict(pulses)
            return
        rate = _rate(self._fine, pulses, MEASURE_SECONDS)
        if rate is not None:
            self._fine = dict(pulses)
            self._mean += (NEWS if self._mean else 1.0) * (rate - self._mean)
            self._deviation += NEWS * (abs(rate - self._mean) - self._deviation)
            self._is_bursty = self._is_bursty or self._deviation > BURSTY * self._mean

    def _wait(self, now: float) -> None:
        """Try nothing for a while, and for longer the next time."""
        self._try_at = now + self._hold
        self._hold = min(2 * self._hold, LONGEST_HOLD)

    @property
    def _is_fewer(self) -> bool:
        """Whether a trial of fewer lanes is under way."""
        return self._before is not None and self.lanes < self._before.lanes

    def _are_landing(self, flying: int) -> bool:
        """Whether a trial of fewer lanes has yet to wait for the others to end their parts."""
        return self._is_fewer and flying > self.lanes * len(self._team)

    def _back(self) -> None:
        if self._before is not None:
            self.lanes, self._before = self._before.lanes, None

    def _begin(self, at: float) -> None:
        """Start measuring again, from ``at`` on."""
        self._marks = {}
        self._since = at

    def _limit(self) -> int:
        return min(self._most, max(FIRST_LANES, MOST_IN_ALL // max(1, len(self._team))))

    def _fit(self) -> None:
        while self.lanes > self._limit():
            self.lanes //= 2


def _rate(marks: Mapping[Any, Pulse], pulses: Mapping[Any, Pulse], seconds: float) -> float | None:
    """Bytes a second of all nodes since ``marks``; None before ``seconds`` have passed."""
    spans = [(mark, pulses[node]) for node, mark in marks.items()]
    if min(after.clock - before.clock for before, after in spans) < seconds:
        return None
    return sum((b.received - a.received) / (b.clock - a.clock) for a, b in spans)
