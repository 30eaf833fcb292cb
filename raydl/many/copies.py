"""The nodes' copies of a directory: who has one, and up to which file it is complete."""

from __future__ import annotations

import json
import math
import tempfile
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from raydl.output.shelf import Place
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import Answer
from raydl.workers.shelves import Copy as Shelved

PAGE_FILES, PAGE_BYTES = 200, 16 << 20
"""What a node that is behind catches up with at once."""


class Row(NamedTuple):
    """A file that some node has: where it is, and what a node has to know to put it there."""

    place: Place
    size: int
    etag: str | None
    last_modified: str | None
    digest: str
    is_new: bool

    @property
    def copy(self) -> Shelved:
        """As nodes take it."""
        return Shelved(tuple(self.place), *self[1:])


class Roll:
    """All files that some node has, in the order in which that was known; kept on the disk."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - for as long as this is there
        weakref.finalize(self, self._file.close)
        self.end = 0

    def add(self, row: Row) -> None:
        """Some node has it."""
        key, *place = row.place
        line = json.dumps([key.hex(), place, *row[1:]]).encode() + b"\n"
        self._file.seek(self.end)
        self._file.write(line)
        self.end += len(line)

    def page(self, at: int) -> tuple[list[Row], int]:
        """Some rows from there on, and where the next ones begin."""
        rows: list[Row] = []
        size = 0
        self._file.seek(at)
        while at < self.end and len(rows) < PAGE_FILES and size < PAGE_BYTES:
            line = self._file.readline()
            key, place, *rest = json.loads(line)
            rows.append(Row(Place(bytes.fromhex(key), *place), *rest))
            size += rows[-1].size
            at += len(line)
        return rows, at


class Phase(Enum):
    """How a copy is doing."""

    OPENING = "opening"
    READY = "ready"
    LOST = "lost"
    FAILED = "failed"


@dataclass(eq=False)
class Copy:
    """A node's directory. What is in the roll before ``at`` is known to be there."""

    node: str
    since: float
    phase: Phase = Phase.OPENING
    team: ActorTeam | None = None
    at: int = 0
    problem: str = ""
    is_catching_up: bool = False
    stalls: int = 0
    """How often in turn it could take nothing of a page."""
    catch_up_at: float = 0.0
    is_linked: bool = False
    reopen_at: float = math.inf
    losses: int = 0
    calls: dict[object, float] = field(default_factory=dict)
    """When each call began that its worker has not answered."""
    answered_at: float = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether it takes files."""
        return self.phase is Phase.READY

    def came(self, start: int, stop: int) -> None:
        """It has what the roll has from ``start`` to ``stop``."""
        if self.at == start:
            self.at = stop

    def lose(self, reason: str, now: float) -> None:
        """Its worker is gone."""
        if self.is_ready or not self.losses:
            self.since = now
        self.phase, self.problem = Phase.LOST, reason
        self.losses += 1
        self.forget_worker()

    def begin(self, team: ActorTeam, now: float) -> None:
        """It has this worker, of which nothing is known yet."""
        if self.phase is not Phase.OPENING:
            self.since = now
        self.forget_worker()
        self.phase, self.team, self.at, self.is_linked = Phase.OPENING, team, 0, False
        self.answered_at = now

    def forget_worker(self) -> None:
        """What was under way there means nothing any more."""
        self.team, self.is_catching_up, self.reopen_at = None, False, math.inf
        self.calls.clear()

    def oldest(self, now: float) -> float:
        """Seconds that it has not answered its oldest call."""
        return now - min(self.calls.values(), default=now)

    def silent(self, now: float) -> float:
        """Seconds that it has answered none of its calls."""
        return min(self.oldest(now), now - self.answered_at)


class Group:
    """Calls to several nodes for one thing; ``done`` gets the answer of each that gave one.

    Who is lost gives none, and who is late neither, once another has answered, or where none
    ``must`` answer.
    """

    def __init__(
        self,
        copies: Iterable[Copy],
        due: float,
        done: Callable[[dict[Copy, Answer]], None],
        must: bool = True,
    ) -> None:
        self.awaited = set(copies)
        self._due, self._must = due, must
        self._answers: dict[Copy, Answer] = {}
        self._done = done

    def answered(self, copy: Copy, answer: Answer) -> None:
        """One did."""
        if copy in self.awaited:
            self.awaited.remove(copy)
            self._answers[copy] = answer

    def end_if_over(self, now: float) -> bool:
        """Whether it is over; if so, tell."""
        is_late = now >= self._due and (self._answers or not self._must)
        if self.awaited and not is_late:
            return False
        self._done(self._answers)
        return True
