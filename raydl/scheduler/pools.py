"""Nodes and clusters that come and go, and what each download is told of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from raydl.model.errors import ClusterError, RaydlError
from raydl.model.events import ClusterChosen, LanesJoined, LanesLeft, Notice
from raydl.model.units import counted
from raydl.scheduler.arrivals import Arrivals
from raydl.scheduler.inbox import THREADS, Gone
from raydl.scheduler.job import Job
from raydl.scheduler.nodes import Nodes
from raydl.scheduler.nodestate import NodeState
from raydl.scheduler.storage import StoreBudget
from raydl.workers.protocol import (
    HERE,
    Connected,
    ConnectFailed,
    Disconnected,
    Heard,
    Joined,
    Left,
    Message,
)


class Pools:
    """Each fleet is a pool of nodes: this process's threads are one, each cluster is another.

    ``jobs`` are the downloads, of which each uses one pool or two. What is wrong with a pool ends
    the downloads that cannot do without it, each in a context of ``answering``.
    """

    def __init__(
        self,
        nodes: Nodes,
        jobs: list[Job],
        store: StoreBudget,
        arrivals: Arrivals,
        answering: Callable[[Job], AbstractContextManager[None]],
    ) -> None:
        self._nodes, self._jobs, self._store = nodes, jobs, store
        self._arrivals, self._answering = arrivals, answering
        self._connected: dict[str, Connected] = {}
        self._failed: dict[str, tuple[RaydlError, str]] = {}

    def handle(self, pool: str, message: Message | Gone, now: float) -> list[NodeState]:
        """Take in what a pool has to say; returns the nodes of which there is news."""
        match message:
            case Joined(team, store):
                self._meet_store(store)
                self._joined(self._nodes.join(team, pool, now))
            case Left():
                self._left(pool, message, now)
            case Heard(team, pulse):
                node = self._nodes.find(team)
                if node is not None and self._nodes.hear(node, pulse, now):
                    return [node]
            case Connected():
                self._connected[pool] = message
                self._meet_store(message.store)
                for job in self._users(pool):
                    with self._answering(job):
                        self._greet(job, message)
            case ConnectFailed(error):
                self._fail(pool, error, error.line)
            case Disconnected(error):
                self._fail(pool, error, error.message)
            case Gone():
                self._gone(pool, now)
        return []

    def introduce(self, job: Job) -> None:
        """Tell a download that begins of what is there already."""
        connected = self._connected.get(job.reach.pool)
        if connected is not None:
            self._greet(job, connected)
        if job.reach.pool in self._failed:
            self._go_on_without(job, *self._failed[job.reach.pool])
        self._see_actor_here(job)
        for node in self._nodes.of(job):
            _say_joined(job, node)

    def share(self) -> None:
        """Give each download an even part of the memory that it may use."""
        for job in self._jobs:
            job.window.limit = self._store.window(job.wants.limit) // len(self._jobs)

    def _users(self, pool: str) -> list[Job]:
        return [job for job in self._jobs if job.reach.pool == pool]

    def _meet_store(self, size: int) -> None:
        self._store.meet(size)
        self.share()

    def _greet(self, job: Job, message: Connected) -> None:
        nodes = counted(message.nodes, "node")
        job.emit(ClusterChosen(message.address, f"connected to {message.address}: {nodes}"))
        if message.others == 0 and not self._nodes.has_any(job):
            raise ClusterError(
                "no node to fetch with: the cluster has only this machine",
                "start Ray on another machine, or leave out --no-fetch-here",
            )

    def _fail(self, pool: str, error: RaydlError, what: str) -> None:
        self._failed[pool] = error, what
        for job in self._users(pool):
            with self._answering(job):
                self._go_on_without(job, error, what)

    def _go_on_without(self, job: Job, error: RaydlError, what: str) -> None:
        if not self._nodes.has_any(job):
            raise error
        job.emit(Notice(f"going on without the cluster: {what}"))

    def _see_actor_here(self, job: Job) -> None:
        job.has_actor_here = job.reach.actor_here and self._nodes.has(job.reach.pool, HERE)

    def _joined(self, node: NodeState) -> None:
        for job in self._jobs:
            if node.pool == job.reach.pool != THREADS:
                self._see_actor_here(job)
            if job.uses(node):
                _say_joined(job, node)
                job.group.wake(job)

    def _left(self, pool: str, message: Left, now: float) -> None:
        node = self._nodes.find(message.team)
        if node is None:
            for job in self._users(pool):
                with self._answering(job):
                    _say_unfit(job, message)
                    self._lose_what_lies_there(job, message, now)
            return
        told, jobs = not node.gone, [job for job in self._jobs if job.uses(node)]
        self._nodes.dismiss(node)
        self._lose_flights(node, message, now)
        for job in jobs:
            self._see_actor_here(job)
            with self._answering(job):
                self._lose_what_lies_there(job, message, now)
                if told:
                    lanes = job.meter.lanes(message.node)
                    job.emit(LanesLeft(message.node, lanes, message.reason))
            job.group.wake(job)

    def _lose_flights(self, node: NodeState, message: Left, now: float) -> None:
        for flight in list(node.flights.values()):
            with self._answering(flight.job):
                self._arrivals.lost(flight, message, now)

    def _lose_what_lies_there(self, job: Job, message: Left, now: float) -> None:
        if message.unreachable:
            job.delivery.lose(message.node, message.reason, now)

    def _gone(self, pool: str, now: float) -> None:
        """Nobody uses this pool any more."""
        self._connected.pop(pool, None)
        self._failed.pop(pool, None)
        for node in self._nodes.leave(pool):
            self._lose_flights(node, Left(node.name, node.team, "it is closed"), now)
        if not self._connected:
            self._store.forget()
            self.share()


def _say_joined(job: Job, node: NodeState) -> None:
    lanes = min(job.group.tuner.lanes, node.team.most)
    job.meter.joined(node.name, lanes)
    job.emit(LanesJoined(node.name, lanes))


def _say_unfit(job: Job, message: Left) -> None:
    if message.team is None and message.node not in job.unfit:
        job.unfit.add(message.node)
        job.emit(Notice(f"{message.node} cannot fetch: {message.reason}"))
