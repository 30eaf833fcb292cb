"""The cluster's teams: connected to in the background, tended until they are let go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from raydl.cluster.address import ClusterChoice
from raydl.cluster.session import Session, connect
from raydl.model.errors import ClusterError, RaydlError
from raydl.model.exithooks import before_exit
from raydl.workers.headwatch import HeadWatch
from raydl.workers.protocol import ConnectFailed, Disconnected, Memory, Message, Post
from raydl.workers.supervisor import TURN_SECONDS, Supervisor

LOOK_SECONDS = 0.05
"""Between two looks whether a cluster pays."""

VISIT_SECONDS = 0.25
"""Between two turns in which Ray's head may be asked for something."""

TELL_SECONDS = 1.0
"""Between two calls of ``on_turn``."""

KNOCK_SECONDS = 1.0
"""Between two looks whether the head lives."""

CLOSE_SECONDS, HURRY_SECONDS = 5.0, 1.0


class ClusterFleet:
    """Connects to a cluster in the background and keeps a worker on each of its nodes.

    It does so as soon as it ``pays``: a file that is nearly there needs no cluster. ``here`` says
    whether the driver's node gets a worker too, from the next look on. ``memory`` bounds the bytes
    that lie on the nodes, and ``clock`` tells the time, in seconds. ``on_turn`` is called every
    second while it is connected, and must return at once.
    Nodes that appear later get a worker too; those that go take their lanes with them. Each
    worker is asked again and again how it is doing: Ray needs 14 to 66 s to notice a node
    that hangs or is cut off, and never notices a process that is frozen. What waits for Ray, what
    asks the workers, and what watches the head are three threads: none holds up the others.
    """

    def __init__(
        self,
        choice: ClusterChoice,
        post: Post,
        *,
        memory: Memory,
        here: Callable[[], bool],
        pays: Callable[[], bool],
        on_turn: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._choice, self._here, self._pays = choice, here, pays
        self._post, self._memory, self._clock = post, memory, clock
        self._on_turn, self._told_at = on_turn, 0.0
        self._stop = threading.Event()
        """It is not wanted any more."""
        self._over = threading.Event()
        """It is not wanted, or the cluster is gone."""
        self._lock = threading.Lock()
        self._bound = self._is_lost = False
        # Not a daemon: an interpreter that ends while Ray connects in a thread crashes.
        self._thread = threading.Thread(target=self._run, name="raydl-cluster")
        before_exit(self)
        self._thread.start()

    def cancel(self) -> None:
        """Let its threads end, which lets the workers go; without waiting for that."""
        with self._lock:
            self._stop.set()
            self._over.set()

    def close(self, *, hurry: bool = False) -> None:
        """Let the workers go, and leave Ray as it was found.

        Before Ray connects there is nothing to end yet: then this returns at once, and no
        connection is made. It waits ``CLOSE_SECONDS`` at most, in a hurry ``HURRY_SECONDS``: what
        Ray still does then ends on its own, and the thread with it.
        """
        self.cancel()
        if self._bound:
            self._thread.join(HURRY_SECONDS if hurry else CLOSE_SECONDS)

    def _tell(self, message: Message) -> None:
        if not self._stop.is_set():
            self._post(message)

    def _is_wanted(self) -> bool:
        """Whether a connection is; from then on there is something to end."""
        with self._lock:
            is_wanted = not self._stop.is_set()
            self._bound = self._bound or is_wanted
        return is_wanted

    def _run(self) -> None:
        while not self._pays():
            if self._stop.wait(LOOK_SECONDS):
                return
        try:
            session = connect(self._choice, self._is_wanted)
        except RaydlError as error:
            self._post(ConnectFailed(error))
            return
        except Exception as error:  # whatever Ray throws ends the cluster's part
            what = f"cannot use the cluster ({type(error).__name__})"
            self._post(ConnectFailed(ClusterError(what, "see `ray status`")))
            return
        is_of_use = False
        try:
            is_of_use = self._tend(session)
        finally:
            session.close(keep=is_of_use)  # a cluster that was of no use is not held on to

    def _tend(self, session: Session) -> bool:
        """Keep the workers until they are not wanted, or the cluster is gone.

        Returns whether any worker ever answered.
        """
        head = HeadWatch(session.head(), self._clock)
        workers = Supervisor(
            session, head, self._tell, self._post,
            memory=self._memory, here=self._here, clock=self._clock,
        )  # fmt: skip
        asking = threading.Thread(target=self._ask, args=(workers,), name="raydl-pulse")
        # It knows nothing of Ray, and may wait for a name server.
        knocking = threading.Thread(
            target=self._knock, args=(head,), name="raydl-knock", daemon=True
        )
        try:
            asking.start()
            knocking.start()
            self._visit(workers)
        except Exception as error:
            self._fail(workers, error)
        self._over.set()
        if asking.is_alive():
            asking.join()
        if self._is_lost:
            session.abandon()
        else:
            workers.let_go()
        return workers.has_borne

    def _visit(self, workers: Supervisor) -> None:
        while not self._over.is_set():
            error = workers.stillborn()
            if error is not None:
                self._tell(ConnectFailed(error))
                return
            workers.visit()
            if self._clock() - self._told_at >= TELL_SECONDS:
                self._told_at = self._clock()
                self._on_turn()
            self._over.wait(VISIT_SECONDS)

    def _ask(self, workers: Supervisor) -> None:
        try:
            while not self._over.wait(TURN_SECONDS):
                workers.ask()
        except Exception as error:
            self._fail(workers, error)

    def _knock(self, head: HeadWatch) -> None:
        while not self._over.is_set():
            head.knock()
            self._over.wait(KNOCK_SECONDS)
        head.close()

    def _fail(self, workers: Supervisor, error: Exception) -> None:
        """The cluster's part is over, at once, whatever Ray's calls still wait for."""
        with self._lock:
            if self._over.is_set():
                return
            self._over.set()
        self._is_lost = isinstance(error, ClusterError)  # the head, then
        if not isinstance(error, ClusterError):  # whatever Ray throws
            what = f"the connection to the cluster broke ({type(error).__name__})"
            error = ClusterError(what, "see `ray status`")
        workers.drop_all("the connection broke")
        self._tell(Disconnected(error))
