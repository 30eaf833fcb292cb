"""The nodes that take part: which are free, what each fetches, from which mirror. Pure state."""

from __future__ import annotations

from collections.abc import Iterator

from raydl.scheduler.bottleneck import BUSY, Holdup
from raydl.scheduler.concurrency import Tuner
from raydl.scheduler.flights import Flights
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.nodestate import NodeState
from raydl.scheduler.places import Places
from raydl.scheduler.plan import GROWTH, SHARES, part_size
from raydl.scheduler.retries import Retries
from raydl.scheduler.window import Task
from raydl.workers.lane import HERE, Team

SMALL_REQUEST, SHORT_SECONDS = 256 << 10, 0.25
"""Bytes and seconds. Of a request that is for less, and shorter, the wait for its answer is a part
that counts."""


class Roster:
    """The nodes, in the order in which they came."""

    def __init__(self, places: Places, retries: Retries, flights: Flights, tuner: Tuner) -> None:
        self._places, self._retries = places, retries
        self._flights, self._tuner = flights, tuner
        self._nodes: list[NodeState] = []

    def __iter__(self) -> Iterator[NodeState]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def join(self, team: Team, now: float) -> None:
        """A team takes part; it takes over from any that its node had."""
        for node in [node for node in self._nodes if node.name == team.node]:
            self.dismiss(node)
        self._nodes.append(NodeState(team, now))

    def dismiss(self, node: NodeState) -> None:
        """No more tasks for this node; what it has in flight still counts."""
        if not node.gone:
            node.gone = True
            self._nodes.remove(node)

    def find(self, team: Team | None) -> NodeState | None:
        """The node of this team, also one that merely has something in flight."""
        nodes = [*self._nodes, *(flight.node for flight in self._flights)]
        return next((node for node in nodes if node.team is team), None)

    def heard(self, now: float) -> list[NodeState]:
        """The nodes that can be counted on."""
        return [node for node in self._nodes if not node.is_silent(now)]

    def active(self, now: float) -> list[NodeState]:
        """The nodes that bring something, or may yet."""
        return [node for node in self.heard(now) if not self._places.is_aside(node)]

    def free(self, now: float) -> list[NodeState]:
        """The nodes with a free lane and a mirror to ask, the fastest first."""
        lanes = self._tuner.lanes
        free = [n for n in self._nodes if n.free(lanes, now) > 0 and self._places.has_any(n, now)]
        free.sort(key=lambda node: -node.speed)
        return free

    def choose(
        self, task: Task, able: list[NodeState], now: float
    ) -> tuple[NodeState, Mirror] | None:
        """Pick a node and mirror for the task; None if a busy node should take it later."""
        start = task.part.start
        fresh = [node for node in able if not self._retries.has_failed(start, node.name)]
        others = () if fresh else self.active(now)
        if any(not self._retries.has_failed(start, node.name) for node in others):
            return None
        # A node that fetches it already shares whatever holds that request up.
        racing = {rival.node for rival in self._flights.rivals(start)}
        for node in sorted(fresh or able, key=lambda n: n in racing):
            mirror = self._places.next(node, task, self._retries, now)
            if mirror is not None:
                return node, mirror
        return None

    def wish(self, node: NodeState, window: int, left: int, now: float) -> int:
        """Bytes of a part that fits this node's lanes; ``left`` were never given out."""
        nodes = self.active(now) or self._nodes
        known = [n.speed for n in nodes if n.speed]
        usual = sum(known) / len(known) if known else 0.0
        fleet = sum((n.speed or usual) * max(1, len(n.flights)) for n in nodes)
        lanes = self._tuner.lanes_soon(now) * len(nodes)
        size = part_size(node.speed or usual, fleet, lanes, window=window, left=left)
        return min(size, GROWTH * node.largest)

    def holdup(self, largest: int, window: int) -> Holdup:
        """What keeps lanes from being faster, as far as it is about nodes and requests.

        A request is for up to ``largest`` bytes, and ``window`` bytes are under way.
        """
        here = [node.load or 0.0 for node in self._nodes if node.name == HERE]
        others = [node.load or 0.0 for node in self._nodes if node.name != HERE]
        if here and min(here) > BUSY:
            return Holdup.CPU_HERE
        if others and min(others) > BUSY:
            return Holdup.CPU
        lanes = self._tuner.lanes * max(1, len(self._nodes))
        size = min(largest, window // (SHARES * lanes))
        speed = max((node.speed for node in self._nodes), default=0.0)
        return Holdup.PARTS if size < min(SMALL_REQUEST, SHORT_SECONDS * speed) else Holdup.NONE
