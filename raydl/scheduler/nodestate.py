"""A node as the scheduler sees it: what it has in flight, how fast it is, its state."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from raydl.model.events import NodeNow
from raydl.model.failure import Failure
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.plan import FIRST_PART
from raydl.scheduler.window import Task
from raydl.workers.lane import Pulse, Team

SILENCE_SECONDS = 1.5
"""A node that was not heard from for this long, though asked several times a second, is not counted
on; a node whose answers take long when it is well gets longer."""

SPEED_SECONDS = 0.25
"""Shortest time between two looks from which a speed is taken."""

CRAWL_SECONDS = 5.0
"""A connection is slow when it was so for this long."""

STRAINED = 0.9
"""From this share of its processor time on, a node is taken to have none for more lanes."""

STUCK_SECONDS = 0.5
"""Shortest pause between two bytes that counts as one."""


@dataclass(eq=False)
class Flight:
    """A request in flight. ``moot`` means that its bytes are no longer wanted, ``replaced`` that
    they were asked for once more, because it is late or its node silent, and ``given_up`` says
    why it was cut off. ``source`` is where ``mirror`` had the file when it was asked."""

    ticket: int
    task: Task
    node: NodeState
    mirror: Mirror
    began: float
    got: int = 0
    seen_at: float = 0.0
    moved_at: float = 0.0
    moot: bool = False
    replaced: bool = False
    given_up: Failure | None = None
    _mark: tuple[float, int] | None = None
    _first: tuple[float, int] | None = None

    def __post_init__(self) -> None:
        self.source = self.mirror.source

    def crawls(self, lowest: float) -> bool:
        """Whether it was slower than ``lowest`` bytes a second since it was last asked for it."""
        since, got = self._mark or (self.began, 0)
        if self.seen_at - since < CRAWL_SECONDS:
            return False
        self._mark = (self.seen_at, self.got)
        return self.got - got < lowest * (self.seen_at - since)

    def stood_still(self, seconds: float) -> None:
        """Exclude ``seconds`` in which this process was suspended."""
        self.began += seconds
        self.seen_at += seconds if self.seen_at else 0.0
        self.moved_at += seconds if self.moved_at else 0.0
        self._mark = self._mark and (self._mark[0] + seconds, self._mark[1])
        self._first = self._first and (self._first[0] + seconds, self._first[1])

    def seen(self, got: int, at: float) -> None:
        """Update the byte count as reported at time ``at``."""
        if got > self.got or not self.moved_at:
            self.moved_at = at
        if got and self._first is None:
            self._first = (at, got)
        self.got, self.seen_at = got, at

    def seconds_left(self, now: float) -> float:
        """How long it will still take, by what it has done so far."""
        size, age = self.task.part.size, now - self.began
        # Not from its beginning: the wait for an answer says nothing about what follows.
        since, before = self._first or (self.seen_at, self.got)
        if self.got > before and self.seen_at - since >= SPEED_SECONDS:
            speed = (self.got - before) / (self.seen_at - since)
            left = (size - self.got) / speed - (now - self.seen_at)
        elif self.node.speed:
            left = (size - self.got) / self.node.speed - (now - (self.seen_at or self.began))
        else:
            left = 0.0
        # What is stuck, or overdue, will be so for about as long again.
        stuck = now - max(self.moved_at, self.began)
        overdue = age - size / self.node.speed if self.node.speed else 0.0
        return max(left, stuck if stuck > STUCK_SECONDS else 0.0, 0.0 if self.got else overdue)

    def is_late(self, now: float, speed: float, spare: float = 0.0) -> bool:
        """Whether a lane of ``speed`` bytes a second would have its bytes well before it.

        ``spare`` is how many seconds the download can do without them.
        """
        if not speed:
            return False
        again = self.task.part.size / speed
        return self.seconds_left(now) > max(1.5 * again, again + 0.2, spare)


class NodeState:
    """A node's lanes with what they have in flight. Speeds are bytes a second."""

    def __init__(self, team: Team, now: float) -> None:
        self.team = team
        self.name = team.node
        self.flights: dict[int, Flight] = {}
        self.strikes = 0
        self.gone = False
        self.speed = 0.0
        """Of one lane; 0 while unknown."""
        self.rate = 0.0
        """Of all lanes together, over the last looks."""
        self.load: float | None = None
        """The share of its node's processor time that was in use, over the last looks; None while
        unknown."""
        self.largest = FIRST_PART
        """Bytes of the largest part that came, or of a first one."""
        self.pulse: Pulse | None = None
        self._bytes = self._seconds = 0.0
        self._resting: list[float] = []
        self._heard_at = now
        self._slowest_answer = 0.0
        self._marked: Pulse | None = None

    def free(self, lanes: int, now: float) -> int:
        """How many more requests it can take when each node may have ``lanes``."""
        while self._resting and self._resting[0] <= now:
            heapq.heappop(self._resting)
        if self.gone or self.is_silent(now):
            return 0
        return min(lanes, self.team.most) - len(self.flights) - len(self._resting)

    def rest(self, until: float) -> None:
        """One lane takes a pause."""
        heapq.heappush(self._resting, until)

    def next_rested(self) -> float | None:
        """When the first pause ends."""
        return self._resting[0] if self._resting else None

    def stood_still(self, seconds: float) -> None:
        """Exclude ``seconds`` in which this process was suspended."""
        self._heard_at += seconds
        for flight in self.flights.values():
            flight.stood_still(seconds)

    def is_silent(self, now: float) -> bool:
        """Whether it was not heard from for too long."""
        patience = max(SILENCE_SECONDS, 3 * self.team.period, 3 * self._slowest_answer)
        return now - self._heard_at > patience

    def delivered(self, got: int, seconds: float, now: float) -> None:
        """A lane of it brought ``got`` bytes in ``seconds``."""
        self._heard_at = now
        self.largest = max(self.largest, got)
        if seconds > 0:
            # Not the mean of speeds: what a cap lets through at once would outweigh the rest.
            self._bytes, self._seconds = self._bytes / 2 + got, self._seconds / 2 + seconds
            self.speed = self._bytes / self._seconds

    @property
    def is_strained(self) -> bool:
        """Whether its node has no processor time for more, as far as that is known."""
        if self.pulse is None or self.pulse.cpu is None:  # its system does not report it
            return False
        return self.load is None or self.load > STRAINED

    def describe(self, now: float) -> NodeNow:
        """Its state, for people."""
        return NodeNow(self.name, len(self.flights), self.rate, self.is_silent(now))

    def look(self, now: float) -> None:
        """See how its team is doing, unless that is what it reports."""
        if not self.team.reports:
            self.hear(self.team.look(), now)

    def hear(self, pulse: Pulse | None, now: float) -> None:
        """Take in how its team is doing."""
        if pulse is None or (self.pulse is not None and pulse.at <= self.pulse.at):
            return
        if self.pulse is not None and not self.is_silent(now):
            self._slowest_answer = max(self._slowest_answer * 0.9, pulse.at - self._heard_at)
        self.pulse = pulse
        self._heard_at = max(self._heard_at, pulse.at)
        for ticket, got in pulse.flights.items():
            if ticket in self.flights:
                self.flights[ticket].seen(got, pulse.at)
        if self._marked is None:
            self._marked = pulse
        elif pulse.clock - self._marked.clock >= SPEED_SECONDS:
            before, self._marked = self._marked, pulse
            self.rate = (pulse.received - before.received) / (pulse.clock - before.clock)
            self.load = _load(before.cpu, pulse.cpu)
            if self.flights and self.rate < self.speed * len(self.flights) / 2:
                # It has become slow, and no part of it has ended to show it.
                self.speed = (self.speed + self.rate / len(self.flights)) / 2
                self._bytes = self.speed * self._seconds


def _load(before: tuple[float, float] | None, after: tuple[float, float] | None) -> float | None:
    """The share of (busy, all) processor seconds that was busy; None where it is not known."""
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])
