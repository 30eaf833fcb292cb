"""The lanes of each node at one origin: which are free, how fast they are. Pure state."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from raydl.scheduler.ceiling import Bearing
from raydl.scheduler.concurrency import Tuner
from raydl.scheduler.gauge import Gauge
from raydl.scheduler.nodestate import NodeState
from raydl.scheduler.plan import FIRST_PART, GROWTH, PARTS_A_SECOND, part_size
from raydl.scheduler.sizes import Sizes

if TYPE_CHECKING:
    from raydl.scheduler.job import Job

_order = count()


class Lanes:
    """One node's lanes at one origin. ``speed`` is of one lane in bytes a second, 0 while unknown;
    ``largest`` the bytes of the largest part that came, or of a first one.

    ``aside``: the node has failed there and brought nothing since, so it is not counted on.
    """

    def __init__(self, node: NodeState, group: LaneGroup) -> None:
        self.node, self.group = node, group
        self.order = next(_order)
        self.flying = self.strikes = 0
        self.speed = 0.0
        self.largest = FIRST_PART
        self.aside = self.is_offered = False
        self.weight: tuple[float, int] | None = None
        """What the group has in its sums: their speed, and how many are flying."""
        self._bytes = self._seconds = 0.0
        self._resting: list[float] = []

    def free(self, now: float) -> int:
        """How many more requests they can take."""
        while self._resting and self._resting[0] <= now:
            heapq.heappop(self._resting)
        node = self.node
        if node.gone or node.silent:
            return 0
        room = min(self.group.tuner.lanes - self.flying, node.team.most - len(node.flights))
        return room - len(self._resting)

    def rest(self, until: float) -> None:
        """One lane takes a pause."""
        heapq.heappush(self._resting, until)

    def end_rests(self) -> None:
        """None does any more."""
        self._resting.clear()
        self.strikes = 0

    def delivered(self, got: int, seconds: float) -> None:
        """A lane brought ``got`` bytes in ``seconds``."""
        self.strikes, self.aside = 0, False
        self.largest = max(self.largest, got)
        if seconds > 0:
            # Not the mean of speeds: what a cap lets through at once would outweigh the rest.
            self._bytes, self._seconds = self._bytes / 2 + got, self._seconds / 2 + seconds
            self.speed = self._bytes / self._seconds
        self.group.weigh(self)

    def slowed(self, share: float) -> None:
        """They bring ``share`` of what was expected, and no part has ended to show it."""
        self.speed *= (1 + share) / 2
        self._bytes = self.speed * self._seconds
        self.group.weigh(self)


class LaneGroup:
    """All nodes' lanes at one origin, for the downloads that want the same number of them.

    The costs of finding a free lane and of sizing a part do not depend on the number of nodes:
    free lanes are a heap, the fastest first, and sums are kept up to date. As long as lanes may be
    free and a download may want one, the group is in ``busy``.
    """

    def __init__(
        self,
        gauge: Gauge,
        connections: int | None,
        busy: dict[LaneGroup, None] | None = None,
        bearing: Bearing | None = None,
        *,
        has_tls: bool = False,
    ) -> None:
        self._busy = {} if busy is None else busy
        self.tuner = Tuner(gauge, connections, bearing, has_tls=has_tls)
        self.sizes = Sizes()
        self.jobs: set[Job] = set()
        self._lanes: dict[NodeState, Lanes] = {}
        self._free: list[tuple[float, int, Lanes]] = []
        self._ready: list[tuple[float, int, Job]] = []
        self._served = 0.0
        self._known, self._weighted, self._unknown, self._counted = 0, 0.0, 0, 0
        self._speeds = 0.0
        self.flying = 0
        """Requests of nodes that can be counted on."""
        self.fastest = 0.0
        """Speed of the fastest lane, as of the last survey."""

    # --- nodes ---

    def join(self, node: NodeState) -> None:
        """A node takes part."""
        lanes = self._lanes[node] = Lanes(node, self)
        node.lanes.append(lanes)
        self.weigh(lanes)
        self.offer(lanes)

    def leave(self, node: NodeState) -> None:
        """A node takes part no more."""
        lanes = self._lanes.pop(node)
        self.weigh(lanes)
        if lanes.is_offered:
            self._free = [entry for entry in self._free if entry[2] is not lanes]
            heapq.heapify(self._free)

    def at(self, node: NodeState) -> Lanes:
        """The node's lanes here."""
        return self._lanes[node]

    def __iter__(self) -> Iterator[Lanes]:
        return iter(self._lanes.values())

    def offer(self, lanes: Lanes) -> None:
        """These lanes may have become free."""
        if not lanes.is_offered:
            lanes.is_offered = True
            if self._ready:
                self._busy[self] = None
            heapq.heappush(self._free, (-lanes.speed, lanes.order, lanes))

    def offer_all(self) -> None:
        """There may be more lanes a node than before."""
        for lanes in self._lanes.values():
            self.offer(lanes)

    def end_rests(self) -> None:
        """No lane of any node takes a pause any more."""
        for lanes in self._lanes.values():
            lanes.end_rests()
        self.offer_all()

    def take_free(self, now: float) -> Lanes | None:
        """The fastest lanes with one that is free; to be offered again."""
        while self._free:
            lanes = heapq.heappop(self._free)[2]
            lanes.is_offered = False
            if lanes.free(now) > 0:
                return lanes
        return None

    def has_free(self, now: float) -> bool:
        """Whether any lane is free."""
        lanes = self.take_free(now)
        if lanes is not None:
            self.offer(lanes)
        return lanes is not None

    def idle(self, now: float) -> Lanes | None:
        """The fastest lanes with one that is free and may ask anywhere; they stay there."""
        passed: list[Lanes] = []
        lanes = self.take_free(now)
        while lanes is not None:
            passed.append(lanes)
            if self._may_ask(lanes, now):
                break
            lanes = self.take_free(now)
        for free in passed:
            self.offer(free)
        return lanes

    def count_idle(self, now: float, most: int) -> int:
        """How many lanes are free and may ask anywhere, counted up to ``most``."""
        total = 0
        for _, _, lanes in self._free:
            if total < most and self._may_ask(lanes, now):
                total += max(0, lanes.free(now))
        return min(total, most)

    def _may_ask(self, lanes: Lanes, now: float) -> bool:
        node = lanes.node
        return any(job.uses(node) and job.mirror_choice.has_any(node, now) for job in self.jobs)

    def weigh(self, lanes: Lanes) -> None:
        """Bring the sums up to what these lanes are now."""
        if lanes.weight is not None:
            self._add(-1, *lanes.weight)
        lanes.weight = None
        node = lanes.node
        if not (node.gone or node.silent or lanes.aside or node not in self._lanes):
            lanes.weight = (lanes.speed, lanes.flying)
            self._add(1, *lanes.weight)
            self.fastest = max(self.fastest, lanes.speed)

    def _add(self, sign: int, speed: float, flying: int) -> None:
        self._counted += sign
        self._speeds += sign * speed
        self.flying += sign * flying
        flying = max(1, flying)
        self._weighted += sign * speed * flying
        if speed:
            self._known += sign
        else:
            self._unknown += sign * flying

    @property
    def nodes(self) -> int:
        """How many nodes can be counted on."""
        return self._counted

    def wish(self, lanes: Lanes, window: int, left: int, now: float) -> int:
        """Bytes of a part that fits these lanes; ``left`` were never given out."""
        usual = self._speeds / self._known if self._known else 0.0
        fleet = self._weighted + usual * self._unknown
        most = self.tuner.lanes_soon(now) * max(1, self._counted)
        size = part_size(lanes.speed or usual, fleet, most, window=window, left=left)
        size = min(size, GROWTH * lanes.largest)
        # So many lanes need large parts: there would be too many calls.
        return size if most > PARTS_A_SECOND / 2 else self.sizes.fit(size, lanes.speed, now)

    def complained(self, now: float) -> None:
        """The origin says that there are too many requests."""
        self.tuner.complained(now)
        self.sizes.complained(now)

    # --- downloads ---

    def wake(self, job: Job) -> None:
        """The job may have something to ask for: it is given its turn.

        Turns go by bytes: who was given the least is next. Whoever had nothing to ask for meanwhile
        does not make up for it; whoever had to wait for what others had does.
        """
        if job in self.jobs and not job.is_ready:
            job.is_ready = True
            self._busy[self] = None
            if job.is_idle:
                job.served, job.is_idle = max(job.served, self._served), False
            heapq.heappush(self._ready, (job.served, next(_order), job))

    def remove(self, job: Job) -> None:
        """A download is over: nothing of it is kept."""
        self.jobs.discard(job)
        self._ready = [entry for entry in self._ready if entry[2] is not job]
        heapq.heapify(self._ready)

    def charge(self, job: Job, size: int) -> None:
        """The job was given ``size`` bytes to fetch."""
        self._served = job.served
        job.served += size

    def next_job(self) -> Job | None:
        """Whose turn it is; to be woken again when it can go on."""
        if not self._ready:
            return None
        job = heapq.heappop(self._ready)[2]
        job.is_ready = False
        return job
