"""The scheduler over made-up nodes, in simulated time (`benchmarks/simulation.py`)."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, NamedTuple

from simnet import Net, Rates
from simulation import Room, World

from raydl.model.coverage import Coverage
from raydl.model.events import Notice, Progress
from raydl.model.failure import Failure
from raydl.model.parts import Part, Plan
from raydl.model.remote import Source
from raydl.scheduler.inbox import Began, Closed, Held, Searched
from raydl.scheduler.job import Job, Wants
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.scheduler import Scheduler
from raydl.workers.protocol import Fetched, Joined, Message, Pulse

DATA = random.Random(3).randbytes(10_000)
BUSY = Failure("status", "busy", 503)
LONGEST = 1000.0


class Bytes:
    """A payload; ``remote`` ones have to be pulled first, and may be lost."""

    def __init__(self, data: bytes, remote: bool = False, lost: str = "") -> None:
        self.data, self.here, self.lost, self.released = data, not remote, lost, False

    def pull(self, done: Callable[[str], None]) -> None:
        self.here = not self.lost
        done(self.lost)

    def view(self) -> memoryview:
        assert self.here
        return memoryview(self.data)

    def release(self) -> None:
        self.released = True


class Asked(NamedTuple):
    ticket: int
    part: Part
    tries: int
    source: Source


@dataclass(eq=False)
class FakeTeam:
    """Answers after ``seconds`` with what ``behave`` makes of a task: (got, failure, payload)."""

    node: str
    bench: Bench
    most: int
    behave: Any = None
    tasks: list[Asked] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    memory: Any = field(default_factory=Room)
    reports: ClassVar[bool] = False
    period: ClassVar[float] = 0.0
    seconds: float = 0.0
    pulse: Any = None
    received: int = 0
    coming: dict[int, int] = field(default_factory=dict)
    """Bytes so far of requests that have not ended, by ticket."""

    def look(self) -> Pulse:
        now = self.bench.world.now
        if self.pulse:
            pulse: Pulse = self.pulse(now)
            return pulse
        return Pulse(now, now, self.received + sum(self.coming.values()), dict(self.coming), None)

    def cancel(self, ticket: int) -> None:
        self.cancelled.append(ticket)

    def start(self, ticket: int, part: Part, source: Source, slots: object = None) -> None:
        task = Asked(ticket, part, sum(t.part.start == part.start for t in self.tasks), source)
        self.tasks.append(task)
        got, failure, payload = part.size, None, None
        if self.behave is not None:
            outcome = self.behave(self, task)
            if outcome is None:
                return
            got, failure, payload = outcome
        if self.seconds:
            answer = (task, got, payload, failure)
            self.bench.world.after(self.seconds, lambda: self.answer(*answer))
        else:
            self.answer(task, got, payload, failure)

    def answer(
        self, task: Asked, got: int, payload: Any = None, failure: Failure | None = None
    ) -> None:
        if got and payload is None:
            payload = Bytes(self.bench.data[task.part.start : task.part.start + got])
        self.received += got
        self.coming.pop(task.ticket, None)
        self.bench.inbox.post(Fetched(task.ticket, got, payload, failure, self.seconds))


class Bench:
    """A scheduler with one file to fetch, the nodes that join it, and what takes the bytes from it.

    With ``size`` the file has so many bytes, and none of them matters. Further downloads of the
    same scheduler are benches that are made ``beside`` it.
    """

    here = in_order = True

    def __init__(
        self,
        count: int | None = 10,
        *,
        start: int = 0,
        limit: int = 4000,
        retries: int = 3,
        patience: float = 5.0,
        connections: int | None = 64,
        largest: int | None = None,
        data: bytes = DATA,
        size: int | None = None,
        mirrors: list[Mirror] | None = None,
        reads: float = 0.0,
        most: int | None = None,
        lowest: int | None = None,
        beside: Bench | None = None,
        **more: Any,
    ) -> None:
        self.data = data
        if beside is None:
            self.world, self.benches = World(LONGEST), [self]
            self.scheduler = Scheduler(self.world.clock)
            self.scheduler.inbox.queue = self.world  # type: ignore[assignment]
        else:
            self.world, self.scheduler, self.benches = (
                beside.world, beside.scheduler, beside.benches,
            )  # fmt: skip
            self.benches.append(self)
        self.inbox = self.scheduler.inbox
        self._size = len(data) if size is None else size
        self.events: list[Any] = []
        self.out = bytearray(data[:start])
        self.ended = False
        self.error: BaseException | None = None
        self._taken = start
        self._reads, self._free_at = reads, 0.0
        self._queue: deque[Any] = deque()
        if largest is None:
            largest = -(-(self._size - start) // count) if count else 1000
        self.plan = Plan(Coverage([(0, start)]), self._size, largest, count)
        self.mirror = Mirror(Source("http://o/f", self._size, '"v1"', None))
        self.job = Job(
            self.plan,
            mirrors or [self.mirror],
            self,
            self.inbox,
            self.events.append,
            wants=Wants(limit, retries, patience, connections, most, lowest),
            **more,
        )
        self.begin()
        self.world.settle = self._consume_all

    def begin(self) -> None:
        self.inbox.tell(self.job, Began())

    # --- what a destination is ---

    def take(self, part: Part, payload: Any, node: str, done: Callable[[str], None]) -> None:
        self._queue.append((part, payload, done))

    def end(self, error: BaseException | None) -> None:
        self.ended, self.error = True, error

    def join(
        self, node: str, lanes: int = 1, behave: Any = None, store: int = 0, **more: Any
    ) -> FakeTeam:
        team = FakeTeam(node, self, lanes, behave, **more)
        self.inbox.post(Joined(team, store))
        return team

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        self.world.after(seconds, call)

    def post(self, message: Message) -> None:
        self.inbox.post(message)

    def hold(self, paused: bool) -> None:
        self.inbox.tell(self.job, Held(paused))

    def searched(self, mirror: Mirror | None, note: str) -> None:
        self.inbox.tell(self.job, Searched(mirror, note))

    def close(self) -> None:
        self.inbox.tell(self.job, Closed(lambda: None))

    @property
    def tuner(self) -> Any:
        return self.job.group.tuner

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return self.world.seconds

    def run(self) -> Progress:
        """The download, from here to its end; its last Progress."""
        self.scheduler.run()
        if self.error is not None:
            raise self.error
        self._consume()
        assert self.ended
        assert self._taken == self._size
        assert len(self.data) != self._size or bytes(self.out) == self.data
        last: Progress = self.of(Progress)[-1]
        return last

    def holds_nothing(self) -> None:
        """Nothing is left of downloads that are over, once all they asked for has come."""
        self.world.pass_by(10.0)
        self.scheduler.run()
        dispatcher, nodes = self.scheduler._dispatcher, self.scheduler._nodes
        assert not self.scheduler._jobs
        assert not dispatcher._blocked
        assert not any(flight.job.is_over for flight in dispatcher) or self._stuck()
        for bench in self.benches:
            assert not bench.job.window._ready
            assert not bench.job.delivery._lies_in
        for group in self.scheduler._origins.groups():
            assert group.flying == sum(lanes.flying for lanes in group) or self._stuck()
        assert not [node for node in nodes if node.gone]

    def _stuck(self) -> bool:
        """Whether teams hold back answers for ever, as some tests want."""
        return any(flight for flight in self.scheduler._dispatcher)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def told(self) -> list[str]:
        return [str(event) for event in self.of(Notice)]

    def _consume_all(self) -> None:
        for bench in self.benches:
            bench._consume()

    def _consume(self) -> None:
        """Take what is there, at ``reads`` seconds a part."""
        while self._queue:
            part, payload, done = self._queue.popleft()
            assert part.start == self._taken
            self._taken = part.stop
            self.out += payload.view()
            self._free_at = max(self._free_at, self.world.now) + self._reads
            self.world.after(self._free_at - self.world.now, partial(done, ""))


def net(bench: Bench, **rates: float) -> Net:
    """Links and an origin for a bench, whose nodes join there."""
    return Net(bench.world, bench.inbox.post, Rates(**rates), step=0.02)
