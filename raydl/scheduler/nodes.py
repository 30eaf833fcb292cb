"""The nodes of the process: who is there, who can be counted on, what they bring together. Pure.

Whatever takes longer the more nodes there are is done by ``survey``, and the less often, the more
nodes there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from raydl.scheduler.bottleneck import BUSY, Holdup
from raydl.scheduler.gauge import Gauge
from raydl.scheduler.inbox import THREADS
from raydl.scheduler.job import Job
from raydl.scheduler.lanes import LaneGroup, Lanes
from raydl.scheduler.nodestate import NodeState
from raydl.scheduler.origins import Origins
from raydl.scheduler.plan import SHARES
from raydl.workers.protocol import HERE, Memory, Pulse, Team

SURVEY_SECONDS = 0.001
"""For each node: the period of what takes longer the more nodes there are."""

SMALL_REQUEST, SHORT_SECONDS = 256 << 10, 0.25
"""Bytes and seconds. Of a request that is for less, and shorter, the wait for its answer is a part
that counts."""


@dataclass
class Survey:
    """What all nodes that can be counted on are like together. ``rate`` is in bytes a second;
    ``here`` and ``others`` are the least load of this machine's and of the others' processors.
    ``full``: whether the lanes of a node take about one processor, all that a process can use."""

    nodes: int = 0
    rate: float = 0.0
    strained: bool = False
    full: bool = False
    here: float = 0.0
    others: float = 0.0
    silent: list[NodeState] = field(default_factory=list)


class Nodes:
    """Every node of every pool, with its lanes at every origin."""

    def __init__(self, origins: Origins) -> None:
        self.gauge = Gauge()
        self.survey = Survey()
        self._origins = origins
        self._pools: dict[str, dict[str, NodeState]] = {}
        self._teams: dict[Team, NodeState] = {}
        self._memories: dict[str, Counter[Memory]] = {}
        self._counted: set[NodeState] = set()
        self._next_survey = 0.0
        self._resting: list[tuple[float, int, Lanes]] = []
        self._order = count()

    def __iter__(self) -> Iterator[NodeState]:
        return (node for pool in self._pools.values() for node in pool.values())

    def __len__(self) -> int:
        return sum(len(pool) for pool in self._pools.values())

    def has(self, pool: str, name: str) -> bool:
        """Whether that pool has a node of that name."""
        return name in self._pools.get(pool, ())

    def of(self, job: Job) -> Iterator[NodeState]:
        """The nodes that may fetch for a download, in the order in which they came."""
        pools = dict.fromkeys((THREADS, job.reach.pool))
        nodes = (node for pool in pools for node in self._pools.get(pool, {}).values())
        return (node for node in nodes if job.uses(node))

    def heard(self, job: Job) -> Iterator[NodeState]:
        """Those of them that can be counted on."""
        return (node for node in self.of(job) if not node.silent)

    def heard_any(self, job: Job) -> bool:
        """Whether any can be counted on."""
        return any(True for _ in self.heard(job))

    def has_any(self, job: Job) -> bool:
        """Whether there is one."""
        return any(True for _ in self.of(job))

    def have_room(self, job: Job, size: int, now: float) -> bool:
        """Whether any of them has memory for ``size`` more bytes."""
        pools = [THREADS] * job.reach.threads + [job.reach.pool]
        memories = {memory for pool in pools for memory in self._memories.get(pool, ())}
        return any(memory.has_room(size, now) for memory in memories)

    def find(self, team: Team | None) -> NodeState | None:
        """The node of this team, as long as it may post anything."""
        return None if team is None else self._teams.get(team)

    # --- they come and go ---

    def join(self, team: Team, pool: str, now: float) -> NodeState:
        """A team takes part; it takes over from any that its node had."""
        pools = self._pools.setdefault(pool, {})
        old = pools.get(team.node)
        if old is not None:
            self.dismiss(old)
        node = pools[team.node] = self._teams[team] = NodeState(team, now, pool)
        self._memories.setdefault(pool, Counter())[team.memory] += 1
        for group in self._origins.groups():
            group.join(node)
        self._count(node)
        self._next_survey = now
        return node

    def dismiss(self, node: NodeState) -> None:
        """No more tasks for this node; what it has in flight still counts."""
        if node.gone:
            return
        node.gone = True
        del self._pools[node.pool][node.name]
        memories = self._memories[node.pool]
        memories[node.team.memory] -= 1
        if not memories[node.team.memory]:
            del memories[node.team.memory]
        for lanes in node.lanes:
            lanes.group.leave(node)
        self._count(node)
        self._next_survey = 0.0
        if not node.flights:
            del self._teams[node.team]

    def forget(self, node: NodeState) -> None:
        """A node that is gone has nothing in flight any more."""
        if node.gone and not node.flights:
            self._teams.pop(node.team, None)

    def leave(self, pool: str) -> list[NodeState]:
        """A pool is closed; returns the nodes that it had."""
        nodes = [node for node in self._teams.values() if node.pool == pool]
        for node in nodes:
            self.dismiss(node)
        self._pools.pop(pool, None)
        return nodes

    def add_group(self, group: LaneGroup) -> None:
        """Downloads from one more origin begin: every node has lanes there."""
        for node in self:
            group.join(node)

    # --- how they do ---

    def hear(self, node: NodeState, pulse: Pulse, now: float) -> bool:
        """Take in how a node is doing; returns whether that is news."""
        before = {ticket: flight.got for ticket, flight in node.flights.items()}
        if not node.hear(pulse, now):
            return False
        for ticket, flight in node.flights.items():
            if not flight.moot:
                flight.job.coming += flight.got - before[ticket]
        self.alive(node, now)
        if node in self._counted:
            self.gauge.heard(node, pulse)
        for lanes in node.lanes:
            lanes.group.offer(lanes)
        return True

    def alive(self, node: NodeState, now: float) -> None:
        """There was a sign of life."""
        if node.silent and not node.is_silent(now):
            self._set_silent(node, False)

    def set_aside(self, lanes: Lanes) -> None:
        """They are not counted on, until they bring something."""
        lanes.aside = True
        lanes.group.weigh(lanes)
        self._count(lanes.node)

    def delivered(self, lanes: Lanes, got: int, seconds: float, now: float) -> None:
        """Lanes brought ``got`` bytes in ``seconds``."""
        lanes.node.delivered(now)
        was_aside = lanes.aside
        lanes.delivered(got, seconds)
        self.alive(lanes.node, now)
        if was_aside:
            self._count(lanes.node)

    def rest(self, lanes: Lanes, until: float) -> None:
        """One of the lanes takes a pause."""
        lanes.rest(until)
        heappush(self._resting, (until, next(self._order), lanes))

    def rested(self) -> None:
        """There is no download any more, and so no pause."""
        self._resting.clear()

    def end_rests(self, now: float) -> None:
        """Offer the lanes whose pauses are over."""
        while self._resting and self._resting[0][0] <= now:
            lanes = heappop(self._resting)[2]
            lanes.group.offer(lanes)

    def next_rested(self) -> float | None:
        """When the first pause ends."""
        return self._resting[0][0] if self._resting else None

    def stood_still(self, gap: float, others: Iterable[NodeState]) -> None:
        """Exclude ``gap`` seconds in which this process was suspended."""
        for node in {*self, *others}:
            node.stood_still(gap)

    def look(self, now: float) -> list[NodeState]:
        """Ask those that do not report by themselves; returns those of which there is news.

        All are looked at together from time to time.
        """
        news = []
        for node in self._pools.get(THREADS, {}).values():
            if not node.team.reports:
                pulse = node.team.look()
                if pulse is not None and self.hear(node, pulse, now):
                    news.append(node)
        if now >= self._next_survey:
            self._next_survey = now + SURVEY_SECONDS * len(self)
            self._look_at_all(now)
        return news

    def _look_at_all(self, now: float) -> None:
        survey = self.survey = Survey()
        loads: dict[bool, list[float]] = {True: [], False: []}
        for node in self:
            if node.is_silent(now) != node.silent:
                self._set_silent(node, not node.silent)
            if node.silent:
                survey.silent.append(node)
            loads[node.name == HERE].append(node.load or 0.0)
            if node in self._counted and node.pulse is not None:
                survey.nodes += 1
                survey.rate += node.rate
                survey.strained = survey.strained or node.is_strained
                survey.full = survey.full or node.is_full
        for group in self._origins.groups():
            group.fastest = max((lanes.speed for lanes in group), default=0.0)
        survey.here, survey.others = (min(loads[side], default=0.0) for side in (True, False))

    def _set_silent(self, node: NodeState, silent: bool) -> None:
        node.silent = silent
        for lanes in node.lanes:
            lanes.group.weigh(lanes)
            lanes.group.offer(lanes)
        self._count(node)

    def _count(self, node: NodeState) -> None:
        """Bring up to date whether a node is counted on, and so measured."""
        is_aside = node.lanes and all(lanes.aside for lanes in node.lanes)
        counts = not (node.gone or node.silent or is_aside)
        if counts and node not in self._counted:
            self._counted.add(node)
            self.gauge.joined(node, node.pulse)
        elif not counts and node in self._counted:
            self._counted.discard(node)
            self.gauge.left(node)

    def holdup(self, group: LaneGroup, largest: int, window: int) -> Holdup:
        """What keeps lanes from being faster, as far as it is about nodes and requests.

        A request is for up to ``largest`` bytes, and ``window`` bytes are under way.
        """
        if self.survey.here > BUSY:
            return Holdup.CPU_HERE
        if self.survey.others > BUSY:
            return Holdup.CPU
        lanes = group.tuner.lanes * max(1, group.nodes)
        size = min(largest, window // (SHARES * lanes))
        small = size < min(SMALL_REQUEST, SHORT_SECONDS * group.fastest)
        return Holdup.PARTS if small else Holdup.NONE
