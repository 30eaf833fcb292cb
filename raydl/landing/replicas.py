"""The nodes' copies of a file: what each has, what it waits for, and from whom. Pure state."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from raydl.model.coverage import Coverage
from raydl.workers.actor import ActorTeam

PIECE = 8 << 20
"""Bytes of a copy that are read at once, at most, for other nodes."""

MOST_READS = 4
"""Pieces that one node is asked to read at once."""

MOST_CALLS = 2
"""Calls to a worker to take bytes that are under way at once; what else there is waits, and goes
together with the next: a call costs this process about a millisecond, whatever it carries."""

MOST_IN_CALL = 16

STUCK_SECONDS = 90.0
"""A worker that answers none of its calls for so long has a disk that does not answer."""

SLOWEST = 5 << 20
"""Bytes a second that any disk reads, and takes, at least."""

LATER_SECONDS = 1.0
"""Nodes that were there from the start are listed within it."""

SHARE = 4
"""Bytes on their way to one node take one part in ``SHARE`` of the window at most: what a slow one
cannot take now, it gets later from the disk of another."""


class Phase(Enum):
    """How far a copy is. Its value is what reports and events say."""

    AWAITED = "awaited"
    OPENING = "opening"
    RECEIVING = "receiving"
    VERIFYING = "verifying"
    PUBLISHING = "publishing"
    DONE = "done"
    HAD = "had"
    SKIPPED = "skipped"
    FAILED = "failed"
    LOST = "lost"

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done for it."""
        return self in (Phase.DONE, Phase.HAD, Phase.SKIPPED, Phase.FAILED)

    @property
    def has_file(self) -> bool:
        """Whether the file is at its path there."""
        return self in (Phase.DONE, Phase.HAD, Phase.SKIPPED)


BEFORE = (Phase.AWAITED, Phase.OPENING)
UNDER_WAY = (Phase.RECEIVING, Phase.VERIFYING, Phase.PUBLISHING)


@dataclass(eq=False)
class Shipment:
    """Bytes ``[start, stop)`` as an object of Ray's, on their way to nodes that lack them.

    ``holder`` is the node that fetched or read them; ``done`` is the scheduler's, for what was
    fetched. ``ref`` is None until they are read: the object lives as long as it is held here.
    """

    start: int
    stop: int
    holder: str
    ref: Any = field(default=None, repr=False)
    done: Callable[[str], None] | None = None
    team: ActorTeam | None = None
    """The holder's, when they were sent on their way."""
    since: float = 0.0
    """When they were asked for, where they are to be read."""
    waiting: set[Replica] = field(default_factory=set, repr=False)
    landed: bool = False
    is_lost: bool = False
    """Whether those who wait for it were told that it will not come."""

    @property
    def size(self) -> int:
        """In bytes."""
        return self.stop - self.start

    def acknowledge(self, problem: str = "") -> None:
        """Tell the scheduler, once, that they are where they belong, or why they are lost."""
        done, self.done = self.done, None
        if done is not None:
            done(problem)


@dataclass(eq=False)
class Replica:
    """A node's copy. ``room`` bounds the bytes on their way to it; ``from_origin`` and
    ``from_peers`` are those that it fetched itself, and those that others had."""

    node: str
    room: int = PIECE
    phase: Phase = Phase.AWAITED
    team: ActorTeam | None = None
    opening: ActorTeam | None = None
    """The worker that was asked to open it, and has not answered."""
    was_read: bool = False
    """Whether a file that was there was read in this run, and not only taken for what it was."""
    is_cut_off: bool = False
    """Whether others have asked for what it has, and nothing came."""
    written: Coverage = field(default_factory=Coverage)
    claimed: Coverage = field(default_factory=Coverage)
    coming: set[Shipment] = field(default_factory=set)
    queue: deque[Shipment] = field(default_factory=deque)
    calls: int = 0
    stops: int = 0
    """How often it was stopped: an answer to a call before that means nothing any more."""
    in_flight: int = 0
    reads: int = 0
    from_origin: int = 0
    from_peers: int = 0
    digest: str = ""
    problem: str = ""
    hint: str = ""
    kind: str = ""
    """The class of the error."""
    since: float = 0.0
    answered_at: float = 0.0
    """When its worker last answered a call to take bytes."""
    lost_at: float = -math.inf
    reopen_at: float | None = None
    due: float = math.inf
    """When its worker has answered what it does with the whole file, if its disk answers."""
    seconds: float = 0.0

    @property
    def is_source(self) -> bool:
        """Whether others can have what it has."""
        is_there = self.team is not None and not self.is_cut_off
        return is_there and self.phase in (*UNDER_WAY, Phase.DONE, Phase.HAD)

    def shares_address(self, other: Replica) -> bool:
        """Whether both nodes have one address (``Session.nodes`` names them)."""
        return self.node.partition("#")[0] == other.node.partition("#")[0]

    def wants(self, start: int, stop: int) -> bool:
        """Whether it lacks some of these bytes, and nobody brings them."""
        return self.phase is Phase.RECEIVING and not self.claimed.covers(start, stop)

    def lacks(self, start: int, stop: int) -> bool:
        """Whether it has none of these bytes, and nobody brings any."""
        first, last = self.claimed.next_from(start)
        return self.phase is Phase.RECEIVING and (first == last or first >= stop)

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may be on their way to it."""
        return self.in_flight == 0 or self.in_flight + size <= self.room

    @property
    def has_room_for_a_piece(self) -> bool:
        """The same of what is read for it. Half of the room stays for what is in memory now: to
        read that later costs everybody more, and who is late would only be later."""
        return self.in_flight == 0 or self.in_flight + PIECE <= self.room // 2

    def claim(self, shipment: Shipment) -> None:
        """These bytes are on their way to it."""
        self.claimed.add(shipment.start, shipment.stop)
        self.coming.add(shipment)
        self.in_flight += shipment.size
        shipment.waiting.add(self)

    def came(self, shipment: Shipment, landed: bool) -> None:
        """They arrived, or they did not: then somebody else is to bring them."""
        shipment.waiting.discard(self)
        if shipment not in self.coming:
            return
        self.coming.remove(shipment)
        self.in_flight -= shipment.size
        if landed:
            self.written.add(shipment.start, shipment.stop)
            if shipment.holder == self.node:
                self.from_origin += shipment.size
            else:
                self.from_peers += shipment.size
        else:
            self.claimed = Coverage(self.written)
            for other in self.coming:
                self.claimed.add(other.start, other.stop)

    def next_batch(self) -> list[Shipment]:
        """What its worker is to take next, of what is still meant for it."""
        batch: list[Shipment] = []
        while self.queue and len(batch) < MOST_IN_CALL:
            shipment = self.queue.popleft()
            if shipment in self.coming:
                batch.append(shipment)
        return batch

    def begin(self, team: ActorTeam, written: Coverage) -> None:
        """Its worker has opened it, with these bytes."""
        self.team, self.written, self.claimed = team, written, Coverage(written)
        if not self.phase.is_over:
            self.digest = ""  # of what an earlier worker had

    def stop(self) -> list[Shipment]:
        """Nothing is on its way to it any more; returns what was."""
        stopped = list(self.coming)
        for shipment in stopped:
            shipment.waiting.discard(self)
        self.coming.clear()
        self.queue.clear()
        self.calls = self.in_flight = 0
        self.stops += 1
        self.due = math.inf
        self.claimed = Coverage(self.written)
        return stopped


class Replicas:
    """All of them, of a file of ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.patience = STUCK_SECONDS + size / SLOWEST
        """How many seconds what is done with the whole file may take."""
        self._all: dict[str, Replica] = {}

    def __iter__(self) -> Iterator[Replica]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def get(self, node: str) -> Replica | None:
        """The copy on that node, if it is to have one."""
        return self._all.get(node)

    def add(self, node: str, now: float) -> Replica:
        """That node is to have one."""
        return self._all.setdefault(node, Replica(node, since=now))

    def forget_restarted(self, listed: Collection[str]) -> list[tuple[str, str]]:
        """Leave out who is gone where one that came later to its address has the file: Ray was
        started anew there, and the disk is the same. Returns both of each such pair."""
        found = []
        for replica in list(self):
            if replica.node in listed or replica.phase.has_file:
                continue
            for other in self:
                is_later = other.since > replica.since + LATER_SECONDS
                if other.phase.has_file and is_later and other.shares_address(replica):
                    found.append((replica.node, other.node))
                    del self._all[replica.node]
                    break
        return found

    def there(self) -> Coverage:
        """The bytes that some node can give."""
        there = Coverage()
        for replica in self:
            if replica.is_source:
                for start, stop in replica.written:
                    there.add(start, stop)
                if there.size == self.size:
                    break
        return there

    def takers(self, start: int, stop: int) -> list[Replica]:
        """Those that want these bytes, whether or not they have room for them now."""
        return [replica for replica in self if replica.wants(start, stop)]

    def readers(self, start: int, stop: int) -> list[Replica]:
        """Those that what is read of these bytes is for."""
        return [r for r in self if r.lacks(start, stop) and r.has_room_for_a_piece]

    def next_read(self, is_silent: Callable[[str], bool]) -> tuple[Replica, int, int] | None:
        """Which node is to read which bytes for others next; None where there is nothing to do.

        What lacks in many places is read once for all of them.
        """
        for taker in self:
            if taker.phase is Phase.RECEIVING and taker.claimed.size < self.size:
                found = self._source_for(taker, is_silent)
                if found is not None:
                    return found
        return None

    def _source_for(
        self, taker: Replica, is_silent: Callable[[str], bool]
    ) -> tuple[Replica, int, int] | None:
        if not taker.has_room_for_a_piece:
            return None
        sources = [
            replica
            for replica in self
            if replica is not taker
            and replica.is_source
            and replica.reads < MOST_READS
            and not is_silent(replica.node)
        ]
        sources.sort(key=lambda replica: replica.reads)
        for start, stop in taker.claimed.missing(self.size):
            best: tuple[Replica, int, int] | None = None
            for source in sources:
                first, last = source.written.next_from(start)
                last = min(last, stop, first + PIECE)
                if first < last and (best is None or first < best[1]):
                    best = source, first, last
                    if first == start:
                        break
            if best is not None:
                return best
        return None

    def verdict(self) -> tuple[str, list[Replica]]:
        """The digest on which copies agree, and those that have another one.

        What was recorded with files that were there before is believed: others may be copies of
        one that has rotted since. Else two that are equal are, or the only one, once no other can
        be compared; else the digest is empty. Where all are there and no two are equal, all of
        them are wrong.
        """
        computed = [replica for replica in self if replica.digest]
        recorded = {replica.digest for replica in computed if replica.phase is Phase.HAD}
        votes = Counter(r.digest for r in computed if r.digest in recorded or not recorded)
        digest, most = votes.most_common(1)[0] if votes else ("", 0)
        if most < 2 and len(recorded) != 1:
            if any(r.phase in (*BEFORE, *UNDER_WAY) and not r.digest for r in self):
                return "", []
            if len(votes) > 1:
                return "", computed
        return digest, [replica for replica in computed if replica.digest != digest]
