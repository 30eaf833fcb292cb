"""What the scheduler does with up to a thousand nodes: the real one, in simulated time.

    python benchmarks/scale.py [--seconds S] [--save]

Nodes with sixteen lanes each fetch an endless file from an origin that is no limit, for a
destination that needs no bytes here and takes them in any order. Their links differ by up to three
times, one node in a hundred fails every minute and comes back, and signs of life come as seldom as
those of real nodes. Printed are the share of the links' sum that was used (for bytes that are where
they belong, or in flight at the end), the processor time of the scheduler alone, by part and by
simulated second, and the messages and requests a second.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from common import save
from simnet import PULSE_SECONDS
from simulation import MEMORY, NOTHING, Anywhere, Room, World

from raydl.model.coverage import Coverage
from raydl.model.errors import CancelledError
from raydl.model.events import Progress
from raydl.model.failure import Failure
from raydl.model.parts import Part, Plan
from raydl.model.remote import Source
from raydl.scheduler.inbox import Began, Closed
from raydl.scheduler.job import Job, Wants
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.scheduler import Scheduler
from raydl.workers.protocol import Fetched, Heard, Joined, Left, Pulse

NODES = (4, 64, 256, 1000)
LANES = 16
LINK = 125e6
"""Bytes a second of a node's link in the mean; that of one is between half and one and a half."""

LATENCY = 0.03
"""Seconds from a lane's free moment to its next byte: the call to the node, the origin's answer."""

FAILURES = 0.01 / 60
"""Of each node, a second."""

AWAY_SECONDS = 5.0
SPREAD_SECONDS = 0.005
"""For each node there is: how often a node says how it is doing, where they are many."""

LARGEST = 64 << 20
"""The default of --part-size."""


class Flying(NamedTuple):
    part: Part
    began: float


@dataclass(eq=False)
class Node:
    """A node whose lanes share its link evenly, all of the time."""

    node: str
    world: World
    post: Callable[[Any], None]
    link: float
    period: float
    most: int = 64
    reports: bool = True
    memory: Room = MEMORY
    is_up: bool = True
    done: float = 0.0
    flights: dict[int, Flying] = field(default_factory=dict)

    def start(self, ticket: int, part: Part, source: Source, slots: object = None) -> None:
        self.flights[ticket] = Flying(part, self.world.now)
        took = LATENCY + part.size / (self.link / LANES)
        self.world.after(took, partial(self._end, ticket))

    def cancel(self, ticket: int) -> None:
        self.world.after(LATENCY, partial(self._end, ticket, Failure("cancelled", "cancelled")))

    def look(self) -> None:
        return None

    def pulse(self) -> None:
        if self.is_up:
            now = self.world.now
            got = {ticket: self._got(flying) for ticket, flying in self.flights.items()}
            received = int(self.done) + sum(got.values())
            self.post(Heard(self, Pulse(now, now, received, got, (0.1 * now, now))))
            self.world.after(self.period, self.pulse)

    def _got(self, flying: Flying) -> int:
        seconds = max(0.0, self.world.now - flying.began - LATENCY)
        return min(flying.part.size, int(seconds * self.link / LANES))

    def _end(self, ticket: int, failure: Failure | None = None) -> None:
        flying = self.flights.pop(ticket, None)
        if flying is None or not self.is_up:
            return
        got = self._got(flying) if failure else flying.part.size
        self.done += got
        seconds = self.world.now - flying.began
        payload = NOTHING if got else None
        self.post(Fetched(ticket, got, payload, failure, seconds))


class Fleet:
    """Nodes that fail and come back."""

    def __init__(self, count: int, world: World, post: Callable[[Any], None]) -> None:
        self._dice = random.Random(count)
        self._world, self._post = world, post
        self._period = max(PULSE_SECONDS, SPREAD_SECONDS * count)
        self.links = [LINK * self._dice.uniform(0.5, 1.5) for _ in range(count)]
        for number in range(count):
            self._join(number)

    def _join(self, number: int) -> None:
        node = Node(f"n{number}", self._world, self._post, self.links[number], self._period)
        self._post(Joined(node))
        self._world.after(self._dice.uniform(0, self._period), node.pulse)
        self._world.after(self._dice.expovariate(FAILURES), partial(self._fail, node, number))

    def _fail(self, node: Node, number: int) -> None:
        node.is_up = False
        self._post(Left(node.node, node, "its process ended", unreachable=True))
        self._world.after(AWAY_SECONDS, partial(self._join, number))


def measure(count: int, seconds: float) -> dict[str, float]:
    """What so many nodes do in ``seconds`` of simulated time."""
    world = World()
    scheduler = Scheduler(world.clock)
    scheduler.inbox.queue = world  # type: ignore[assignment]
    there, seen = Anywhere(), [0, 0]

    def emit(event: Any) -> None:
        if isinstance(event, Progress):
            seen[0] = event.written

    size = 1 << 60
    plan = Plan(Coverage(), size, LARGEST)
    job = Job(
        plan, [Mirror(Source("http://o/f", size, '"v1"', None))], there, scheduler.inbox, emit,
        wants=Wants(limit=size, retries=8, patience=60.0, connections=LANES),
    )  # fmt: skip
    fleet = Fleet(count, world, scheduler.inbox.post)
    scheduler.inbox.tell(job, Began())

    def stop() -> None:
        nodes = {flight.node.team for flight in job.flights.values()}
        seen[1] = sum(node._got(flying) for node in nodes for flying in node.flights.values())
        scheduler.inbox.tell(job, Closed(lambda: None))

    world.after(seconds, stop)
    began = time.perf_counter(), time.process_time()
    scheduler.run()
    took = time.process_time() - began[1] - world.own_seconds
    if type(there.error) is not CancelledError:
        raise RuntimeError("it ended by itself") from there.error
    return {
        "nodes": count,
        "used": (seen[0] + seen[1]) / (sum(fleet.links) * seconds),
        "ms_a_part": 1000 * took / there.parts,
        "cores": took / seconds,
        "parts_a_second": there.parts / seconds,
        "messages_a_second": world.messages / seconds,
        "part_mb": seen[0] / there.parts / 1e6,
        "wasted": job.meter.wasted / seen[0],
    }


def main() -> None:
    """Print a line for each fleet."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--seconds", type=float, default=60.0, help="simulated, by fleet")
    arguments.add_argument("--nodes", type=int, nargs="*", default=NODES)
    arguments.add_argument("--save", action="store_true")
    given = arguments.parse_args()
    print("| nodes | links used | ms a part | cores | parts/s | messages/s | MB a part | twice |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for count in given.nodes:
        row = measure(count, given.seconds)
        rows.append(row)
        print(
            f"| {count} | {row['used']:.1%} | {row['ms_a_part']:.3f} | {row['cores']:.2f} "
            f"| {row['parts_a_second']:.0f} | {row['messages_a_second']:.0f} "
            f"| {row['part_mb']:.1f} | {row['wasted']:.2%} |",
            flush=True,
        )
    if given.save:
        measured = {f"{row['nodes']:.0f} nodes": list(row.values())[1:] for row in rows}
        save("scale", "the scheduler in simulated time", ", ".join(list(rows[0])[1:]), measured)


if __name__ == "__main__":
    main()
