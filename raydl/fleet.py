"""The cluster's lanes: a worker on each node, for as long as the node is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

from raydl.address import Choice
from raydl.cluster import Actor, ActorLost, Node, Session, connect
from raydl.errors import ClusterError, RaydlError
from raydl.lane import HERE, Connected, ConnectFailed, Fetched, Joined, Lane, Left, Payload, Post
from raydl.models import Failure, Source
from raydl.window import Task


class ActorLane:
    """A lane of an actor on a node."""

    def __init__(self, actor: Actor, node: str, post: Post, lost: Callable[[str], None]) -> None:
        self.node = node
        self._actor, self._post, self._lost = actor, post, lost

    def accepts(self, urgent: bool) -> bool:  # noqa: ARG002 - the signature of lanes
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
                return
            got, seconds, problem = outcome
            self._post(Fetched(self, task, got, payload if got else None, problem, seconds))

        try:
            self._actor.fetch(task.part.start, task.part.stop, done)
        except Exception as error:  # the connection to Ray has gone
            self._lost(type(error).__name__)


class _Hand:
    """A worker on a node, from the moment it is asked for until it is dropped."""

    def __init__(self, node: Node, name: str, actor: Actor) -> None:
        self.node, self.name, self.actor = node, name, actor
        self.lanes: list[Lane] = []
        self.heard_at = time.monotonic()
        self.asked = False


class ClusterFleet:
    """Connects to a cluster in the background and keeps a worker on each of its nodes.

    It does so as soon as it ``pays``: a file that is nearly there needs no cluster.
    Nodes that appear later get a worker too; those that go take their lanes with them. Ray needs
    14 to 66 s to notice a node that hangs or is cut off, and never notices a process that is
    frozen: so each worker is asked for a sign of life, and given up without one.
    """

    LOOK_SECONDS = 0.05
    POLL_SECONDS = 1.0
    SILENCE_SECONDS = 5.0
    REHIRE_SECONDS = 3.0

    def __init__(
        self,
        choice: Choice,
        source: Source,
        lanes: int,
        post: Post,
        *,
        here: bool,
        pays: Callable[[], bool],
    ) -> None:
        self._choice, self._source, self._count, self._here = choice, source, lanes, here
        self._post, self._pays = post, pays
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._hands: dict[str, _Hand] = {}
        self._not_before: dict[str, float] = {}
        self._to_kill: list[Actor] = []
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
        while not self._pays():
            if self._stop.wait(self.LOOK_SECONDS):
                return
        try:
            session = connect(self._choice)
        except RaydlError as error:
            self._post(ConnectFailed(error))
            return
        self._connected = True
        try:
            self._tend(session)
        except Exception as error:  # whatever Ray throws ends the cluster's part
            self._fail(f"the connection to the cluster broke ({type(error).__name__})")
        finally:
            with self._lock:
                self._to_kill += [hand.actor for hand in self._hands.values()]
                self._hands.clear()
            self._kill_dropped()
            session.close()

    def _fail(self, text: str) -> None:
        with self._lock:
            hands = list(self._hands.values())
        for hand in hands:
            self._drop(hand, "the connection broke", unreachable=True)
        if not self._stop.is_set():
            self._post(ConnectFailed(ClusterError(text, "see `ray status`")))

    def _tend(self, session: Session) -> None:
        told = False
        while not self._stop.is_set():
            if self._stillborn and not self._born:
                self._stillborn = False
                error = session.stillborn()
                if error is not None:
                    self._post(ConnectFailed(error))
                    return
            nodes = {node.id: node for node in session.nodes()}
            wanted = [node for node in nodes.values() if self._wants(node)]
            if not told:
                told = True
                self._post(Connected(session.address, len(nodes), len(wanted)))
            self._look_after(nodes)
            self._kill_dropped()
            for node in wanted:
                late_enough = time.monotonic() >= self._not_before.get(node.id, 0.0)
                if node.id not in self._hands and late_enough:
                    self._hire(session, node)
            self._stop.wait(self.POLL_SECONDS)

    def _look_after(self, nodes: Mapping[str, Node]) -> None:
        """Give up workers whose node has gone, or that are silent; ask the others."""
        with self._lock:
            hands = list(self._hands.values())
        now = time.monotonic()
        for hand in hands:
            if hand.node.id not in nodes:
                self._drop(hand, "it left the cluster", unreachable=True)
            elif hand.lanes and now - hand.heard_at > self.SILENCE_SECONDS:
                self._drop(hand, "it does not answer", unreachable=True)
            elif hand.lanes and not hand.asked:
                hand.asked = True
                hand.actor.when_ready(partial(self._heard, hand))

    def _kill_dropped(self) -> None:
        with self._lock:
            actors, self._to_kill = self._to_kill, []
        for actor in actors:
            actor.kill()

    def _heard(self, hand: _Hand, problem: str) -> None:
        if problem:
            self._drop(hand, problem)
        hand.heard_at = time.monotonic()
        hand.asked = False

    def _wants(self, node: Node) -> bool:
        # This machine's threads do what an actor here would do, without a copy through the
        # object store. Only who asks for a Ray of its own on one machine gets an actor here.
        if node.is_driver:
            return self._here and self._choice.how == "local"
        return True

    def _hire(self, session: Session, node: Node) -> None:
        name = HERE if node.is_driver else node.name
        try:
            actor = session.start_worker(node, asdict(self._source), self._count)
        except Exception as error:  # one node's trouble is not the others'
            self._not_before[node.id] = time.monotonic() + self.REHIRE_SECONDS
            self._post(Left(name, [], f"{type(error).__name__}"))
            return
        hand = _Hand(node, name, actor)
        with self._lock:
            self._hands[node.id] = hand
        actor.when_ready(partial(self._ready, hand))

    def _ready(self, hand: _Hand, problem: str) -> None:
        if problem:
            self._stillborn = True
            self._drop(hand, problem)
            return
        self._born = True
        lost = partial(self._drop, hand)
        hand.heard_at = time.monotonic()
        hand.lanes = [
            ActorLane(hand.actor, hand.name, self._post, lost) for _ in range(self._count)
        ]
        self._post(Joined(hand.name, list(hand.lanes)))

    def _drop(self, hand: _Hand, reason: str, unreachable: bool = False) -> None:
        """Do without this worker; its node may get another one after a while."""
        with self._lock:
            if self._hands.get(hand.node.id) is not hand:
                return  # dropped before, perhaps with a successor
            del self._hands[hand.node.id]
            self._not_before[hand.node.id] = time.monotonic() + self.REHIRE_SECONDS
            # Killed by our own thread: on Ray's, where this may run, Ray would wait for itself.
            self._to_kill.append(hand.actor)
        if not self._stop.is_set():
            self._post(Left(hand.name, hand.lanes, reason, unreachable))
