"""How many lanes a node should have: found by trying, for the whole fleet at once. Pure state.

All nodes have the same number. Would each node find its own, two that share a limit of the
origin would take from each other, see a gain in it, and never stop.

It begins as TCP does: twice as many again and again, while that brings more.

TLS begins with one lane, for a moment. A process has one interpreter to undo it with, and over a
fast link one lane takes all of that: more of them would only get in each other's way.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from raydl.scheduler.agenda import HOLD_SECONDS, SOON_SECONDS, Agenda
from raydl.scheduler.ceiling import FIRST_LANES, MOST_LANES, Bearing, Ceiling
from raydl.scheduler.gauge import LATEST, NEWS, SHORT_SECONDS, Bursts, Gauge
from raydl.scheduler.opening import Opening
from raydl.scheduler.trial import BURSTY_SECONDS, NEARLY, Verdict, judge_fewer, judge_more

RECOVERED = 0.5
"""From this share on of what there was before a fall, it is over."""

CHANGED = 0.7
"""Where the speed falls to this share by itself, what was found out before it holds no more: what
came at first may have been saved up."""

IDLE, IDLE_NEWS = 0.9, 0.1
"""Lanes that had nothing to do in this share of the last looks are too many. The share is
exponentially weighted; the second number is the weight of each look."""

FLEET_SECONDS = 0.4
"""What other nodes bring is known a few times a second only."""

SETTLE_SECONDS = 0.1
JOIN_SECONDS = 0.5
"""The ramp-up time of a new node, in which its speed grows whatever the lanes are."""

LANDING_SECONDS = 2.0
"""Requests that a trial of fewer lanes waits for are called off after this time."""

RECOVERY_SECONDS = 10.0

STILL_SECONDS, FLEET_STILL_SECONDS, STALL_SECONDS = 0.2, 0.6, 8.0
"""Nothing comes, of one node or of any, for longer than its pulses take; and a trial that sees
nothing come waits for so long."""


class State(Enum):
    """What a tuner is doing."""

    FIXED = "keeping the number that the user has set"
    OPENING = "seeing whether one lane takes all of a processor"
    SETTLING = "waiting for a first speed, of this fleet or after a trial in vain"
    STARTING = "trying more, again and again, as at the beginning"
    HOLDING = "measuring what there is, until the next trial"
    MORE = "trying more"
    FEWER = "trying fewer"
    RECOVERING = "waiting for what there was, after more had brought all to a standstill"
    BACKING_OFF = "keeping what the origin bore, as it complained of more"


TRIALS = (State.STARTING, State.MORE, State.FEWER)


class Level(NamedTuple):
    """``rate`` bytes a second came with ``lanes`` lanes a node."""

    lanes: int
    rate: float


class Tuner:
    """More lanes a node as long as that brings more, fewer where that costs nothing.

    What they bring is read from ``gauge``. ``fixed`` lanes stay as they are, unless the origin
    refuses that many. ``bearing`` is what its origin was seen to bear. ``has_tls``: whether
    what comes is undone by an interpreter, which lanes share.
    """

    def __init__(
        self,
        gauge: Gauge,
        fixed: int | None = None,
        bearing: Bearing | None = None,
        *,
        has_tls: bool = False,
    ) -> None:
        self._gauge = gauge
        self._ceiling = Ceiling(gauge, fixed or MOST_LANES, None if fixed else bearing)
        self.lanes = fixed or self.borne or FIRST_LANES
        self.state = State.FIXED if fixed else State.SETTLING
        self._has_tls = has_tls
        if has_tls and not (fixed or self.borne):
            self.lanes, self.state = 1, State.OPENING
        self.more_brings: bool | None = None
        """Whether more lanes had brought as much more when they were tried last, or nothing; None
        where it was something between, or nothing was tried."""
        self._fleet = (-1, 0)
        self._before = Level(self.lanes, 0.0)
        """What there was when the last trial began."""
        self._since = self._tried_at = 0.0
        """When the present state began, or a trial could show something again; and when that was
        begun."""
        self._least = FIRST_LANES
        self._opening = Opening()
        self._landed = 0.0
        """When there were as few requests in flight as a trial of fewer lanes wants."""
        self._usual = self._found = self._idle = 0.0
        """Bytes a second: the second is what was found when the last trial ended."""
        self._was_bursty = self._was_still = self._had_stall = False
        self._agenda = Agenda()
        self._bursts = Bursts(gauge)
        self._begin(LATEST)

    @property
    def is_fixed(self) -> bool:
        """Whether the user has set the number."""
        return self.state is State.FIXED

    @property
    def is_opening(self) -> bool:
        """Whether it is to look again soon."""
        return self.state is State.OPENING

    @property
    def is_trying(self) -> bool:
        """Whether a trial is under way, or what it did has yet to pass."""
        return self.state in TRIALS or self.state is State.RECOVERING

    @property
    def refused(self) -> bool:
        """Whether there are fewer lanes because the origin complained."""
        return self._ceiling.refused

    @property
    def borne(self) -> int | None:
        """With more lanes than this the origin gave much less; None where that was not seen."""
        return self._ceiling.bearing.lanes

    def lanes_soon(self, now: float) -> int:
        """How many there may be before the parts that are cut now have come."""
        if self.is_fixed or (not self.is_trying and now < self._agenda.at - SOON_SECONDS):
            return self.lanes
        return max(self.lanes, min(2 * max(self.lanes, FIRST_LANES), self._ceiling.lanes()))

    def sheds(self, now: float) -> bool:
        """Whether requests in flight that are too many are to be called off."""
        late = now - self._since > LANDING_SECONDS
        return self.state is State.RECOVERING or (self.state is State.FEWER and late)

    def look(
        self,
        now: float,
        *,
        flying: int,
        busy: bool,
        strained: bool,
        full: bool = False,
        may_try: bool = True,
    ) -> None:
        """Act on what the gauge shows; ``flying`` requests are in flight.

        ``busy``: whether all lanes had work since; ``strained``: whether the processors of a node
        have no time for more; ``full``: whether these lanes take about one processor;
        ``may_try``: whether a trial may begin.
        """
        forgiven = self._ceiling.forgive(now)
        if self.is_fixed:
            self.lanes = self._ceiling.borne if forgiven else self.lanes
            return
        full = full and self._has_tls and len(self._gauge) == 1
        self._least = 1 if full else FIRST_LANES
        if self.is_opening and not self._open(full, now):
            return
        self._meet_fleet(now)
        self._leave_few(full, now)
        self._see_bursts(now)
        self._idle += IDLE_NEWS * ((not busy) - self._idle)
        if not busy or not len(self._gauge):
            self._stand_by(now)
        elif self.state is State.BACKING_OFF:
            self._back_off(now)
        elif self._are_landing(flying):
            # What was heard before says nothing about the lanes that there are now.
            self._landed = now
            self._begin(LATEST)
        else:
            rate = self._measured.rate
            if rate is not None:
                self._learn(rate, now)
            is_due = self.state is State.HOLDING and self._agenda.is_due(now)
            if may_try and is_due and (self._agenda.fewer or full or not strained):
                self._try(now, strained=strained, full=full)

    def complained(self, now: float) -> None:
        """The origin refuses: half the lanes, and no more than that for a while."""
        # The first one, alone, says nothing of their number.
        lanes = FIRST_LANES if self.is_opening else self.lanes
        if not self._ceiling.complained(lanes, now):
            return
        self.lanes = self._ceiling.borne
        self.more_brings = None
        if not self.is_fixed:
            self.state = State.BACKING_OFF
            self._forget()
            self._agenda.wait(now)

    def reset(self, now: float) -> None:
        """Other downloads came or went: a trial that began before can't tell what lanes did."""
        if self.is_opening:
            self._opening.start_over()
        elif not self.is_fixed:
            self._start_over(now + JOIN_SECONDS)
            self._agenda.not_before(now + JOIN_SECONDS)

    def _open(self, full: bool, now: float) -> bool:
        """Returns whether it is over, and so whether one lane stays alone."""
        if not self._opening.is_over(self._gauge.moved_at, now):
            return False
        self._start_over(now)
        if not self._opening.is_enough(full):
            self.lanes = min(FIRST_LANES, self._ceiling.lanes())
        return True

    def _leave_few(self, full: bool, now: float) -> None:
        """Have as many as at first again where the processor was free for a while."""
        is_free, most = self._opening.is_free(full), min(FIRST_LANES, self._ceiling.lanes())
        if is_free and self.lanes < most and self.state not in TRIALS:
            self.lanes = most
            self._agenda.forget()
            self._start_over(now)

    def _meet_fleet(self, now: float) -> None:
        """Begin again where nodes came or went: a trial would show what they did, not the lanes."""
        generation, before = self._fleet
        if generation == self._gauge.generation:
            return
        self._fleet = self._gauge.generation, len(self._gauge)
        self._forget()
        self._start_over(now + JOIN_SECONDS if before else now)
        while self.lanes > self._ceiling.lanes():
            self.lanes //= 2

    def _see_bursts(self, now: float) -> None:
        if self.state in (State.MORE, State.FEWER, State.RECOVERING):
            self._bursts.start_over()  # the speed changes because of the lanes
            return
        seen = self._bursts.seen
        self._bursts.look()
        if self._bursts.seen and not seen and self.state is not State.STARTING:
            self._begin(LATEST)
            if self._ceiling.bearing.may_doubt(now):  # so that was no fall
                self._ceiling.bearing.did_not_fall()
                self._agenda.start_again()

    def _stand_by(self, now: float) -> None:
        """Learn nothing from what is held back by others, but that lanes are too many."""
        self._void()
        self._begin(now + SHORT_SECONDS)
        if self._idle > IDLE and self.lanes > FIRST_LANES:
            self.lanes //= 2
            self._idle = 0.0

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
                self._watch(rate)
            case State.STARTING | State.MORE:
                self._judge_more(rate, now)
            case State.FEWER:
                self._judge_fewer(rate, now)
            case State.RECOVERING:
                self._recover(rate, now)

    def _settle(self, rate: float) -> None:
        """Take the first speed for the usual one. A trial was in vain only if what it had to beat
        is still there."""
        if rate > 0:
            self.state = State.HOLDING
            if rate < CHANGED * self._found:
                self._agenda.start_again()
            self._usual = self._found = rate
            self._begin(LATEST)

    def _watch(self, rate: float) -> None:
        """Follow the usual speed."""
        self._usual += (0.5 if self._bursts.seen else NEWS) * (rate - self._usual)
        if self._usual < CHANGED * self._found:
            self._settle_anew()
            self._agenda.hurry()
        self._begin(LATEST)

    def _try(self, now: float, *, strained: bool, full: bool) -> None:
        """Begin a trial of more lanes, or of half."""
        agenda = self._agenda
        wants_fewer = agenda.fewer or (full and strained and agenda.is_new)
        fewer, agenda.fewer = wants_fewer and self.lanes > self._least, False
        more = self._ceiling.above(self.lanes, agenda.step, now, is_start=agenda.is_new)
        if not fewer and (strained or more <= self.lanes):
            agenda.wait(now, HOLD_SECONDS)
            return
        # What several steps cost together counts.
        usual = self._before.rate if fewer and agenda.shrank else self._usual
        self._before = Level(self.lanes, usual)
        self._since = self._tried_at = self._landed = now
        self._was_bursty, self._was_still, self._had_stall = self._bursts.seen, False, False
        self._bursts.start_over()
        if fewer:
            self.state, self.lanes = State.FEWER, self.lanes // 2
            self._begin(now + SETTLE_SECONDS)
        else:
            self.state = State.STARTING if agenda.is_new else State.MORE
            self.lanes = more
            self._begin(LATEST)

    def _judge_more(self, rate: float, now: float) -> None:
        """Keep the lanes that were added, or go back."""
        gain = rate / max(self._before.rate, 1.0)
        verdict = judge_more(
            gain,
            now - self._since,
            was_bursty=self._was_bursty,
            is_bursty=self._bursts.seen,
            is_start=self.state is State.STARTING,
        )
        if verdict is Verdict.FALL and self._is_still(now):
            self._was_still = True
            return
        if self._was_still and (verdict is Verdict.FALL or not self._had_stall):
            # Only now can it show anything. Where it happens again, these are bursts.
            self._was_still, self._had_stall, self._since = False, True, now
            self._begin(LATEST)
            return
        match verdict:
            case Verdict.KEEP:
                self._keep_more(rate, gain, now)
            case Verdict.BACK:
                self._give_up_more(now)
            case Verdict.FALL:
                self._fall(now)

    def _keep_more(self, rate: float, gain: float, now: float) -> None:
        is_proportional = gain >= NEARLY * self.lanes / self._before.lanes
        self._ceiling.bearing.bore(self.lanes)
        self.more_brings = True if is_proportional else None
        self._agenda.shrank = False
        self._agenda.was_clear = is_proportional or self._bursts.seen
        # Of several nodes a leap would be a flood.
        self._agenda.step = 4 if is_proportional and len(self._gauge) == 1 else 2
        self._usual = self._found = rate
        if self.lanes >= self._ceiling.lanes():
            self._agenda.rest_on(self.lanes, self._least, now)
        self._end_trial(LATEST)

    def _give_up_more(self, now: float) -> None:
        self.more_brings = False
        self.lanes = self._before.lanes
        self._agenda.rest_on(self.lanes, self._least, now)
        self.state, self._found = State.SETTLING, self._before.rate
        self._bursts.start_over()
        self._begin(now + SETTLE_SECONDS)

    def _judge_fewer(self, rate: float, now: float) -> None:
        """Do without the lanes that were left out, or go back."""
        before = self._before
        gain = rate / max(before.rate, 1.0)
        match judge_fewer(gain, now - self._landed, self._bursts.seen):
            case Verdict.WAIT:
                return
            case Verdict.KEEP:
                self.more_brings = False
                self._usual = self._found = rate
                self._agenda.could_shrink(now)
            case _:
                self.lanes = before.lanes
                self._agenda.could_not_shrink(self.lanes, now)
        self._end_trial(now + SETTLE_SECONDS)

    def _fall(self, now: float) -> None:
        """Go back at once, and try no more than half of what brought it about."""
        self._ceiling.bearing.fell(max(self._before.lanes, self.lanes // 2), now)
        self.lanes = self._before.lanes
        self.state, self._since = State.RECOVERING, now
        self._begin(LATEST)

    def _recover(self, rate: float, now: float) -> None:
        """Wait for what there was before the fall."""
        if rate >= RECOVERED * self._before.rate:
            self._usual = self._found = rate
            self.more_brings = None
            self.state = State.HOLDING
            self._agenda.step, self._agenda.was_clear = 2, True
            if self.lanes >= self._ceiling.lanes():
                self._agenda.rest_on(self.lanes, self._least, now)
        elif now - self._since > RECOVERY_SECONDS:  # it had another reason
            self._ceiling.bearing.did_not_fall()
            self._settle_anew()
        self._begin(LATEST)

    def _end_trial(self, since: float) -> None:
        self.state = State.HOLDING
        if not self._agenda.is_new:
            self._bursts.start_over()
        self._begin(since)

    def _forget(self) -> None:
        """Forget what was seen so far: it was of another fleet."""
        self._usual = self._found = 0.0
        self._agenda.forget()
        self._bursts.start_over()

    def _settle_anew(self) -> None:
        """Something has changed by itself."""
        self._found = 0.0
        self._agenda.forget()
        self.state = State.SETTLING

    def _start_over(self, at: float) -> None:
        """Measure what is usual again, from ``at`` on."""
        self._void()
        self.state = State.BACKING_OFF if self.refused else State.SETTLING
        self._begin(at)

    def _are_landing(self, flying: int) -> bool:
        """Whether fewer lanes have yet to wait for the others to end their parts."""
        too_many = flying > self.lanes * len(self._gauge)
        return self.state in (State.FEWER, State.RECOVERING) and too_many

    def _is_still(self, now: float) -> bool:
        """Whether nothing at all comes: that is a link's matter, or the origin's, and shows nothing
        of the lanes, unless it lasts."""
        seconds = STILL_SECONDS if len(self._gauge) == 1 else FLEET_STILL_SECONDS
        return now - self._gauge.moved_at > seconds and now - self._tried_at < STALL_SECONDS

    def _void(self) -> None:
        """End a trial without a judgement."""
        if self.state in TRIALS:
            self.state, self.lanes = State.HOLDING, self._before.lanes

    def _begin(self, since: float) -> None:
        """Start measuring again."""
        is_alone = len(self._gauge) <= 1
        is_usual = self.state in (State.HOLDING, State.SETTLING) and not self._agenda.is_new
        if is_usual and self._bursts.seen:
            seconds = BURSTY_SECONDS
        else:
            seconds = SHORT_SECONDS if is_alone else FLEET_SECONDS
        self._measured = self._gauge.begin(since, seconds)
