"""Nodes, links and origins in simulated time, and a download by the real scheduler over them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from simulation import MEMORY, NOTHING, Anywhere, Room, World

from raydl.model.failure import Failure
from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.scheduler.inbox import Began, Closed
from raydl.scheduler.job import Job, Wants
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.plan import make_plan
from raydl.scheduler.scheduler import Scheduler
from raydl.workers.protocol import HERE, Fetched, Heard, Joined, Left, Pulse

PULSE_SECONDS = 0.25
"""How often a node says how it is doing. This machine's own lanes are asked."""

NOISE_SECONDS = 0.2
"""A rate stays what chance has made it for this long."""

CLOSE_SECONDS = 0.02
"""Until a request that is called off has ended."""

JOIN_SECONDS = 1.5
"""This machine begins at once; Ray's workers take a while to start."""

EARLY_SECONDS = 10.0
MOST_SECONDS = 100.0
"""What takes longer is ended."""

PART, WINDOW = 8 << 20, 256 << 20
"""The defaults of --part-size and --max-memory."""


class Connection:
    """One of a node's to the origin, kept for the next request. ``saved`` is its token bucket."""

    def __init__(self, saved: float) -> None:
        self.saved = saved


@dataclass(eq=False)
class Request:
    """One in flight. Of its bytes the origin has ``let`` so many go, and lets more at
    ``next_let``."""

    part: Part
    began: float
    connection: Connection
    got: float = 0.0
    let: float = 0.0
    next_let: float = 0.0


@dataclass
class Rates:
    """What an origin and the links give, in bytes a second; ``noise`` is the share by which each
    rate varies by chance.

    ``request`` is nginx's ``limit_rate``: of each request a second's worth comes at once, as far as
    ``buffer`` bytes go, and then nothing until that was worth its time. ``connection`` is an even
    cap; ``saved`` bytes of each new connection are free of it. ``address`` is for all of a node's
    together, as is its ``link``; ``total`` for all nodes. With more than ``bears`` requests of a
    node, it gets a hundredth, until they are as few again, and ``recovery`` seconds more.
    ``latency`` is how long an answer takes to begin.
    """

    request: float = math.inf
    buffer: float = math.inf
    connection: float = math.inf
    saved: float = 0.0
    address: float = math.inf
    link: float = math.inf
    total: float = math.inf
    bears: float = math.inf
    recovery: float = 0.0
    latency: float = 0.02
    noise: float = 0.0


class Net:
    """Nodes that fetch by ``rates``. What each request brings is settled every ``step`` seconds."""

    def __init__(
        self,
        world: World,
        post: Callable[[Any], None],
        rates: Rates,
        step: float = 0.01,
        seed: int = 1,
    ) -> None:
        self.world, self.post, self.rates, self.step = world, post, rates, step
        self.teams: list[NetTeam] = []
        self.is_over = False
        self._dice = random.Random(seed)
        self._chances: dict[object, tuple[float, float]] = {}
        self._step()

    def join(self, *nodes: str, reports: bool = False, most: int = 64, cpu: float = 0.1) -> None:
        """Nodes join; ``cpu`` is the share of their processors' time that is in use."""
        for node in nodes:
            team = NetTeam(node, self, reports, most, cpu)
            self.teams.append(team)
            self.post(Joined(team))
            if reports:
                self.world.after(self._dice.uniform(0, PULSE_SECONDS), team.report)

    @property
    def received(self) -> float:
        """Bytes that have come to all nodes."""
        return sum(team.received for team in self.teams)

    def leave(self) -> None:
        """All nodes leave; what is in flight is lost."""
        self.is_over = True
        for team in self.teams:
            self.post(Left(team.node, team, "it leaves"))

    def _step(self) -> None:
        if self.is_over:
            return
        self.world.after(self.step, self._step)
        now, rates = self.world.now, self.rates
        gifts: list[tuple[NetTeam, int, Request, float]] = []
        for team in self.teams:
            waiting = [
                (ticket, request)
                for ticket, request in team.requests.items()
                if now >= request.began + rates.latency
            ]
            if not waiting:
                continue
            wants = [self._allowance(request, now) for _, request in waiting]
            most = min(rates.address, rates.link) * self._chance(team) * self.step
            if team.is_too_many(now):
                most = min(most, sum(wants)) / 100
            shares = share(wants, most)
            gifts += [(team, *pair, given) for pair, given in zip(waiting, shares, strict=True)]
        if rates.total < math.inf:
            most = rates.total * self._chance(self) * self.step
            shares = share([given for *_, given in gifts], most)
        else:
            shares = [given for *_, given in gifts]
        for (team, ticket, request, _), came in zip(gifts, shares, strict=True):
            team.receive(ticket, request, came)

    def _allowance(self, request: Request, now: float) -> float:
        """Bytes that the origin lets a request have in this step, the links apart."""
        rates = self.rates
        left = request.part.size - request.got
        if rates.request < math.inf:
            if request.got >= request.let and now >= request.next_let:
                burst = min(rates.request, rates.buffer)
                request.let += burst
                request.next_let = now + burst / rates.request
            left = min(left, request.let - request.got)
        if rates.connection < math.inf:
            even = rates.connection * self._chance(request.connection) * self.step
            left = min(left, max(even, request.connection.saved))
        return left

    def _chance(self, of: object) -> float:
        if not self.rates.noise:
            return 1.0
        until, factor = self._chances.get(of, (0.0, 1.0))
        if self.world.now >= until:
            factor = 1 + self._dice.uniform(-self.rates.noise, self.rates.noise)
            self._chances[of] = (self.world.now + NOISE_SECONDS, factor)
        return factor


@dataclass(eq=False)
class NetTeam:
    """The lanes of a node. One that ``reports`` posts its pulses, any other is asked."""

    node: str
    net: Net
    reports: bool = False
    most: int = 64
    cpu: float = 0.1
    memory: Room = MEMORY
    received: float = 0.0
    requests: dict[int, Request] = field(default_factory=dict)
    _idle: list[Connection] = field(default_factory=list)
    _well_at: float = 0.0
    labels: ClassVar[dict[str, str]] = {}

    @property
    def period(self) -> float:
        return PULSE_SECONDS if self.reports else 0.0

    def start(self, ticket: int, part: Part, source: Source, slots: object = None) -> None:
        connection = self._idle.pop() if self._idle else Connection(self.net.rates.saved)
        self.requests[ticket] = Request(part, self.net.world.now, connection)

    def cancel(self, ticket: int) -> None:
        failure = Failure("cancelled", "cancelled")
        self.net.world.after(CLOSE_SECONDS, lambda: self._end(ticket, failure))

    def look(self) -> Pulse | None:
        return None if self.reports else self._pulse()

    def report(self) -> None:
        if self.net.is_over:
            return
        self.net.post(Heard(self, self._pulse()))
        self.net.world.after(PULSE_SECONDS, self.report)

    def _pulse(self) -> Pulse:
        now = self.net.world.now
        got = {ticket: int(request.got) for ticket, request in self.requests.items()}
        return Pulse(now, now, int(self.received), got, (self.cpu * now, now))

    def is_too_many(self, now: float) -> bool:
        """Whether the origin gives it a hundredth."""
        if len(self.requests) > self.net.rates.bears:
            self._well_at = now + self.net.rates.recovery
            return True
        return now < self._well_at

    def receive(self, ticket: int, request: Request, came: float) -> None:
        request.got += came
        request.connection.saved = max(0.0, request.connection.saved - came)
        self.received += came
        if request.got >= request.part.size - 0.5:
            self._end(ticket)

    def _end(self, ticket: int, failure: Failure | None = None) -> None:
        request = self.requests.pop(ticket, None)
        if request is None:
            return
        if failure is None:
            self._idle.append(request.connection)
        got = int(request.got) if failure else request.part.size
        seconds = self.net.world.now - request.began
        self.net.post(Fetched(ticket, got, NOTHING if got else None, failure, seconds))


def share(wants: list[float], most: float) -> list[float]:
    """``most`` divided evenly, but that nobody gets more than it wants."""
    if sum(wants) <= most:
        return wants
    left, count = most, len(wants)
    even = 0.0
    for want in sorted(wants):
        even = left / count
        if want > even:
            break
        left, count = left - want, count - 1
    return [min(want, even) for want in wants]


class Run(NamedTuple):
    """``early`` are the bytes of the first seconds, ``lanes`` those at the end."""

    seconds: float
    early: float
    lanes: int
    line: str


class Case(NamedTuple):
    """``nodes`` nodes, this machine included, fetch ``size`` bytes."""

    rates: Rates
    nodes: int
    size: float


def simulated() -> tuple[Scheduler, World]:
    """A scheduler in a time of its own."""
    world = World()
    scheduler = Scheduler(world.clock)
    scheduler.inbox.queue = world  # type: ignore[assignment]
    return scheduler, world


def fetch(
    case: Case,
    connections: int | None = None,
    seed: int = 1,
    within: tuple[Scheduler, World] | None = None,
) -> Run:
    """Fetch a case's file, with so many lanes a node; ``seed`` makes the noise."""
    rates, nodes, size = case
    scheduler, world = within or simulated()
    began = world.now
    there, early = Anywhere(), [0.0]
    job = Job(
        make_plan(int(size), parts=None, part_size=PART, window=WINDOW),
        [Mirror(Source("http://o/f", int(size), '"v1"', None))],
        there, scheduler.inbox, lambda event: None,
        wants=Wants(WINDOW, retries=8, patience=60.0, connections=connections),
    )  # fmt: skip
    net = Net(world, scheduler.inbox.post, rates, seed=seed)
    net.join(HERE)
    world.after(JOIN_SECONDS, lambda: net.join(*(f"n{i}" for i in range(1, nodes)), reports=True))
    world.after(EARLY_SECONDS, lambda: early.__setitem__(0, net.received - job.meter.wasted))
    scheduler.inbox.tell(job, Began())
    world.after(MOST_SECONDS, lambda: scheduler.inbox.tell(job, Closed(lambda: None)))
    scheduler.run()
    if there.error is not None and world.now - began < MOST_SECONDS:
        raise there.error
    net.leave()
    return Run(world.now - began, early[0] or size, job.group.tuner.lanes, job.limit)
