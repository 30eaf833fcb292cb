"""The cluster's lanes: a worker on each node, for as long as the node is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict

from raydl.address import Choice
from raydl.cluster import Actor, ActorLost, Node, Session, connect
from raydl.errors import ClusterError, RaydlError
from raydl.lane import HERE, Connected, ConnectFailed, Fetched, Joined, Lane, Left, Payload, Post
from raydl.models import Failure, Part, Source
from raydl.window import Task


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
