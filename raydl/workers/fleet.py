"""The cluster's teams: a worker on each node, for as long as the node is there."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from raydl.cluster.actors import Actor, ActorLost
from raydl.cluster.address import Choice
from raydl.cluster.session import Node, Session, connect
from raydl.model.ending import before_exit
from raydl.model.errors import ClusterError, RaydlError
from raydl.workers.actor import ActorTeam, name_of
from raydl.workers.lane import Connected, ConnectFailed, Disconnected, Joined, Left, Post
from raydl.workers.worker import NodeWorker


class ClusterFleet:
    """Connects to a cluster in the background and keeps a worker on each of its nodes.

    It does so as soon as it ``pays``: a file that is nearly there needs no cluster. ``here`` is
    for a worker on the driver's node too.
    Nodes that appear later get a worker too; those that go take their lanes with them. Each
    worker is asked several times a second how it is doing: Ray needs 14 to 66 s to notice a node
    that hangs or is cut off, and never notices a process that is frozen. A worker that is silent
    for long is given up, and gets a successor. A head that does not answer for ``HEAD_SECONDS`` is
    gone: Ray would wait for it, and end this process after a minute.
    """

    LOOK_SECONDS = 0.05
    PULSE_SECONDS = 0.25
    NODES_SECONDS = 0.25
    GIVE_UP_SECONDS = 15.0
    REHIRE_SECONDS = 3.0
    HEAD_SECONDS = 5.0
    CLOSE_SECONDS = 5.0
    HURRY_SECONDS = 1.0
    STOPPED_SECONDS = 2.0

    def __init__(
        self,
        choice: Choice,
        post: Post,
        *,
        here: bool,
        pays: Callable[[], bool],
    ) -> None:
        self._choice, self._here = choice, here
        self._post, self._pays = post, pays
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._teams: dict[str, ActorTeam] = {}
        self._not_before: dict[str, float] = {}
        self._to_kill: list[Actor] = []
        self._bound = self._born = self._stillborn = False
        # Not a daemon: an interpreter that ends while Ray connects in a thread crashes.
        self._thread = threading.Thread(target=self._run, name="raydl-cluster")
        before_exit(self)
        self._thread.start()

    def cancel(self) -> None:
        """Let its thread end, which lets the workers go; without waiting for that."""
        with self._lock:
            self._stop.set()

    def close(self, *, hurry: bool = False) -> None:
        """Let the workers go, and leave Ray as it was found.

        Before Ray connects there is nothing to end yet: then this returns at once, and no
        connection is made. It waits ``CLOSE_SECONDS`` at most, in a hurry ``HURRY_SECONDS``: what
        Ray still does then ends on its own, and the thread with it.
        """
        self.cancel()
        if self._bound:
            self._thread.join(self.HURRY_SECONDS if hurry else self.CLOSE_SECONDS)

    def _is_wanted(self) -> bool:
        """Whether a connection is; from then on there is something to end."""
        with self._lock:
            is_wanted = not self._stop.is_set()
            self._bound = self._bound or is_wanted
        return is_wanted

    def _run(self) -> None:
        while not self._pays():
            if self._stop.wait(self.LOOK_SECONDS):
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
        try:
            self._tend(session)
        except ClusterError as error:
            self._fail(error)
            session.abandon()
        except Exception as error:  # whatever Ray throws ends the cluster's part
            what = f"the connection to the cluster broke ({type(error).__name__})"
            self._fail(ClusterError(what, "see `ray status`"))
            self._let_go(session)
        else:
            self._let_go(session)
        finally:
            session.close(keep=self._born)  # a cluster that was of no use is not held on to

    def _fail(self, error: ClusterError) -> None:
        with self._lock:
            teams = list(self._teams.values())
        for team in teams:
            self._drop(team, "the connection broke", unreachable=True)
        if not self._stop.is_set():
            self._post(Disconnected(error))

    def _let_go(self, session: Session) -> None:
        """Keep the workers that are well for the next download, end the others."""
        with self._lock:
            teams = list(self._teams.values())
            self._teams.clear()
        for team in teams:
            if team.joined and time.monotonic() - team.heard_at < 2 * self.PULSE_SECONDS + 1:
                with contextlib.suppress(Exception):  # the connection to Ray has gone
                    session.dismiss(team.place, team.actor)
                    continue
            self._to_kill.append(team.actor)
        self._kill_dropped()

    def _tend(self, session: Session) -> None:
        told, look_at, head_heard_at = False, 0.0, time.monotonic()
        problem: ClusterError | None = None
        nodes: dict[str, Node] = {}
        while not self._stop.is_set():
            if self._stillborn and not self._born:
                self._stillborn = False
                error = session.stillborn()
                if error is not None:
                    self._post(ConnectFailed(error))
                    return
            now = time.monotonic()
            if now >= look_at:
                look_at = now + self.NODES_SECONDS
                problem = session.head_problem()
                if problem is None:
                    head_heard_at = now
                    nodes = {node.id: node for node in session.nodes()}
                elif now - head_heard_at > self.HEAD_SECONDS:
                    raise problem
            wanted = [node for node in nodes.values() if self._wants(node)]
            if not told:
                told = True
                store = min((n.object_store for n in nodes.values() if n.object_store), default=0)
                self._post(Connected(session.address, len(nodes), len(wanted), store))
            self._look_after(nodes)
            if problem is None:
                self._kill_dropped()
                self._hire_on(wanted, session, now)
            # With many nodes each is asked less often, so that asking stays cheap.
            self._wait(max(self.PULSE_SECONDS, 0.005 * len(nodes)))

    def _wait(self, seconds: float) -> None:
        """Wait for the next turn. If this process was suspended meanwhile (Ctrl-Z), no worker could
        be heard: silence during a suspension is ignored."""
        began = time.monotonic()
        self._stop.wait(seconds)
        stopped = time.monotonic() - began - seconds
        if stopped > self.STOPPED_SECONDS:
            with self._lock:
                for team in self._teams.values():
                    team.heard_at += stopped

    def _look_after(self, nodes: Mapping[str, Node]) -> None:
        """Give up workers whose node has gone, or that are silent; ask the others."""
        with self._lock:
            teams = list(self._teams.values())
        now = time.monotonic()
        for team in teams:
            if team.place.id not in nodes:
                self._drop(team, "it left the cluster", unreachable=True)
            elif team.joined and now - team.heard_at > self.GIVE_UP_SECONDS:
                self._drop(team, "it does not answer", unreachable=True)
            elif team.joined and not team.asked:
                team.asked = True
                team.actor.pulse(partial(self._heard, team))

    def _heard(self, team: ActorTeam, answer: tuple[Any, ...] | ActorLost) -> None:
        if isinstance(answer, ActorLost):
            self._drop(team, answer.reason)
        else:
            team.heard(answer)

    def _kill_dropped(self) -> None:
        with self._lock:
            actors, self._to_kill = self._to_kill, []
        for actor in actors:
            actor.kill()

    def _wants(self, node: Node) -> bool:
        return self._here or not node.is_driver

    def _hire_on(self, nodes: list[Node], session: Session, now: float) -> None:
        """A worker on each of them that has none."""
        for node in nodes:
            if node.id not in self._teams and now >= self._not_before.get(node.id, 0.0):
                self._hire(session, node)

    def _hire(self, session: Session, node: Node) -> None:
        try:
            actor, is_warm = session.hire(node, NodeWorker)
        except Exception as error:  # one node's trouble is not the others'
            self._not_before[node.id] = time.monotonic() + self.REHIRE_SECONDS
            self._post(Left(name_of(node), None, f"{type(error).__name__}"))
            return
        team = ActorTeam(node, actor, self._post, self._drop)
        with self._lock:
            self._teams[node.id] = team
        actor.pulse(partial(self._ready, team, is_warm))

    def _ready(self, team: ActorTeam, is_warm: bool, answer: tuple[Any, ...] | ActorLost) -> None:
        if isinstance(answer, ActorLost):
            self._stillborn = not is_warm
            self._drop(team, answer.reason, again_after=0.0 if is_warm else None)
            return
        self._born = True
        team.heard(answer)
        with self._lock:
            if self._teams.get(team.place.id) is not team:
                return  # dropped before it answered: it will be killed
            team.joined = True
            self._post(Joined(team, team.place.object_store))

    def _drop(
        self,
        team: ActorTeam,
        reason: str,
        unreachable: bool = False,
        again_after: float | None = None,
    ) -> None:
        """Do without this worker; its node may get another one after a while."""
        pause = self.REHIRE_SECONDS if again_after is None else again_after
        with self._lock:
            if self._teams.get(team.place.id) is not team:
                return  # dropped before, perhaps with a successor
            del self._teams[team.place.id]
            self._not_before[team.place.id] = time.monotonic() + pause
            # Killed by our own thread: on Ray's, where this may run, Ray would wait for itself.
            self._to_kill.append(team.actor)
            if not self._stop.is_set() and (team.joined or again_after is None):
                self._post(Left(team.node, team if team.joined else None, reason, unreachable))
