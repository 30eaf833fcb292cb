"""The lanes there are at this moment: threads here, actors on the cluster's nodes.

A lane takes one task at a time and reports to the coordinator's inbox; lanes join, leave and
fail while a download runs. Everything said to the coordinator is one of the messages below.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import NamedTuple, Protocol

from raydl.address import Choice
from raydl.cluster import Actor, ActorLost, Node, Session, connect
from raydl.errors import ClusterError, RaydlError
from raydl.models import Failure, Part, Source
from raydl.window import Task
from raydl.worker import Worker

HERE = "this machine"


class Payload(Protocol):
    """The bytes of a part, wherever they are."""

    @property
    def here(self) -> bool:
        """Whether ``view`` answers at once."""

    def pull(self, done: Callable[[str], None]) -> None:
        """Bring the bytes here; ``done`` gets an empty text, or why they are lost."""

    def view(self) -> memoryview:
        """The bytes; only once they are here."""

    def release(self) -> None:
        """The bytes are no longer needed."""


class Lane(Protocol):
    """One request in flight."""

    node: str

    def accepts(self, part: Part, urgent: bool) -> bool:
        """Whether there is memory for ``part``; an ``urgent`` one is never turned away."""

    def start(self, task: Task) -> None:
        """Fetch it; returns at once, and a Fetched message follows."""

    def received(self) -> int:
        """Bytes of the task in flight so far, where that is known."""


class Joined(NamedTuple):
    """Lanes of a node are ready; they take over from any that the node had."""

    node: str
    lanes: list[Lane]


class Left(NamedTuple):
    """A node's lanes are gone; a Fetched with a Failure follows for each task in flight."""

    node: str
    reason: str


class Fetched(NamedTuple):
    """A lane ended a task: ``got`` bytes of it are right, ``payload`` holds them."""

    lane: Lane
    task: Task
    got: int
    payload: Payload | None
    failure: Failure | None
    seconds: float


class Connected(NamedTuple):
    """The cluster answered; ``others`` nodes besides this machine will get workers."""

    address: str
    nodes: int
    others: int


class ConnectFailed(NamedTuple):
    """The cluster cannot be used."""

    error: RaydlError


Message = Joined | Left | Fetched | Connected | ConnectFailed
Post = Callable[[Message], None]


class BufferPool:
    """Buffers of one size, used again and again, up to ``limit`` bytes of them."""

    def __init__(self, size: int, limit: int) -> None:
        self._size = size
        self._limit = limit
        self._lock = threading.Lock()
        self._free: list[bytearray] = []
        self._out = 0

    @property
    def has_room(self) -> bool:
        """Whether one more buffer stays within the limit."""
        return (self._out + 1) * self._size <= self._limit

    def take(self) -> bytearray:
        """A buffer; whether it fits the limit is for the caller to ask first."""
        with self._lock:
            self._out += 1
            if self._free:
                return self._free.pop()
        return bytearray(self._size)

    def give(self, buffer: bytearray) -> None:
        """The buffer is free again."""
        with self._lock:
            self._out -= 1
            if (self._out + len(self._free) + 1) * self._size <= self._limit:
                self._free.append(buffer)


class BufferPayload:
    """The first ``size`` bytes of a buffer from the pool."""

    here = True

    def __init__(self, buffer: bytearray, size: int, pool: BufferPool) -> None:
        self._buffer, self._size, self._pool = buffer, size, pool

    def pull(self, done: Callable[[str], None]) -> None:
        """They are here already."""
        done("")

    def view(self) -> memoryview:
        """The bytes."""
        return memoryview(self._buffer)[: self._size]

    def release(self) -> None:
        """The buffer goes back to the pool."""
        self._pool.give(self._buffer)


class ThreadLane:
    """A lane that is a thread of this process."""

    node = HERE

    def __init__(self, worker: Worker, pool: BufferPool, post: Post, index: int) -> None:
        self._worker, self._pool, self._post = worker, pool, post
        self._tasks: queue.SimpleQueue[tuple[Task, bytearray] | None] = queue.SimpleQueue()
        self._received = 0
        self.thread = threading.Thread(target=self._run, name=f"raydl-lane-{index}", daemon=True)
        self.thread.start()

    def accepts(self, part: Part, urgent: bool) -> bool:  # noqa: ARG002
        """Whether a buffer is free. The part the output waits for always gets one."""
        return urgent or self._pool.has_room

    def start(self, task: Task) -> None:
        """Hand the task to the thread."""
        self._tasks.put((task, self._pool.take()))

    def received(self) -> int:
        """Bytes of the task in flight so far."""
        return self._received

    def stop(self) -> None:
        """Let the thread end after what it is doing."""
        self._tasks.put(None)

    def _tally(self, count: int) -> None:
        self._received += count

    def _run(self) -> None:
        while (item := self._tasks.get()) is not None:
            task, buffer = item
            self._received = 0
            began = time.monotonic()
            got, failure = self._worker.fetch(
                task.part.start, task.part.stop, memoryview(buffer), self._tally
            )
            if got:
                payload = BufferPayload(buffer, got, self._pool)
            else:
                payload = None
                self._pool.give(buffer)
            self._received = 0
            self._post(Fetched(self, task, got, payload, failure, time.monotonic() - began))


class LocalFleet:
    """The lanes of this process."""

    def __init__(self, source: Source, lanes: int, pool: BufferPool, post: Post) -> None:
        self._worker = Worker(source)
        self._lanes = [ThreadLane(self._worker, pool, post, i) for i in range(lanes)]
        post(Joined(HERE, list(self._lanes)))

    def close(self) -> None:
        """End the threads; what they were reading is cut off."""
        for lane in self._lanes:
            lane.stop()
        self._worker.close()
        for lane in self._lanes:
            # A thread inside a name look-up or a connect cannot be woken: it is a daemon and
            # ends on its own, with the timeout.
            lane.thread.join(0.3)


class ActorLane:
    """A lane of an actor on a node."""

    def __init__(self, actor: Actor, node: str, post: Post, lost: Callable[[str], None]) -> None:
        self.node = node
        self._actor, self._post, self._lost = actor, post, lost

    def accepts(self, part: Part, urgent: bool) -> bool:  # noqa: ARG002
        """The node's memory is bounded by the window alone."""
        return True

    def received(self) -> int:
        """Not known before the task ends."""
        return 0

    def start(self, task: Task) -> None:
        """Send the task to the actor."""

        def done(outcome: tuple[int, float, Failure | None] | ActorLost, payload: Payload) -> None:
            if isinstance(outcome, ActorLost):
                self._lost(outcome.reason)
                failure = Failure("lane", f"the worker on {self.node} is lost: {outcome.reason}")
                self._post(Fetched(self, task, 0, None, failure, 0.0))
                return
            got, seconds, problem = outcome
            self._post(Fetched(self, task, got, payload if got else None, problem, seconds))

        self._actor.fetch(task.part.start, task.part.stop, done)


class ClusterFleet:
    """Connects to a cluster in the background and keeps a worker on each of its nodes.

    Nodes that appear later get a worker too; those that go take their lanes with them.
    """

    POLL_SECONDS = 1.0

    def __init__(self, choice: Choice, source: Source, lanes: int, here: bool, post: Post) -> None:
        self._choice, self._source, self._lanes, self._here = choice, source, lanes, here
        self._post = post
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._actors: dict[str, tuple[Node, Actor]] = {}
        self._failed: dict[str, float] = {}
        self._connected = self._born = self._stillborn = False
        # Not a daemon: an interpreter that ends while Ray connects in a thread crashes.
        self._thread = threading.Thread(target=self._run, name="raydl-cluster")
        self._thread.start()

    def close(self) -> None:
        """End the workers, and leave Ray as it was found.

        While the connection is still being made there is nothing to end yet; then this returns
        at once, and the thread closes what it gets.
        """
        self._stop.set()
        if self._connected:
            self._thread.join()

    def _run(self) -> None:
        try:
            session = connect(self._choice)
        except RaydlError as error:
            self._post(ConnectFailed(error))
            return
        self._connected = True
        try:
            self._tend(session)
        except Exception as error:
            if not self._stop.is_set():
                text = f"the connection to the cluster broke ({type(error).__name__})"
                self._post(ConnectFailed(ClusterError(text)))
        finally:
            with self._lock:
                actors = [actor for _, actor in self._actors.values()]
                self._actors.clear()
            for actor in actors:
                actor.kill()
            session.close()

    def _tend(self, session: Session) -> None:
        known: set[str] = set()
        first = True
        while not self._stop.is_set():
            if self._stillborn and not self._born:
                self._stillborn = False
                error = session.stillborn()
                if error is not None:
                    self._post(ConnectFailed(error))
                    return
            nodes = {node.id: node for node in session.nodes()}
            wanted = {i: n for i, n in nodes.items() if self._wants(n)}
            if first:
                self._post(Connected(session.address, len(nodes), len(wanted)))
                first = False
            for node_id in known - set(nodes):
                self._drop(node_id, "it left the cluster")
            with self._lock:
                missing = [n for i, n in wanted.items() if i not in self._actors]
            for node in missing:
                if time.monotonic() >= self._failed.get(node.id, 0.0):
                    self._hire(session, node)
            known = set(nodes)
            self._stop.wait(self.POLL_SECONDS)

    def _wants(self, node: Node) -> bool:
        # This machine's threads do what an actor here would do, without a copy through the
        # object store. Only who asks for a Ray of its own on one machine gets an actor here.
        if node.is_driver:
            return self._here and self._choice.how == "local"
        return True

    def _hire(self, session: Session, node: Node) -> None:
        name = HERE if node.is_driver else node.name
        actor = session.start_worker(node, asdict(self._source), self._lanes)
        with self._lock:
            self._actors[node.id] = (node, actor)

        def lost(reason: str) -> None:
            self._drop(node.id, reason)

        def ready(problem: str) -> None:
            if problem:
                self._stillborn = True
                lost(problem)
            else:
                self._born = True
                lanes: list[Lane] = [
                    ActorLane(actor, name, self._post, lost) for _ in range(self._lanes)
                ]
                self._post(Joined(name, lanes))

        actor.when_ready(ready)

    def _drop(self, node_id: str, reason: str) -> None:
        with self._lock:
            entry = self._actors.pop(node_id, None)
            self._failed[node_id] = time.monotonic() + 5.0
        if entry is not None and not self._stop.is_set():
            self._post(Left(entry[0].name, reason))
