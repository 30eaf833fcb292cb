"""What a failure is about, and what follows from it: the one place that decides it. Pure state.

One request fails, and it may be that request alone, the node that sent it, the mirror that it went
to, or the file. What the failure says by itself is a first guess; whether others are served where
this one was not is the evidence.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum

from raydl.model import backoff
from raydl.model.failure import Failure
from raydl.model.remote import Source
from raydl.scheduler.flights import Flight
from raydl.scheduler.mirrors import Mirror, Mirrors
from raydl.scheduler.nodestate import NodeState
from raydl.workers.protocol import HERE


class Scope(Enum):
    """What else fails in the same way."""

    REQUEST = "nothing: it was this request"
    NODE = "whatever this node asks of the mirror"
    SOURCE = "whatever the mirror is asked by anyone"
    FILE = "everything: the bytes cannot be trusted"


class Verdict(Enum):
    """What to do after a failure."""

    RETRY = "one try of the part at that mirror is used up"
    REST_NODE = "the node asks nothing more there for a while, the part goes to another"
    LEAVE_SOURCE = "the mirror is asked no more"
    END = "the download ends with this failure"


SCOPES = {
    "broken": Scope.REQUEST,
    "timeout": Scope.REQUEST,
    "lane": Scope.NODE,
    "connect": Scope.SOURCE,
    "proxy": Scope.SOURCE,
    "tls": Scope.SOURCE,
    "status": Scope.SOURCE,
    "no-range": Scope.FILE,
    "changed": Scope.FILE,
    "wrong": Scope.FILE,
    "piece": Scope.SOURCE,
}
"""What each kind of failure says by itself."""

FROM_THE_ORIGIN = (429, 503)
"""Statuses that say that there are too many requests: of all, or of one node's address."""


@dataclass
class Standing:
    """A node's record at one mirror. ``failure`` is what came last, None where that was bytes;
    ``since`` is when the request for the first of the consecutive failures began, ``rests`` counts
    how often in a row it was set aside. ``refused`` is the source at which it was refused."""

    served_at: float = -math.inf
    failure: Failure | None = None
    since: float = -math.inf
    rests: int = 0
    rested_at: float = -math.inf
    until: float = -math.inf
    told: bool = False
    refused: Source | None = None


MOST_BAD_PIECES = 2
"""With so many a mirror is left: one may have been damaged on its way."""


class FailurePolicy:
    """Keeps a record of every node at every mirror, and judges by that."""

    def __init__(self, mirrors: Mirrors) -> None:
        self._mirrors = mirrors
        self._standings: dict[tuple[str, Mirror], Standing] = {}
        self._in_doubt: set[int] = set()

    def served(self, flight: Flight, now: float) -> bool:
        """Record success; returns whether the user was told that this node was set aside."""
        standing = self._of(flight.node, flight.mirror)
        told = standing.told
        standing.served_at, standing.failure = now, None
        standing.rests, standing.told = 0, False
        return told

    def fitted(self, start: int) -> None:
        """An answer for the bytes at ``start`` that fits came after all."""
        self._in_doubt.discard(start)

    def judge(
        self, flight: Flight, failure: Failure, nodes: Iterable[NodeState], now: float
    ) -> Verdict:
        """What follows from this failure; ``nodes`` are the nodes that can be counted on."""
        others = [node for node in nodes if node.name != flight.node.name]
        if failure.kind == "piece":
            return self._judge_piece(flight, others)
        standing = self._of(flight.node, flight.mirror)
        if standing.failure is None:
            standing.since = flight.began
        scope = self.scope(flight, failure, others)
        standing.failure = failure
        if scope is Scope.NODE:
            return Verdict.REST_NODE
        if not failure.retryable and not self._is_confirmed(flight, failure, others):
            return Verdict.RETRY
        if self._mirrors.failed(flight.mirror, failure, flight.began, now):
            return Verdict.LEAVE_SOURCE
        if failure.retryable or (scope is Scope.FILE and not self._in_doubt):
            # An odd answer of one server behind a name is no reason to throw everything away: it
            # is asked for once more. A second one is.
            if scope is Scope.FILE:
                self._in_doubt.add(flight.part.start)
            return Verdict.RETRY
        return Verdict.END

    def _judge_piece(self, flight: Flight, others: Collection[NodeState]) -> Verdict:
        """The same of a piece that is not right, which only a mirror that lies has twice: or a
        node that spoils what it gets, where no other one has seen such a piece."""
        mirror, name = flight.mirror, flight.node.name
        mirror.bad_pieces.append(name)
        if len(mirror.bad_pieces) < MOST_BAD_PIECES:
            return Verdict.RETRY
        if name != HERE and others and set(mirror.bad_pieces) == {name}:
            return Verdict.REST_NODE
        return Verdict.LEAVE_SOURCE if self._mirrors.leave(mirror) else Verdict.END

    def scope(self, flight: Flight, failure: Failure, others: Iterable[NodeState]) -> Scope:
        """The scope of the failure, judged by whether other nodes succeed."""
        scope = SCOPES[failure.kind]
        if failure.status in FROM_THE_ORIGIN:
            return Scope.NODE if self._is_limited_alone(flight, others) else scope
        if scope is Scope.NODE or flight.node.name == HERE:
            return scope
        if failure.retryable and self._is_served(flight.node, flight.mirror, flight.began):
            return scope
        if any(self._of(other, flight.mirror).failure is None for other in others):
            return Scope.NODE
        return scope

    def knows_the_way(self, flight: Flight) -> bool:
        """Whether its node was ever served there: else failing to connect shows no overload."""
        if flight.node.name == HERE:
            return True
        return self._of(flight.node, flight.mirror).served_at > -math.inf

    def was_refused_before(self, flight: Flight) -> bool:
        """Whether its node, never served there, was refused at an earlier URL of the mirror, too.

        Then the URL has not expired: it is the node that is not wanted.
        """
        standing = self._of(flight.node, flight.mirror)
        before, standing.refused = standing.refused, flight.source
        return (
            flight.node.name != HERE
            and not self.knows_the_way(flight)
            and before not in (None, flight.source)
        )

    def rest(self, flight: Flight, failure: Failure, now: float) -> bool:
        """Set its node aside there, twice as long each time; returns whether to report that."""
        standing = self._of(flight.node, flight.mirror)
        if flight.began < standing.rested_at:  # asked before the node was set aside
            return False
        standing.rests += 1
        standing.rested_at = now
        standing.until = now + backoff.delay(standing.rests, failure.retry_after)
        # A single hiccup is not worth a line.
        tell = not standing.told and (standing.rests > 1 or not failure.retryable)
        standing.told = standing.told or tell
        return tell

    def is_aside(self, node: NodeState, mirror: Mirror) -> bool:
        """Whether the node has failed there, and brought nothing since."""
        standing = self._standings.get((node.name, mirror))
        return standing is not None and standing.rests > 0

    def may_ask(self, node: NodeState, mirror: Mirror, now: float) -> bool:
        """Whether the node may ask there; a node that was set aside gets one request at a time."""
        standing = self._of(node, mirror)
        # Also where bytes came since, of what was asked before.
        if now < max(mirror.host.until, standing.until):
            return False
        return not standing.rests or all(f.mirror is not mirror for f in node.flights.values())

    def _of(self, node: NodeState, mirror: Mirror) -> Standing:
        return self._standings.setdefault((node.name, mirror), Standing())

    def _is_limited_alone(self, flight: Flight, others: Iterable[NodeState]) -> bool:
        """Whether the node's own address asks too much, and not all nodes together.

        That is so where others are served and it is not. Where that is not known yet, it is so
        as long as others are well, and it never was served or alone got such a status.
        """
        node, mirror = flight.node, flight.mirror
        standing = self._of(node, mirror)
        are_served = any(self._is_served(other, mirror, standing.since) for other in others)
        if are_served and not self._is_served(node, mirror, standing.since):
            return True
        said = [self._of(other, mirror).failure for other in others]
        is_only_one = not any(f and f.status in FROM_THE_ORIGIN for f in said)
        was_served = standing.served_at > -math.inf
        return None in said and (not was_served or (is_only_one and node.name != HERE))

    def _is_served(self, node: NodeState, mirror: Mirror, since: float) -> bool:
        """Whether the node got bytes from there since then."""
        if self._of(node, mirror).served_at > since:
            return True
        flights = (f for f in node.flights.values() if f.mirror is mirror)
        return any(f.got and f.moved_at > since for f in flights)

    def _is_confirmed(self, flight: Flight, failure: Failure, others: Iterable[NodeState]) -> bool:
        """Whether this machine, or a second node, has seen the same."""
        same = (failure.kind, failure.status)
        seen = (self._of(other, flight.mirror).failure for other in others)
        return flight.node.name == HERE or same in {(f.kind, f.status) for f in seen if f}
