"""The nodes that there are: who is free, who fetches which bytes, and where it asks. Pure state."""

from __future__ import annotations

from collections.abc import Iterator

from raydl.scheduler.bottleneck import BUSY, Holdup
from raydl.scheduler.concurrency import Tuner
from raydl.scheduler.flights import Flights
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.node import Crew
from raydl.scheduler.places import Places
from raydl.scheduler.plan import GROWTH, SHARES, part_size
from raydl.scheduler.retry import Retries
from raydl.scheduler.window import Task
from raydl.workers.lane import HERE, Team

SMALL_REQUEST, SHORT_SECONDS = 256 << 10, 0.25
"""Bytes and seconds. Of a request that is for less, and shorter, the wait for its answer is a part
that counts."""


class Roster:
    """The crews, one a node, in the order in which they came."""

    def __init__(self, places: Places, retries: Retries, flights: Flights, tuner: Tuner) -> None:
        self._places, self._retries = places, retries
        self._flights, self._tuner = flights, tuner
        self._crews: list[Crew] = []

    def __iter__(self) -> Iterator[Crew]:
        return iter(self._crews)

    def __len__(self) -> int:
        return len(self._crews)

    def join(self, team: Team, now: float) -> None:
        """A team takes part; it takes over from any that its node had."""
        for crew in [crew for crew in self._crews if crew.node == team.node]:
            self.dismiss(crew)
        self._crews.append(Crew(team, now))

    def dismiss(self, crew: Crew) -> None:
        """No more tasks for this crew; what it has in flight still counts."""
        if not crew.gone:
            crew.gone = True
            self._crews.remove(crew)

    def find(self, team: Team | None) -> Crew | None:
        """The crew of this team, also one that merely has something in flight."""
        crews = [*self._crews, *(flight.crew for flight in self._flights)]
        return next((crew for crew in crews if crew.team is team), None)

    def heard(self, now: float) -> list[Crew]:
        """Those that can be counted on."""
        return [crew for crew in self._crews if not crew.is_silent(now)]

    def active(self, now: float) -> list[Crew]:
        """Those that bring something, or may yet."""
        return [crew for crew in self.heard(now) if not self._places.is_aside(crew)]

    def free(self, now: float) -> list[Crew]:
        """Those with a free lane and a place to ask, the fastest first."""
        lanes = self._tuner.lanes
        free = [c for c in self._crews if c.free(lanes, now) > 0 and self._places.has_any(c, now)]
        free.sort(key=lambda crew: -crew.speed)
        return free

    def choose(self, task: Task, able: list[Crew], now: float) -> tuple[Crew, Mirror] | None:
        """Who of them fetches it, and where; None where another should who is busy."""
        start = task.part.start
        fresh = [crew for crew in able if not self._retries.has_failed(start, crew.node)]
        others = () if fresh else self.active(now)
        if any(not self._retries.has_failed(start, crew.node) for crew in others):
            return None
        # Who fetches it already shares whatever holds that one up.
        racing = {rival.crew for rival in self._flights.rivals(start)}
        for crew in sorted(fresh or able, key=lambda c: c in racing):
            mirror = self._places.next(crew, task, self._retries, now)
            if mirror is not None:
                return crew, mirror
        return None

    def wish(self, crew: Crew, window: int, left: int, now: float) -> int:
        """Bytes of a part that fits this crew's lanes; ``left`` were never given out."""
        crews = self.active(now) or self._crews
        known = [c.speed for c in crews if c.speed]
        usual = sum(known) / len(known) if known else 0.0
        fleet = sum((c.speed or usual) * max(1, len(c.flights)) for c in crews)
        lanes = self._tuner.lanes_soon(now) * len(crews)
        size = part_size(crew.speed or usual, fleet, lanes, window=window, left=left)
        return min(size, GROWTH * crew.largest)

    def holdup(self, largest: int, window: int) -> Holdup:
        """What keeps lanes from being faster, as far as it is about nodes and requests.

        A request is for up to ``largest`` bytes, and ``window`` bytes are under way.
        """
        here = [crew.load or 0.0 for crew in self._crews if crew.node == HERE]
        others = [crew.load or 0.0 for crew in self._crews if crew.node != HERE]
        if here and min(here) > BUSY:
            return Holdup.CPU_HERE
        if others and min(others) > BUSY:
            return Holdup.CPU
        lanes = self._tuner.lanes * max(1, len(self._crews))
        size = min(largest, window // (SHARES * lanes))
        speed = max((crew.speed for crew in self._crews), default=0.0)
        return Holdup.PARTS if size < min(SMALL_REQUEST, SHORT_SECONDS * speed) else Holdup.NONE
