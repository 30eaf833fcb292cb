"""The scheduler over made-up nodes, in time that passes only when nothing else happens.

All of it runs in one thread: what a test says will happen in a second has happened when the
scheduler waits for that second, at once and always in the same order.
"""

from __future__ import annotations

import heapq
import itertools
import math
import queue
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, NamedTuple

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


class World:
    """Clock and inbox in one: where no message waits, time passes."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.turns = 0
        self.settle: Callable[[], None] = lambda: None
        self._messages: deque[Any] = deque()
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()

    def clock(self) -> float:
        return self.now

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        heapq.heappush(self._later, (self.now + seconds, next(self._order), call))

    def put(self, message: Any) -> None:
        self._messages.append(message)

    def get(self, timeout: float) -> Any:
        self.turns += 1
        until = self.now + timeout
        assert until < 1000.0 + LONGEST, "it hangs"
        while True:
            self.settle()
            if self._messages:
                return self._messages.popleft()
            if not self._later or self._later[0][0] > until:
                self.now = max(self.now, until)
                raise queue.Empty
            at, _, call = heapq.heappop(self._later)
            self.now = max(self.now, at)
            call()

    def get_nowait(self) -> Any:
        if not self._messages:
            raise queue.Empty
        return self._messages.popleft()

    def empty(self) -> bool:
        return not self._messages


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


class Room:
    """Memory of a team; ``full`` of it there is none."""

    def __init__(self, full: bool = False) -> None:
        self.full = full

    def has_room(self, size: int, now: float) -> bool:
        return not self.full

    def took(self, size: int) -> None:
        pass

    def spared(self, size: int) -> None:
        pass

    def released(self, size: int, now: float) -> None:
        pass


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
            self.world, self.benches = World(), [self]
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
        return self.world.now - 1000.0

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
        while self.world._later and self.world._later[0][0] < self.world.now + 10:
            at, _, call = heapq.heappop(self.world._later)
            self.world.now = max(self.world.now, at)
            call()
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


@dataclass
class Net:
    """What an origin and the links bring, in bytes a second: a connection, a node, all together.

    ``latency`` is how long an answer takes to begin; ``cpu`` the share of its processor's time
    that a node is busy.
    """

    bench: Bench
    connection: float = math.inf
    node: float = math.inf
    total: float = math.inf
    latency: float = 0.02
    cpu: float = 0.1
    teams: list[NetTeam] = field(default_factory=list)

    STEP: ClassVar[float] = 0.02

    def __post_init__(self) -> None:
        self._step()

    def join(self, *nodes: str, most: int = 64) -> None:
        for node in nodes:
            team = NetTeam(node, self, most)
            self.teams.append(team)
            self.bench.inbox.post(Joined(team))

    def _step(self) -> None:
        now = self.bench.world.now
        flying = [flight for team in self.teams for flight in team.flights.values()]
        for team in self.teams:
            for ticket, flight in list(team.flights.items()):
                if now < flight.began + self.latency:
                    continue
                share = min(self.node / len(team.flights), self.total / len(flying))
                came = min(self.connection, share) * self.STEP
                came = min(came, flight.part.size - flight.got)
                flight.got += came
                team.received += came
                if flight.got >= flight.part.size:
                    team.end(ticket)
        self.bench.after(self.STEP, self._step)


@dataclass
class NetFlight:
    part: Part
    began: float
    got: float = 0.0


@dataclass(eq=False)
class NetTeam:
    node: str
    net: Net
    most: int
    memory: Any = field(default_factory=Room)
    reports: ClassVar[bool] = False
    period: ClassVar[float] = 0.0
    received: float = 0.0
    flights: dict[int, NetFlight] = field(default_factory=dict)

    def look(self) -> Pulse:
        now, busy = self.net.bench.world.now, self.net.cpu
        got = {ticket: int(flight.got) for ticket, flight in self.flights.items()}
        return Pulse(now, now, int(self.received), got, (busy * now, now))

    def start(self, ticket: int, part: Part, source: Source, slots: object = None) -> None:
        self.flights[ticket] = NetFlight(part, self.net.bench.world.now)

    def cancel(self, ticket: int) -> None:
        if ticket in self.flights:
            self.end(ticket, Failure("cancelled", "cancelled"))

    def end(self, ticket: int, failure: Failure | None = None) -> None:
        flight = self.flights.pop(ticket)
        got = 0 if failure else flight.part.size
        seconds = self.net.bench.world.now - flight.began
        payload = Bytes(b"") if got else None
        self.net.bench.inbox.post(Fetched(ticket, got, payload, failure, seconds))
