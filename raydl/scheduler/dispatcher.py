"""Gives parts to lanes: whose turn it is, which node fetches, and from which mirror."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

from raydl.model.events import PartStarted
from raydl.model.parts import Part
from raydl.scheduler.flights import Flight
from raydl.scheduler.hedging import Hedging
from raydl.scheduler.job import Job
from raydl.scheduler.lanes import LaneGroup, Lanes
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.nodes import Nodes
from raydl.workers.protocol import tickets

TICK_SECONDS = 0.1


class Dispatcher:
    """Gives out what downloads want, to each its turn, as long as lanes are free."""

    def __init__(self, nodes: Nodes, hedging: Hedging) -> None:
        self._nodes, self._hedging = nodes, hedging
        self._flights: dict[int, Flight] = {}
        self.busy: dict[LaneGroup, None] = {}
        """The lanes in which something may be started."""
        self._blocked: set[Job] = set()
        """Jobs that wait for what others have: memory, or requests to an origin."""
        self._later: list[tuple[float, int, Job]] = []
        self._order = count()

    def get(self, ticket: int) -> Flight | None:
        """The request with this ticket, if it is still in flight."""
        return self._flights.get(ticket)

    def __iter__(self) -> Iterator[Flight]:
        return iter(self._flights.values())

    def wake_at(self, job: Job, at: float) -> None:
        """The job may go on at that time."""
        heapq.heappush(self._later, (at, next(self._order), job))

    def next_at(self) -> float | None:
        """When a job that waits for a time may go on."""
        return self._later[0][0] if self._later else None

    def forget(self) -> None:
        """There is no download any more."""
        self._later.clear()

    def wake_due(self, now: float) -> None:
        """Wake the jobs whose time has come."""
        while self._later and self._later[0][0] <= now:
            job = heapq.heappop(self._later)[2]
            job.group.wake(job)

    def wake_blocked(self) -> None:
        """What others had is free again: whoever waits for such gets a turn."""
        for job in self._blocked:
            job.group.wake(job)
        self._blocked.clear()

    def next_job(self, group: LaneGroup, now: float) -> Job | None:
        """Whose turn it is in these lanes; None where none is free, or nobody wants one."""
        job = group.next_job() if group.has_free(now) else None
        if job is None:
            self.busy.pop(group, None)
        return job

    def serve(self, job: Job, group: LaneGroup, now: float) -> None:
        """Start a request for the job; where it has to wait for something, it is woken again.

        Raises RaydlError where that ends its download.
        """
        if self._serve(job, group, now):
            group.wake(job)

    def _serve(self, job: Job, group: LaneGroup, now: float) -> bool:
        """Start one request for the job; False when it has to wait for something."""
        if job.is_held or not job.may_go_on():
            job.is_idle = True
            return False
        if job.mirror_choice.is_full():
            self._blocked.add(job)
            return False
        at = job.throttle.next_at(now)
        if at > now:
            self.wake_at(job, at)
            return False
        passed: list[Lanes] = []
        try:
            return self._start(job, group, passed, now)
        finally:
            for lanes in passed:
                group.offer(lanes)

    def _start(self, job: Job, group: LaneGroup, passed: list[Lanes], now: float) -> bool:
        first = self._next_able(job, group, passed, now)
        if first is None:
            self._blocked.add(job)
            return False
        window = job.window
        wish = group.wish(first, window.limit, window.left, now)
        part = window.take(now, job.throttle.piece(wish))
        if part is None:
            job.is_idle = True
            due = window.next_due()
            if due is not None:
                self.wake_at(job, due)
            return False
        urgent = window.is_urgent(part)
        if not (urgent or self._nodes.have_room(job, part.size, now)):
            window.put_back(part)
            self._blocked.add(job)
            return False
        chosen = self._choose(job, part, first, group, passed, now, urgent)
        if chosen is None:
            # Those that are free do something else meanwhile.
            window.put_back(part, now + TICK_SECONDS)
            self.wake_at(job, now + TICK_SECONDS)
            return False
        self._launch(job, part, *chosen, now)
        return True

    def _next_able(
        self, job: Job, group: LaneGroup, passed: list[Lanes], now: float
    ) -> Lanes | None:
        """The next free lanes that may ask anywhere for this job; all that were seen are passed."""
        while (lanes := group.take_free(now)) is not None:
            passed.append(lanes)
            if job.uses(lanes.node) and job.mirror_choice.has_any(lanes.node, now):
                return lanes
        return None

    def _choose(
        self,
        job: Job,
        part: Part,
        first: Lanes,
        group: LaneGroup,
        passed: list[Lanes],
        now: float,
        urgent: bool,
    ) -> tuple[Lanes, Mirror] | None:
        """Pick lanes and a mirror for the part; None if a busy node should take it later."""
        racing = {rival.node for rival in job.rivals(part.start)}
        second: list[Lanes] = []
        lanes: Lanes | None = first
        while lanes is not None:
            if urgent or lanes.node.team.memory.has_room(part.size, now):
                failed = job.retries.has_failed(part.start, lanes.node.name)
                # A node that fetches it already shares whatever holds that request up.
                if not failed and lanes.node not in racing:
                    mirror = job.mirror_choice.next(lanes.node, part.start, job.retries, now)
                    if mirror is not None:
                        return lanes, mirror
                second.append(lanes)
            lanes = self._next_able(job, group, passed, now)
        return self._choose_second(job, part, second, now)

    def _choose_second(
        self, job: Job, part: Part, able: list[Lanes], now: float
    ) -> tuple[Lanes, Mirror] | None:
        """The same of lanes that fetch it already, or failed to."""
        fresh = [lanes for lanes in able if not job.retries.has_failed(part.start, lanes.node.name)]
        if not fresh:
            others = (n for n in self._nodes.heard(job) if not job.mirror_choice.is_aside(n))
            if any(not job.retries.has_failed(part.start, node.name) for node in others):
                return None
        racing = {rival.node for rival in job.rivals(part.start)}
        for lanes in sorted(fresh or able, key=lambda lanes: lanes.node in racing):
            mirror = job.mirror_choice.next(lanes.node, part.start, job.retries, now)
            if mirror is not None:
                return lanes, mirror
        return None

    def _launch(self, job: Job, part: Part, lanes: Lanes, mirror: Mirror, now: float) -> None:
        node, group = lanes.node, lanes.group
        flight = Flight(next(tickets), job, part, lanes, mirror, now)
        self._flights[flight.ticket] = flight
        node.flights[flight.ticket] = job.flights[flight.ticket] = flight
        job.racing.setdefault(part.start, []).append(flight)
        job.lanes_at[node.name] += 1
        group.charge(job, part.size)
        mirror.in_flight += 1
        mirror.host.in_flight += 1
        lanes.flying += 1
        group.weigh(lanes)
        job.throttle.took(part.size)
        node.team.memory.took(part.size)
        job.meter.joined(node.name, job.lanes_at[node.name])
        group.sizes.launched(flight)
        self._hedging.launched(flight, now)
        job.emit(PartStarted(*part, node.name))
        try:
            node.team.start(flight.ticket, part, flight.order, job.slots)
        except BaseException:
            self.land(flight, 0)
            raise

    def land(self, flight: Flight, got: int) -> None:
        """A request has ended with ``got`` bytes in memory."""
        job, node, lanes, part = flight.job, flight.node, flight.lanes, flight.part
        del self._flights[flight.ticket], node.flights[flight.ticket], job.flights[flight.ticket]
        racing = job.racing[part.start]
        racing.remove(flight)
        if not racing:
            del job.racing[part.start]
        job.lanes_at[node.name] -= 1
        if not flight.moot:
            job.coming -= flight.got
        flight.mirror.in_flight -= 1
        flight.mirror.host.in_flight -= 1
        lanes.flying -= 1
        lanes.group.weigh(lanes)
        for each in node.lanes:  # all of them may have waited for room on the node
            each.group.offer(each)
        node.team.memory.spared(part.size - got)
        lanes.group.sizes.landed(flight)
        self._hedging.landed(flight)
        self._nodes.forget(node)
        self.wake_blocked()
        if not job.is_over:
            job.mirror_choice.landed(flight, job.flights.values())
