"""How many lanes a node should have: found by trying, for the whole fleet at once. Pure state.

All nodes have the same number. Would each node find its own, two that share a limit of the
origin would take from each other, see a gain in it, and never stop.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from raydl.scheduler.ceiling import FIRST_LANES, MOST_LANES, Ceiling
from raydl.scheduler.gauge import LATEST, NEWS, SHORT_SECONDS, Bursts, Gauge

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

IDLE, IDLE_NEWS = 0.9, 0.1
"""Lanes that had nothing to do in this share of the last looks are too many. The share is
exponentially weighted; the second number is the weight of each look."""

SETTLE_SECONDS = 0.1
JOIN_SECONDS = 0.5
"""The ramp-up time of a new node, in which its speed grows whatever the lanes are."""

FLEET_MEASURE_SECONDS = 0.4
"""What other nodes bring is known a few times a second only."""

FEWER_MEASURE_SECONDS = 1.0
"""Fewer lanes first bring what the system had received for them already."""

BURSTY_MEASURE_SECONDS, BURSTY_NEWS = 2.0, 0.5
"""Where bytes come in bursts, it takes longer to see a speed, and each counts more."""

FAIR = 0.7
"""A trial was held against too much if what it had to beat was not there afterwards, either."""

SOON_SECONDS = 1.0
DOUBT_SECONDS = 3.0
"""This long after the most lanes were reached, half of them are tried."""

HOLD_SECONDS = 20.0
LONGEST_HOLD = 80.0
"""What was tried in vain is tried again after a while, and then after twice as long."""


class State(Enum):
    """What a tuner is doing."""

    FIXED = "keeping the number that the user has set"
    SETTLING = "waiting for the first speed of this fleet"
    HOLDING = "measuring what there is, until the next trial"
    MORE = "trying more"
    FEWER = "trying fewer"
    BACKING_OFF = "keeping what the origin bore, as it complained of more"


class Level(NamedTuple):
    """``rate`` bytes a second came with ``lanes`` lanes a node."""

    lanes: int
    rate: float


class Tuner:
    """More lanes a node as long as that brings more, fewer where that costs nothing.

    What they bring is read from ``gauge``. ``fixed`` lanes stay as they are, unless the origin
    refuses that many.
    """

    def __init__(self, gauge: Gauge, fixed: int | None = None) -> None:
        self._gauge = gauge
        self._ceiling = Ceiling(gauge, fixed or MOST_LANES)
        self.lanes = fixed or FIRST_LANES
        self.state = State.FIXED if fixed else State.SETTLING
        self.capped = False
        """Whether every doubling brought more, up to the most that there may be."""
        self.more_brings: bool | None = None
        """Whether more lanes had brought as much more when they were tried last, or nothing; None
        where it was something between, or nothing was tried."""
        self._fleet = (-1, 0)
        self._before = Level(self.lanes, 0.0)
        """What there was when the last trial began."""
        self._usual = self._try_at = self._beaten_by = 0.0
        self._fewer_next = self._shrank = False
        self._step, self._idle = 2, 0.0
        self._hold = HOLD_SECONDS
        self._bursts = Bursts(gauge)
        self._begin(LATEST)

    @property
    def is_fixed(self) -> bool:
        """Whether the user has set the number."""
        return self.state is State.FIXED

    @property
    def is_trying(self) -> bool:
        """Whether a trial is under way."""
        return self.state in (State.MORE, State.FEWER)

    @property
    def refused(self) -> bool:
        """Whether there are fewer lanes because the origin complained."""
        return self._ceiling.refused

    def lanes_soon(self, now: float) -> int:
        """How many there may be before the parts that are cut now have come."""
        if self.is_fixed or (not self.is_trying and now < self._try_at - SOON_SECONDS):
            return self.lanes
        return min(2 * self.lanes, self._ceiling.lanes())

    def look(
        self, now: float, *, flying: int, busy: bool, strained: bool, may_try: bool = True
    ) -> None:
        """Act on what the gauge shows; ``flying`` requests are in flight.

        ``busy``: whether all lanes had work since; ``strained``: whether the processors of a node
        have no time for more; ``may_try``: whether a trial may begin.
        """
        forgiven = self._ceiling.forgive(now)
        if self.is_fixed:
            self.lanes = self._ceiling.borne if forgiven else self.lanes
            return
        self._meet_fleet(now)
        self._see_bursts()
        self._idle += IDLE_NEWS * ((not busy) - self._idle)
        if not busy or not len(self._gauge):
            self._stand_by(now)
        elif self.state is State.BACKING_OFF:
            self._back_off(now)
        elif self._are_landing(flying):
            # What was heard before says nothing about the lanes that there are now.
            self._begin(LATEST)
        elif (rate := self._measured.rate) is not None:
            self._learn(rate, now)
            if may_try and self._is_due(now) and (self._fewer_next or not strained):
                self._try(now)

    def complained(self, now: float) -> None:
        """The origin refuses: half the lanes, and no more than that for a while."""
        if not self._ceiling.complained(self.lanes, now):
            return
        self.lanes = self._ceiling.borne
        self.capped, self.more_brings = False, None
        if not self.is_fixed:
            self.state = State.BACKING_OFF
            self._forget()
            self._wait(now)

    def reset(self, now: float) -> None:
        """Other downloads came or went: a trial that began before can't tell what lanes did."""
        if not self.is_fixed:
            self._start_over(now + JOIN_SECONDS)
            self._beaten_by = 0.0
            self._try_at = max(self._try_at, now + JOIN_SECONDS)

    def _meet_fleet(self, now: float) -> None:
        """Begin again where nodes came or went: a trial would show what they did, not the lanes."""
        generation, before = self._fleet
        if generation == self._gauge.generation:
            return
        self._fleet = self._gauge.generation, len(self._gauge)
        self._forget()
        self._try_at = now + JOIN_SECONDS if before else now
        self._start_over(self._try_at)
        while self.lanes > self._ceiling.lanes():
            self.lanes //= 2

    def _see_bursts(self) -> None:
        if self.is_trying:  # the speed changes because of the lanes
            self._bursts.start_over()
            return
        seen = self._bursts.seen
        self._bursts.look()
        if self._bursts.seen and not seen:
            self._begin(LATEST)

    def _stand_by(self, now: float) -> None:
        """Learn nothing from what is held back by others, but that lanes are too many."""
        self._void()
        self._begin(now + SHORT_SECONDS)
        if self._idle > IDLE and self.lanes > FIRST_LANES:
            self.lanes //= 2
            self._idle, self.capped = 0.0, False

    def _back_off(self, now: float) -> None:
        if self.lanes < self._ceiling.lanes() or not self.refused:
            self.state = State.SETTLING
            self._begin(now)

    def _learn(self, rate: float, now: float) -> None:
        """Take in what was measured in the present state."""
        match self.state:
            case State.SETTLING:
                self._settle(rate)
            case State.HOLDING:
                self._watch(rate, now)
            case State.MORE:
                self._judge_more(rate, now)
            case State.FEWER:
                self._judge_fewer(rate, now)

    def _settle(self, rate: float) -> None:
        """Take the first speed for the usual one."""
        if rate > 0:
            self.state, self._usual = State.HOLDING, rate
        self._begin(LATEST)

    def _watch(self, rate: float, now: float) -> None:
        """Follow the usual speed."""
        self._usual += (BURSTY_NEWS if self._bursts.seen else NEWS) * (rate - self._usual)
        if self._usual < FAIR * self._beaten_by:
            self.state, self._bursts.seen = State.SETTLING, True
            self._try_at, self._beaten_by, self._hold = now, 0.0, HOLD_SECONDS
        self._begin(LATEST)

    def _try(self, now: float) -> None:
        """Begin a trial of twice the lanes, or of half."""
        fewer, self._fewer_next = self._fewer_next and self.lanes > FIRST_LANES, False
        if not fewer and 2 * self.lanes > self._ceiling.lanes():
            self._try_at = now + HOLD_SECONDS
            return
        self._before = Level(self.lanes, self._usual)
        if fewer:
            self.state, self.lanes = State.FEWER, self.lanes // 2
        else:
            self.state, self.lanes = State.MORE, min(self._step * self.lanes, self._ceiling.lanes())
        self._begin(now + SETTLE_SECONDS)

    def _judge_more(self, rate: float, now: float) -> None:
        """Keep the lanes that were added, or go back."""
        before, more = self._before, self.lanes / self._before.lanes
        gain = rate / max(before.rate, 1.0)
        self._step = 4 if len(self._gauge) == 1 and gain >= PROPORTIONAL * more else 2
        if gain < GAIN:
            self.more_brings = self.capped = False
            self.lanes = before.lanes
            if before.lanes > FIRST_LANES:
                self._fewer_next = True
                self._try_at = now + SOON_SECONDS
            else:
                self._wait(now)
                self._beaten_by = before.rate
        else:
            self.more_brings = True if gain >= NEARLY * more else None
            self._usual = rate
            self._fewer_next = self.capped = 2 * self.lanes > self._ceiling.lanes()
            if self.capped:
                self._try_at = now + DOUBT_SECONDS
            if gain < more / 2:  # after a leap: half of it would have brought as much
                self.lanes //= 2
        self._end_trial(now)

    def _judge_fewer(self, rate: float, now: float) -> None:
        """Do without the lanes that were left out, or go back."""
        before = self._before
        self._step = 2
        if rate >= KEEP * max(before.rate, 1.0):
            self.more_brings = self.capped = False
            self._fewer_next = self._shrank = True
            self._usual = rate
            self._try_at = now + SOON_SECONDS
        else:
            self.lanes = before.lanes
            if self._shrank:  # perhaps one step too far: what is above is tried at once
                self._shrank, self._try_at = False, now
            else:
                self._wait(now)
        self._end_trial(now)

    def _end_trial(self, now: float) -> None:
        self.state = State.HOLDING
        self._begin(now + SETTLE_SECONDS)

    def _forget(self) -> None:
        """Forget what was seen so far: it was of another fleet."""
        self._usual = self._beaten_by = 0.0
        self._step, self._fewer_next, self._shrank = 2, False, False
        self._bursts.forget()

    def _start_over(self, at: float) -> None:
        """Measure what is usual again, from ``at`` on."""
        self._void()
        self.state = State.BACKING_OFF if self.refused else State.SETTLING
        self._begin(at)

    def _is_due(self, now: float) -> bool:
        return self.state is State.HOLDING and now >= self._try_at

    def _wait(self, now: float) -> None:
        """Try nothing for a while, and for longer the next time."""
        self._try_at = now + self._hold
        self._hold = min(2 * self._hold, LONGEST_HOLD)

    def _are_landing(self, flying: int) -> bool:
        """Whether a trial of fewer lanes has yet to wait for the others to end their parts."""
        return self.state is State.FEWER and flying > self.lanes * len(self._gauge)

    def _void(self) -> None:
        """End a trial without a judgement."""
        if self.is_trying:
            self.state, self.lanes = State.HOLDING, self._before.lanes

    def _begin(self, since: float) -> None:
        """Start measuring again."""
        if self._bursts.seen:
            seconds = BURSTY_MEASURE_SECONDS
        elif self.state is State.FEWER:
            seconds = FEWER_MEASURE_SECONDS
        else:
            seconds = SHORT_SECONDS if len(self._gauge) == 1 else FLEET_MEASURE_SECONDS
        self._measured = self._gauge.begin(since, seconds)
