"""The nodes' copies of a directory: who has one, and up to which file it is complete."""

from __future__ import annotations

import json
import math
import tempfile
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from raydl.output.shelf import Place
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import Answer

PAGE_FILES, PAGE_BYTES = 200, 16 << 20
"""What a node that is behind catches up with at once."""


class Row(NamedTuple):
    """A file that some node has: where it is, and what a node has to know to put it there."""

    place: Place
    size: int
    etag: str | None
    last_modified: str | None
    digest: str

    @property
    def copy(self) -> tuple[Any, ...]:
        """As ``Shelves.put`` takes it."""
        return tuple(self.place), self.size, self.etag, self.last_modified, self.digest


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
    kind: str = ""
    problem: str = ""
    hint: str = ""
    is_catching_up: bool = False
    is_linked: bool = False
    reopen_at: float = math.inf
    calls: dict[object, float] = field(default_factory=dict)
    """When each call began that its worker has not answered."""

    def came(self, start: int, stop: int) -> None:
        """It has what the roll has from ``start`` to ``stop``."""
        if self.at == start:
            self.at = stop

    def lose(self, reason: str, now: float) -> None:
        """Its worker is gone."""
        self.phase, self.problem, self.since = Phase.LOST, reason, now
        self.team, self.is_catching_up, self.reopen_at = None, False, math.inf
        self.calls.clear()


class Group:
    """Calls to several nodes for one thing; ``done`` gets the answer of each that gave one.

    Who is lost gives none, and who is late neither, once another has answered.
    """

    def __init__(
        self, copies: Iterable[Copy], due: float, done: Callable[[dict[Copy, Answer]], None]
    ) -> None:
        self.awaited = set(copies)
        self.due = due
        self._answers: dict[Copy, Answer] = {}
        self._done = done

    def answered(self, copy: Copy, answer: Answer) -> None:
        """One did."""
        if copy in self.awaited:
            self.awaited.remove(copy)
            self._answers[copy] = answer

    def end_if_over(self, now: float) -> bool:
        """Whether it is over; if so, tell."""
        if self.awaited and not (self._answers and now >= self.due):
            return False
        self._done(self._answers)
        return True
