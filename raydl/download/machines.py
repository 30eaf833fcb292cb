"""What all downloads of this process share: its scheduler, its threads, its workers on nodes."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from itertools import count

from raydl.cluster.address import ClusterChoice
from raydl.download.monitoring import export
from raydl.scheduler.inbox import THREADS
from raydl.scheduler.scheduler import Scheduler
from raydl.workers.fleet import ClusterFleet
from raydl.workers.protocol import (
    Connected,
    ConnectFailed,
    Disconnected,
    Fetched,
    Joined,
    Left,
    Listed,
    Message,
)
from raydl.workers.threads import BufferPool, LocalTeam

_Pays = Callable[[], bool]


Listen = Callable[[Message], None]
"""Gets what a fleet says beside the scheduler, from any thread; it returns at once."""


class _Line:
    """What a fleet says to the scheduler, until the fleet is closed, and to those who listen.
    ``failed``: it has nothing to say any more, because its cluster cannot be used."""

    def __init__(self, scheduler: Scheduler, pool: str) -> None:
        self._scheduler, self._pool = scheduler, pool
        self._lock = threading.Lock()
        self._is_open, self.failed = True, False
        self._listeners: list[Listen] = []
        self._there: dict[object, Message] = {}
        """What a listener that comes late has to know: who is connected, who has joined, and that
        the cluster cannot be used, which may happen before anybody listens."""

    def post(self, message: Message) -> None:
        if isinstance(message, ConnectFailed | Disconnected):
            self.failed = True
        with self._lock:
            if self._is_open:
                self._scheduler.post(message, self._pool)
                self._note(message)
                for listen in self._listeners:
                    listen(message)
                return
        if isinstance(message, Fetched) and message.payload is not None:
            message.payload.release()

    @contextlib.contextmanager
    def heard_by(self, listen: Listen) -> Iterator[None]:
        with self._lock:
            for message in self._there.values():
                listen(message)
            self._listeners.append(listen)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listen)

    def _note(self, message: Message) -> None:
        match message:
            case Connected():
                self._there[Connected] = message
            case Listed():
                self._there[Listed] = message
            case Joined(team):
                self._there[team.node] = message
            case Left(node, team):
                joined = self._there.get(node)
                if isinstance(joined, Joined) and team in (None, joined.team):
                    del self._there[node]
            case ConnectFailed() | Disconnected():
                self._there[type(message)] = message

    def close(self) -> None:
        with self._lock:
            self._is_open = False
            self._scheduler.leave(self._pool)


class _Cluster:
    """The workers of one cluster, for all downloads that use it.

    ``users`` are the downloads: whether each wants a worker on this node, and when a worker pays.
    """

    def __init__(
        self, choice: ClusterChoice, scheduler: Scheduler, pool: str, first: tuple[bool, _Pays]
    ) -> None:
        self.choice, self.pool = choice, pool
        self.line = _Line(scheduler, pool)
        self.users = [first]
        self._fleet = ClusterFleet(
            choice,
            self.line.post,
            memory=scheduler.store,
            here=lambda: any(here for here, _ in list(self.users)),
            pays=lambda: any(pays() for _, pays in list(self.users)),
            on_turn=export,
        )

    def close(self, hurry: bool) -> None:
        self.line.close()
        self._fleet.close(hurry=hurry)


class Machines:
    """The scheduler with its fleets, each for as long as a download uses it."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self._lock = threading.Lock()
        self._limits: list[int] = []
        self._local: tuple[LocalTeam, _Line] | None = None
        self._clusters: list[_Cluster] = []
        self._numbers = count(1)

    @contextlib.contextmanager
    def threads(self, memory: int) -> Iterator[None]:
        """This process fetches too, with up to ``memory`` bytes of buffers for all downloads."""
        with self._lock:
            self._limits.append(memory)
            if self._local is None:
                line = _Line(self.scheduler, THREADS)
                self._local = LocalTeam(BufferPool(memory), line.post), line
            self._local[0].memory.limit = max(self._limits)
        try:
            yield
        finally:
            with self._lock:
                self._limits.remove(memory)
                (team, line), is_last = self._local, False
                if self._limits:
                    team.memory.limit = max(self._limits)
                else:
                    self._local, is_last = None, True
                    line.close()
            if is_last:
                team.close()

    @contextlib.contextmanager
    def cluster(
        self,
        choice: ClusterChoice,
        here: bool,
        pays: Callable[[], bool],
        listen: Listen | None = None,
    ) -> Iterator[str]:
        """The nodes of a cluster fetch too, from when it ``pays``; ``here``: this one as well.

        ``listen`` gets what its fleet says, from who is there already on.
        Yields the name of their pool. A cluster that could not be used is tried again by the next
        download. Leaving with an exception hurries: a user who interrupts a download is not kept
        waiting.
        """
        use = (here, pays)
        with self._lock:
            known = (c for c in self._clusters if c.choice == choice and not c.line.failed)
            cluster = next(known, None)
            if cluster is None:
                cluster = _Cluster(choice, self.scheduler, f"cluster {next(self._numbers)}", use)
                self._clusters.append(cluster)
            else:
                cluster.users.append(use)
        hurry = True
        try:
            with contextlib.ExitStack() as stack:
                if listen is not None:
                    stack.enter_context(cluster.line.heard_by(listen))
                yield cluster.pool
            hurry = False
        finally:
            with self._lock:
                cluster.users.remove(use)
                is_last = not cluster.users
                if is_last:
                    self._clusters.remove(cluster)
            if is_last:
                cluster.close(hurry)


machines = Machines()
"""Those of this process."""

if hasattr(os, "register_at_fork"):  # none of their threads is in a process that is forked off
    os.register_at_fork(after_in_child=machines.__init__)  # type: ignore[misc]
