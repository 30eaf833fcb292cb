"""A worker on each node of a cluster: hired, asked how it is doing, given up, replaced."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from raydl.cluster.actors import Actor, ActorLost
from raydl.cluster.session import Node, Session
from raydl.model.errors import ClusterError
from raydl.workers.actor import ActorTeam, name_of
from raydl.workers.headwatch import BUSY_SECONDS, HEAD_SECONDS, HeadWatch
from raydl.workers.protocol import Connected, Joined, Left, Listed, Memory, Message, Post
from raydl.workers.worker import NodeWorker

PULSE_SECONDS = 0.25
"""Shortest time between two questions to a worker how it is doing."""

NODES_SECONDS = 0.25
"""Shortest time between two lists of the nodes."""

SPREAD_SECONDS = 0.005
"""Each of many workers is asked once every this many seconds times their number: a thousand every 5
s, 200 questions a second in all. The nodes are listed as seldom: a list costs 20 µs a node here
(measured with a thousand of them), 0.4 % of a processor then, and the head has to make it."""

TURN_SECONDS = 0.05
"""Between two turns of ``ask``, each of which asks its share of the workers."""

GIVE_UP_SECONDS = 15.0
"""A worker that lets a question wait for so long is given up, or for three rounds of questions."""

REHIRE_SECONDS = 3.0
"""Until a node whose worker was lost gets another one."""

HIRES = 50
"""Workers that are asked for in one turn of ``visit``: a head has to start a thousand, and this
process answers others meanwhile."""

STOPPED_SECONDS = 2.0
"""A turn that is this late shows that the process was suspended (Ctrl-Z). No worker could be heard
then: silence during a suspension is ignored."""


class Supervisor:
    """Keeps a worker on each node that is wanted, and says who joins and leaves.

    ``visit`` has to do with the head and may wait for it. ``ask`` waits for nobody: signs of life
    come and are judged while Ray's calls do not return. Each has a thread of its own, and answers
    come on Ray's. ``here`` says whether a worker on the driver's node is wanted, too; ``tell`` gets
    who joins and leaves, ``post`` and ``memory`` are for the workers' teams.
    """

    def __init__(
        self,
        session: Session,
        head: HeadWatch,
        tell: Callable[[Message], None],
        post: Post,
        *,
        memory: Memory,
        here: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._session, self._head = session, head
        self._tell, self._post = tell, post
        self._memory, self._here, self._clock = memory, here, clock
        self._lock = threading.Lock()
        self._nodes: dict[str, Node] = {}
        self._list_at = 0.0
        self._is_told = False
        self._listed: dict[str, Mapping[str, str]] = {}
        self._teams: dict[str, ActorTeam] = {}
        self._round: deque[ActorTeam] = deque()
        """The workers that have joined, the one that is to be asked next first."""
        self._credit = 0.0
        """How many of them are due."""
        self._not_before: dict[str, float] = {}
        self._to_kill: list[Actor] = []
        self._turned_at = self._heard_at = clock()
        self._visiting_since: float | None = None
        self._stillborn = False
        self.has_borne = False
        """Whether any worker ever answered."""

    @property
    def period(self) -> float:
        """Seconds from one question to a worker to the next."""
        return max(PULSE_SECONDS, SPREAD_SECONDS * len(self._round))

    def visit(self) -> None:
        """Look who is there; end the workers that were lost, and hire. Ray may take its time."""
        self._visiting_since = self._clock()
        try:
            if self._head.answers:
                if self._clock() >= self._list_at:
                    self._list()
                self._kill_dropped()
                self._hire_on()
        finally:
            self._visiting_since = None

    def stillborn(self) -> ClusterError | None:
        """Why no worker will ever start, if the first ones ended for a reason that is known."""
        if not self._stillborn or self.has_borne:
            return None
        self._stillborn = False
        return self._session.stillborn()

    def ask(self) -> None:
        """Ask the workers that are due how they are doing, and give up those that say nothing.

        To be called every ``TURN_SECONDS``. Raises ClusterError once the head is gone.
        """
        now = self._clock()
        gap, self._turned_at = now - self._turned_at, now
        if gap > STOPPED_SECONDS:
            self._stood_still(gap)
        for team in self._due(gap):
            if team.asked_at is None:
                team.asked_at = now
                team.actor.pulse(partial(self._heard, team))
            elif now - team.asked_at > max(GIVE_UP_SECONDS, 3 * self.period):
                self._drop(team, "it does not answer", unreachable=True)
        alone = bool(self._round) and now - self._heard_at > HEAD_SECONDS
        self._head.check(now, alone=alone)
        began = self._visiting_since
        if began is not None and now - began > BUSY_SECONDS:
            what = f"the head of the Ray cluster at {self._session.address} does not answer"
            raise ClusterError(what, "look at it with `ray status`")

    def drop_all(self, reason: str) -> None:
        """The connection is gone, and everybody with it."""
        with self._lock:
            teams = list(self._teams.values())
        for team in teams:
            self._drop(team, reason, unreachable=True)

    def let_go(self) -> None:
        """Keep the workers that are well for the next download, end the others."""
        now = self._clock()
        with self._lock:
            teams = list(self._teams.values())
            self._teams.clear()
        for team in teams:
            if team.joined and now - team.heard_at < 2 * self.period + 1:
                with contextlib.suppress(Exception):  # the connection to Ray has gone
                    self._session.dismiss(team.place, team.actor)
                    continue
            self._to_kill.append(team.actor)
        self._kill_dropped()

    def _due(self, seconds: float) -> list[ActorTeam]:
        """The workers whose turn it is, ``seconds`` after it was asked for last."""
        with self._lock:
            rate = len(self._round) / self.period
            # What was missed is not made up for: it would come all at once.
            self._credit = min(self._credit + rate * seconds, 1 + 2 * rate * TURN_SECONDS)
            due = []
            while self._credit >= 1 and self._round:
                team = self._round.popleft()
                if self._teams.get(team.place.id) is not team:
                    continue
                self._round.append(team)
                self._credit -= 1
                due.append(team)
            return due

    def _stood_still(self, seconds: float) -> None:
        """Exclude ``seconds`` in which this process was suspended."""
        self._head.stood_still(seconds)
        self._heard_at += seconds
        if self._visiting_since is not None:
            self._visiting_since += seconds
        with self._lock:
            teams = list(self._teams.values())
        for team in teams:
            team.stood_still(seconds)

    def _list(self) -> None:
        nodes = {node.id: node for node in self._session.nodes()}
        self._nodes = nodes
        self._list_at = self._clock() + max(NODES_SECONDS, SPREAD_SECONDS * len(nodes))
        with self._lock:
            lost = [team for team in self._teams.values() if team.place.id not in nodes]
        for team in lost:
            self._drop(team, "it left the cluster", unreachable=True)
        listed = {name_of(node): node.labels for node in nodes.values()}
        if listed != self._listed:
            self._listed = listed
            self._tell(Listed(listed))
        if not self._is_told:
            self._is_told = True
            store = min((n.object_store for n in nodes.values() if n.object_store), default=0)
            others = len(self._wanted())
            self._tell(Connected(self._session.address, len(nodes), others, store))

    def _wanted(self) -> list[Node]:
        here = self._here()
        return [node for node in self._nodes.values() if here or not node.is_driver]

    def _kill_dropped(self) -> None:
        with self._lock:
            actors, self._to_kill = self._to_kill, []
        for actor in actors:
            actor.kill()

    def _hire_on(self) -> None:
        """A worker on some of the nodes that have none."""
        now = self._clock()
        with self._lock:
            vacant = [
                node
                for node in self._wanted()
                if node.id not in self._teams and now >= self._not_before.get(node.id, 0.0)
            ]
        for node in vacant[:HIRES]:
            self._hire(node)

    def _hire(self, node: Node) -> None:
        try:
            actor, is_warm = self._session.hire(node, NodeWorker)
        except Exception as error:  # one node's trouble is not the others'
            self._not_before[node.id] = self._clock() + REHIRE_SECONDS
            self._tell(Left(name_of(node), None, f"{type(error).__name__}"))
            return
        team = ActorTeam(
            node, actor, self._post, self._drop, memory=self._memory, period=lambda: self.period
        )
        with self._lock:
            self._teams[node.id] = team
        actor.pulse(partial(self._ready, team, is_warm))

    def _ready(self, team: ActorTeam, is_warm: bool, answer: tuple[Any, ...] | ActorLost) -> None:
        if isinstance(answer, ActorLost):
            self._stillborn = not is_warm
            self._drop(team, answer.reason, again_after=0.0 if is_warm else None)
            return
        self.has_borne = True
        with self._lock:
            if self._teams.get(team.place.id) is not team:
                return  # dropped before it answered: it will be killed
            team.joined = True
            self._round.append(team)
            self._tell(Joined(team, team.place.object_store))
            self._take_in(team, answer)

    def _heard(self, team: ActorTeam, answer: tuple[Any, ...] | ActorLost) -> None:
        if isinstance(answer, ActorLost):
            self._drop(team, answer.reason)
            return
        with self._lock:
            if self._teams.get(team.place.id) is team:
                self._take_in(team, answer)

    def _take_in(self, team: ActorTeam, answer: tuple[Any, ...]) -> None:
        self._heard_at = self._clock()
        team.heard(answer, self._heard_at)

    def _drop(
        self,
        team: ActorTeam,
        reason: str,
        unreachable: bool = False,
        again_after: float | None = None,
    ) -> None:
        """Do without this worker; its node may get another one after a while."""
        pause = REHIRE_SECONDS if again_after is None else again_after
        with self._lock:
            if self._teams.get(team.place.id) is not team:
                return  # dropped before, perhaps with a successor
            del self._teams[team.place.id]
            self._not_before[team.place.id] = self._clock() + pause
            # Killed by the thread that visits: on Ray's, where this may run, Ray would wait for
            # itself.
            self._to_kill.append(team.actor)
            if team.joined or again_after is None:
                self._tell(Left(team.node, team if team.joined else None, reason, unreachable))
