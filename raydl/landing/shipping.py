"""Bytes on their way to the nodes that lack them, out of the object store or off another's disk."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any

from raydl.landing.desk import Desk
from raydl.landing.replicas import MOST_CALLS, STUCK_SECONDS, Phase, Replica, Replicas, Shipment
from raydl.model.errors import OutputError
from raydl.model.events import Emit, Notice
from raydl.model.parts import Part
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import LOST, MISSING, Answer
from raydl.workers.protocol import Payload

SILENT_SECONDS = 2.0
"""Nothing is expected of a node that was not heard of for so long."""

PULL_SECONDS = 1.0
"""How long after a node fell silent what is on its way may take. Ray may be pulling it from a copy
that was there, and tries another node only ten seconds later, and then again after twenty
(``object_manager_pull_timeout_ms``, which doubles)."""

LAND_SECONDS = 60.0
"""How long a worker waits for an object that nobody says is lost: less than STUCK_SECONDS."""

MOST_MISSES = 3
"""Of one node from one other, where there are only those two to judge by."""

CUT_OFF = "nothing comes from it to the other nodes"
GETS_NOTHING = "nothing comes to it from other nodes"

LONELY = OutputError.__name__, GETS_NOTHING, "see docs/troubleshooting.md"

STUCK = OutputError.__name__, "its disk does not answer", "look at that node"


class Shipping:
    """Has workers take what the scheduler brings, and read for others what they have.

    Workers know the copies by ``key``. ``failed`` is called for a copy that cannot take more, with
    the error's class, message and hint, and ``came`` for one to which bytes came.
    """

    def __init__(
        self,
        desk: Desk,
        replicas: Replicas,
        key: str,
        failed: Callable[[Replica, str, str, str], None],
        came: Callable[[Replica], None],
        emit: Emit,
    ) -> None:
        self._desk, self._replicas, self._key = desk, replicas, key
        self._failed, self._came, self._emit = failed, came, emit
        self._unplaced: deque[Shipment] = deque()
        """What nobody that lacks it had room for."""
        self._shipments: set[Shipment] = set()
        self._missed: Counter[tuple[str, str]] = Counter()
        """How often in a row what lies on one node did not come to another."""
        self._in_vain = 0
        """Bytes that a node fetched from which nothing comes to those that lack them."""
        self._silent: set[str] = set()
        self._doubted: set[Shipment] = set()
        self._doubted_until = 0.0

    def take(self, part: Part, payload: Payload, node: str, done: Callable[[str], None]) -> None:
        """Have these bytes taken by the nodes that lack them; from any thread."""
        shipment = Shipment(part.start, part.stop, node, payload.ref, done)
        self._desk.post(partial(self._offer, shipment))

    def go_on(self) -> None:
        """Do what can be done now."""
        self._give_up_the_stuck()
        self._forget_the_silent()
        self._place_again()
        self._read_on()

    def stop(self, replica: Replica) -> None:
        """Nothing goes to that copy any more."""
        for shipment in replica.stop():
            if not shipment.waiting:
                self._settle(shipment)

    def _give_up_the_stuck(self) -> None:
        """A worker may be alive and heard of, and its disk, or its network's, hang."""
        now = self._desk.clock()
        since = now - STUCK_SECONDS
        for replica in self._replicas:
            is_stuck = replica.calls and replica.answered_at < since
            if replica.due < now and replica.phase.has_file:
                replica.due, replica.team = math.inf, None  # it has the file, and gives nobody any
            elif is_stuck or replica.due < now:
                self._failed(replica, *STUCK)
        for shipment in [s for s in self._shipments if s.ref is None and s.since < since]:
            self._give_up(shipment)
            source = self._replicas.get(shipment.holder)
            if source is not None and source.team is shipment.team:
                self._failed(source, *STUCK)

    def _is_silent(self, node: str) -> bool:
        team = self._desk.teams.get(node)
        if team is None:
            return True
        heard = self._desk.heard_at[node]
        return self._desk.clock() - heard > max(SILENT_SECONDS, 3 * team.period)

    def _forget_the_silent(self) -> None:
        """What lies on a node that is gone, or silent, will not come: nobody shall wait for it."""
        for shipment in [s for s in self._shipments if not self._can_come(s)]:
            if shipment.ref is None:  # it was to be read there
                self._give_up(shipment)
            else:
                self._forget(shipment)
        self._doubt()

    def _doubt(self) -> None:
        """Have forgotten what does not come soon after a node fell silent."""
        silent = {replica.node for replica in self._replicas if self._is_silent(replica.node)}
        if silent - self._silent:
            self._doubted = {each for each in self._shipments if each.ref is not None}
            self._doubted_until = self._desk.clock() + PULL_SECONDS
        self._silent = silent
        if self._doubted and self._desk.clock() >= self._doubted_until:
            for shipment in self._doubted & self._shipments:
                self._forget(shipment)
            self._doubted = set()

    def _forget(self, shipment: Shipment) -> None:
        """Have nobody wait for these bytes any longer."""
        for replica in list(shipment.waiting):
            if replica.team is None or self._is_silent(replica.node):
                replica.came(shipment, False)
            elif not shipment.is_lost:
                replica.team.disk_at_once("forget", self._key, [shipment.start])
        shipment.is_lost = True
        if not shipment.waiting:
            self._settle(shipment)

    def _can_come(self, shipment: Shipment) -> bool:
        """Whether its bytes can be had. A node may have been started again, without them."""
        is_there = self._desk.teams.get(shipment.holder) is shipment.team is not None
        return is_there and not self._is_silent(shipment.holder)

    def _offer(self, shipment: Shipment) -> None:
        """Have them taken by who lacks them and has room; later, where nobody has."""
        takers = self._replicas.takers(shipment.start, shipment.stop)
        holder = self._replicas.get(shipment.holder)
        if holder is not None and holder.is_cut_off and holder not in takers:
            is_there = self._replicas.there().covers(shipment.start, shipment.stop)
            is_lacking = bool(takers) and not is_there
            if is_lacking:
                self._fetched_in_vain(shipment.size)
            shipment.acknowledge(CUT_OFF if is_lacking else "")
            return
        if holder is not None and holder.is_cut_off:
            takers = [holder]
        able = [replica for replica in takers if replica.has_room(shipment.size)]
        if able:
            shipment.team = self._desk.teams.get(shipment.holder)
            self._shipments.add(shipment)
            self._send(shipment, able)
        elif self._replicas.there().covers(shipment.start, shipment.stop):
            shipment.acknowledge()
        elif all(replica.phase.is_over for replica in self._replicas):
            shipment.acknowledge("no node is left that could take them")
        else:  # those that lack them have no room, or wait for the same bytes from elsewhere
            self._unplaced.append(shipment)

    def _place_again(self) -> None:
        for _ in range(len(self._unplaced)):
            self._offer(self._unplaced.popleft())

    def _send(self, shipment: Shipment, takers: list[Replica]) -> None:
        for replica in takers:
            replica.claim(shipment)
        for replica in takers:
            replica.queue.append(shipment)
            self._call(replica)

    def _call(self, replica: Replica) -> None:
        """Have its worker take what waits for it."""
        while replica.queue and replica.calls < MOST_CALLS and replica.team is not None:
            batch = replica.next_batch()
            if not batch:
                return
            items = [(s.start, s.stop, s.ref) for s in batch]
            if not replica.calls:
                replica.answered_at = self._desk.clock()
            replica.calls += 1
            landed = self._desk.answer(self._landed, replica, replica.stops, batch)
            replica.team.disk("land_all", self._key, items, LAND_SECONDS, done=landed)

    def _landed(self, replica: Replica, stops: int, batch: list[Shipment], answers: Any) -> None:
        if replica.stops != stops:
            return  # it was lost meanwhile, or began anew, and what was on its way to it
        replica.calls -= 1
        replica.answered_at = self._desk.clock()
        if isinstance(answers, tuple):  # the worker is lost
            answers = [answers] * len(batch)
        for shipment, (problem, _) in zip(batch, answers, strict=True):
            replica.came(shipment, problem is None)
            if problem is None:
                shipment.landed = True
                shipment.acknowledge()
                self._comes(shipment.holder, replica.node)
            elif problem[:2] == (LOST, MISSING) and self._can_come(shipment):
                self._miss(shipment.holder, replica)
            elif problem[0] != LOST:
                self._failed(replica, *problem)
            if not shipment.waiting:
                self._settle(shipment)
        self._call(replica)
        self._came(replica)

    def _comes(self, holder: str, taker: str) -> None:
        """Something came from there to there: what did not was slow."""
        if holder != taker:
            for pair in [p for p in self._missed if p[0] == holder or p[1] == taker]:
                del self._missed[pair]

    def _miss(self, holder: str, replica: Replica) -> None:
        """What lies on ``holder``, which is well, did not come to that node: find out who of them
        the others cannot reach."""
        self._missed[holder, replica.node] += 1
        missed = [(held_by, taker) for held_by, taker in self._missed if held_by != taker]
        takers = {taker for held_by, taker in missed if held_by == holder}
        holders = {held_by for held_by, taker in missed if taker == replica.node}
        source = self._replicas.get(holder)
        if len(takers) > 1:
            if source is not None and not source.is_cut_off:
                source.is_cut_off = True
                self._emit(Notice(f"{holder} is no source for others: {CUT_OFF}"))
        elif len(holders) > 1 or self._missed[holder, replica.node] > MOST_MISSES:
            self._failed(replica, *LONELY)

    def _fetched_in_vain(self, size: int) -> None:
        """Once it is as much as the whole file, nobody but a node that is cut off can fetch."""
        self._in_vain += size
        if self._in_vain > self._replicas.size:
            for replica in self._replicas:
                if replica.phase is Phase.RECEIVING and not replica.is_cut_off:
                    self._failed(replica, *LONELY)

    def _settle(self, shipment: Shipment) -> None:
        """Nobody waits for these bytes any more."""
        self._shipments.discard(shipment)
        shipment.acknowledge("no node has taken them")
        shipment.ref = None

    def _read_on(self) -> None:
        while (found := self._replicas.next_read(self._is_silent)) is not None:
            source, start, stop = found
            shipment = Shipment(
                start, stop, source.node, team=source.team, since=self._desk.clock()
            )
            for replica in self._replicas.readers(start, stop):
                replica.claim(shipment)
            source.reads += 1
            self._shipments.add(shipment)
            assert source.team is not None
            read = self._desk.answer(self._was_read, shipment, source, source.team)
            source.team.read(self._key, start, stop, partial(_both, read))

    def _was_read(
        self, shipment: Shipment, source: Replica, team: ActorTeam, come: tuple[Answer, Any]
    ) -> None:
        (problem, _), payload = come
        source.reads -= 1
        if shipment not in self._shipments:
            return
        if problem is not None:
            self._give_up(shipment)
            if problem[0] != LOST and source.team is team:
                self._failed(source, *problem)  # what cannot be read is no copy
            return
        shipment.ref = payload.ref
        takers = list(shipment.waiting)
        for replica in takers:
            replica.queue.append(shipment)
            self._call(replica)
        if not takers:
            self._settle(shipment)

    def _give_up(self, shipment: Shipment) -> None:
        for replica in list(shipment.waiting):
            replica.came(shipment, False)
        self._settle(shipment)


def _both(call: Callable[[Any], None], *both: Any) -> None:
    call(both)
