"""A request in flight: how it comes on, and whether it is late. Pure state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from raydl.model.failure import Failure
from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.model.weburl import host_of
from raydl.scheduler.lanes import Lanes
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.nodestate import SPEED_SECONDS, NodeState

if TYPE_CHECKING:
    from raydl.scheduler.job import Job

CUT_SHORT = Failure("cancelled", "called off, as it would have been better not to ask")
"""Why a request is given up that was one too many, or for too much: what came of it is kept."""

CRAWL_SECONDS = 5.0
"""A connection is slow when it was so for this long."""

STUCK_SECONDS = 0.5
"""Shortest pause between two bytes that counts as one."""

LOOK_SECONDS = 0.1
"""Shortest time between two looks at a request of which nothing is heard."""


@dataclass(eq=False)
class Flight:
    """A request in flight. ``moot`` means that its bytes are no longer wanted, ``replaced`` that
    they were asked for once more, because it is late or its node silent, and ``given_up`` says
    why it was cut off. ``source`` is where ``mirror`` had the file when it was asked."""

    ticket: int
    job: Job
    part: Part
    lanes: Lanes
    mirror: Mirror
    began: float
    got: int = 0
    seen_at: float = 0.0
    moved_at: float = 0.0
    moot: bool = False
    replaced: bool = False
    given_up: Failure | None = None
    _mark: tuple[float, int] | None = None
    _first: tuple[float, int] | None = None

    def __post_init__(self) -> None:
        self.source = self.mirror.source

    @property
    def order(self) -> Source:
        """The source, with what the part's pieces are held against."""
        pieces = self.job.pieces
        if pieces is None:
            return self.source
        return replace(self.source, pieces=pieces.part(self.part.start, self.part.stop))

    @property
    def origin(self) -> str:
        """The host that was asked."""
        return host_of(self.source.url)

    @property
    def node(self) -> NodeState:
        """The node that fetches it."""
        return self.lanes.node

    def give_up(self, why: Failure) -> None:
        """Cut it off; what has come counts."""
        self.given_up = why
        self.node.team.cancel(self.ticket)

    def crawls(self, lowest: float) -> bool:
        """Whether it was slower than ``lowest`` bytes a second since it was last asked for it."""
        since, got = self._mark or (self.began, 0)
        if self.seen_at - since < CRAWL_SECONDS:
            return False
        self._mark = (self.seen_at, self.got)
        return self.got - got < lowest * (self.seen_at - since)

    def stood_still(self, seconds: float) -> None:
        """Exclude ``seconds`` in which this process was suspended."""
        self.began += seconds
        self.seen_at += seconds if self.seen_at else 0.0
        self.moved_at += seconds if self.moved_at else 0.0
        self._mark = self._mark and (self._mark[0] + seconds, self._mark[1])
        self._first = self._first and (self._first[0] + seconds, self._first[1])

    def seen(self, got: int, at: float) -> None:
        """Update the byte count as reported at time ``at``."""
        if got > self.got or not self.moved_at:
            self.moved_at = at
        if got and self._first is None:
            self._first = (at, got)
        self.got, self.seen_at = got, at

    def seconds_left(self, now: float) -> float:
        """How long it will still take, by what it has done so far."""
        size, age, usual = self.part.size, now - self.began, self.lanes.speed
        # Not from its beginning: the wait for an answer says nothing about what follows.
        since, before = self._first or (self.seen_at, self.got)
        if self.got > before and self.seen_at - since >= SPEED_SECONDS:
            speed = (self.got - before) / (self.seen_at - since)
            left = (size - self.got) / speed - (now - self.seen_at)
        elif usual:
            left = (size - self.got) / usual - (now - (self.seen_at or self.began))
        else:
            left = 0.0
        # What is stuck, or overdue, will be so for about as long again.
        stuck = now - max(self.moved_at, self.began)
        overdue = age - size / usual if usual else 0.0
        return max(left, stuck if stuck > STUCK_SECONDS else 0.0, 0.0 if self.got else overdue)

    def is_late(self, now: float, speed: float, spare: float = 0.0) -> bool:
        """Whether a lane of ``speed`` bytes a second would have its bytes well before it.

        ``spare`` is how many seconds the download can do without them.
        """
        if not speed:
            return False
        return self.seconds_left(now) > max(_again(self.part.size, speed), spare)

    def next_look(self, now: float, speed: float) -> float:
        """When it may be late if nothing more is heard of it; ``speed`` is that of a lane that
        could overtake it."""
        again = _again(self.part.size, speed) if speed else 0.0
        at = max(self.moved_at, self.began) + max(STUCK_SECONDS, again)
        if not self.got and self.lanes.speed:
            at = min(at, self.began + self.part.size / self.lanes.speed + again)
        return max(at, now + LOOK_SECONDS)


def _again(size: int, speed: float) -> float:
    """Seconds that a lane needs for that many bytes, with a margin."""
    again = size / speed
    return max(1.5 * again, again + 0.2)
