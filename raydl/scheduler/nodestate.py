"""A node as the scheduler sees it: what it has in flight, how fast it is, its state. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raydl.model.events import NodeNow
from raydl.workers.protocol import Pulse, Team

if TYPE_CHECKING:
    from raydl.scheduler.flights import Flight
    from raydl.scheduler.lanes import Lanes

SILENCE_SECONDS, SILENT_PERIODS = 1.5, 3
"""A node that was not heard from for this long, or for so many of the periods after which it is
asked, is not counted on; a node whose answers take long when it is well gets longer."""

SPEED_SECONDS = 0.25
"""Shortest time between two looks from which a speed is taken."""

STRAINED = 0.9
"""From this share of its processor time on, a node is taken to have none for more lanes."""

SPARE = 0.5
"""Nor where fewer processors than this have nothing to do, and its lanes take a whole one."""

ONE = 0.6, 1.15
"""Lanes of a node that take about one processor together have no more: the threads of a Python
process have one interpreter among them. Without that they take one by chance only."""


class NodeState:
    """A node with what it has in flight. ``pool`` is the fleet that it belongs to.

    ``rate`` is what all its lanes bring together in bytes a second, and ``load`` the share of its
    processors' time that was in use (None while unknown), both over the last looks.
    """

    def __init__(self, team: Team, now: float, pool: str = "") -> None:
        self.team, self.pool = team, pool
        self.name = team.node
        self.flights: dict[int, Flight] = {}
        self.lanes: list[Lanes] = []
        self.gone = self.silent = False
        self.rate = 0.0
        self.load: float | None = None
        self._spare = 0.0
        """Processors that had nothing to do."""
        self.is_full = False
        """Whether its lanes take about one processor together, as of the last look."""
        self.pulse: Pulse | None = None
        self._heard_at = now
        self._slowest_answer = 0.0
        self._marked: Pulse | None = None

    def stood_still(self, seconds: float) -> None:
        """Exclude ``seconds`` in which this process was suspended."""
        self._heard_at += seconds
        for flight in self.flights.values():
            flight.stood_still(seconds)

    def is_silent(self, now: float) -> bool:
        """Whether it was not heard from for too long."""
        period = SILENT_PERIODS * max(self.team.period, self._slowest_answer)
        return now - self._heard_at > max(SILENCE_SECONDS, period)

    def delivered(self, now: float) -> None:
        """It brought a part, which is a sign of life."""
        self._heard_at = now

    @property
    def is_strained(self) -> bool:
        """Whether its node has no processor time for more, as far as that is known."""
        if self.pulse is None or self.pulse.cpu is None:  # its system does not report it
            return False
        if self.load is None:
            return True
        if self.is_full and self._spare < SPARE:
            return True
        return self.load > STRAINED and self._spare < 1  # a tenth of many is enough for more

    def describe(self, lanes: int) -> NodeNow:
        """Its state, for people; ``lanes`` of it work for the download that they look at."""
        return NodeNow(self.name, lanes, self.rate, self.silent)

    def hear(self, pulse: Pulse, now: float) -> bool:
        """Take in how it is doing; returns whether that is news."""
        if self.pulse is not None and pulse.at <= self.pulse.at:
            return False
        if self.pulse is not None and not self.is_silent(now):
            self._slowest_answer = max(self._slowest_answer * 0.9, pulse.at - self._heard_at)
        self.is_full = _is_full(self.pulse, pulse)
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
            self.load, self._spare = _load(before, pulse)
            self._notice_slowness()
        return True

    def _notice_slowness(self) -> None:
        expected = sum(lanes.speed * lanes.flying for lanes in self.lanes)
        if self.rate < expected / 2:
            for lanes in self.lanes:
                lanes.slowed(self.rate / expected)


def _load(before: Pulse, after: Pulse) -> tuple[float | None, float]:
    """The share of processor seconds that was busy, None where it is not known; and how many
    processors had nothing to do."""
    if before.cpu is None or after.cpu is None or after.cpu[1] <= before.cpu[1]:
        return None, 0.0
    busy, there = after.cpu[0] - before.cpu[0], after.cpu[1] - before.cpu[1]
    return busy / there, (there - busy) / (after.clock - before.clock)


def _is_full(before: Pulse | None, after: Pulse) -> bool:
    if before is None or before.fetching is None or after.fetching is None:
        return False
    taken = (after.fetching - before.fetching) / (after.clock - before.clock)
    return ONE[0] <= taken <= ONE[1]
