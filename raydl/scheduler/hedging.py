"""Second requests for bytes that are late, where another lane is faster. Pure state.

Only requests of which there is news, or whose time is up, are looked at: the costs do not depend on
how many there are.
"""

from __future__ import annotations

import heapq
from itertools import count

from raydl.model.events import PartHedged
from raydl.model.failure import Failure
from raydl.model.units import format_size
from raydl.scheduler.flights import CRAWL_SECONDS, CUT_SHORT, Flight
from raydl.scheduler.job import Job
from raydl.scheduler.lanes import LaneGroup
from raydl.scheduler.nodes import Nodes
from raydl.scheduler.nodestate import NodeState


class Hedging:
    """Knows which requests may be late, and has the late ones asked for once more."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._news: set[NodeState] = set()
        self._suspects: dict[int, Flight] = {}
        self._deadlines: list[tuple[float, int, Flight]] = []
        self._order = count()

    def launched(self, flight: Flight, now: float) -> None:
        """A request starts."""
        self._push(flight, flight.next_look(now, flight.lanes.group.fastest))

    def landed(self, flight: Flight) -> None:
        """A request ended."""
        self._suspects.pop(flight.ticket, None)

    def forget(self) -> None:
        """There is no download any more."""
        self._news.clear()
        self._suspects.clear()
        self._deadlines.clear()

    def heard(self, node: NodeState) -> None:
        """There is news of what a node has in flight."""
        self._news.add(node)
        for flight in node.flights.values():
            lowest = flight.job.wants.lowest
            if lowest and not flight.moot and flight.given_up is None and flight.crawls(lowest):
                text = f"slower than {format_size(lowest)}/s for {CRAWL_SECONDS:g}s"
                flight.give_up(Failure("broken", text))

    def look(self, groups: list[LaneGroup], now: float) -> None:
        """Hedge what is late, as far as lanes are free; else what holds up the rest.

        That is every late part when lanes have nothing else to do, and else the part at the
        head of a window, if the window would be full before it comes.
        """
        self._collect(now)
        for node in self._nodes.survey.silent:
            self._replace_flights_of(node)
        for group in groups:
            best = group.idle(now)
            if best is not None:
                self._hedge_late(group, best.speed, now)
            else:
                self._hedge_heads(group, now)

    def _collect(self, now: float) -> None:
        """Whatever may be late by now is a suspect."""
        while self._deadlines and self._deadlines[0][0] <= now:
            flight = heapq.heappop(self._deadlines)[2]
            if flight.ticket in flight.node.flights:
                self._suspects[flight.ticket] = flight
        for node in self._news:
            self._suspects.update(node.flights)
        self._news.clear()

    def _hedge_late(self, group: LaneGroup, speed: float, now: float) -> None:
        suspects = [flight for flight in self._suspects.values() if flight.lanes.group is group]
        late: list[Flight] = []
        for flight in suspects:
            if flight.is_late(now, speed) and not flight.moot:
                late.append(flight)
            else:
                del self._suspects[flight.ticket]
                self._push(flight, flight.next_look(now, speed))
        idle = group.count_idle(now, len(late))
        late.sort(key=lambda flight: (flight.job.served, flight.part.start))
        for flight in late:
            if not idle:
                break
            foremost = flight.job.foremost(flight.part.start, now)
            if foremost is not None and foremost.is_late(now, speed):
                self._hedge_or_cut(foremost, now)
                idle -= 1

    def _hedge_heads(self, group: LaneGroup, now: float) -> None:
        rate = self._nodes.survey.rate
        if not rate:
            return
        for job in group.jobs:
            if not job.destination.in_order:
                continue  # there is no head that the rest waits for
            window = job.window
            spare = (window.limit - window.pending) / rate
            foremost = job.foremost(window.head, now)
            if foremost is not None and foremost.is_late(now, group.fastest, spare):
                self._hedge_or_cut(foremost, now)

    def _hedge_or_cut(self, flight: Flight, now: float) -> None:
        """``flight`` is late. If that is because it is for so much, another one would be as late:
        what it brought is kept instead, and the rest asked for in smaller requests."""
        if flight.lanes.group.sizes.is_late(flight, now):
            flight.give_up(CUT_SHORT)
        else:
            self.hedge(flight, "it is late")

    def _replace_flights_of(self, node: NodeState) -> None:
        """``node`` is silent: others get what it has in flight; whichever is first wins."""
        for flight in list(node.flights.values()):
            if not flight.replaced:
                self.hedge(flight, f"{node.name} does not answer")

    def hedge(self, flight: Flight, reason: str) -> None:
        """Have the bytes of a request asked for once more."""
        flight.replaced = True
        job: Job = flight.job
        if flight.moot or job.window.is_waiting(flight.part.start):
            return
        job.window.put_back(flight.part)
        job.group.wake(job)
        job.emit(PartHedged(*flight.part, flight.node.name, reason))

    def _push(self, flight: Flight, at: float) -> None:
        heapq.heappush(self._deadlines, (at, next(self._order), flight))
