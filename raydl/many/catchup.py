"""A node that is behind takes what it lacks from the disks of the others, a page at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from raydl.landing.account import AGAIN
from raydl.many.copies import Copy, Row
from raydl.model.errors import ChecksumError
from raydl.output.shelf import Found
from raydl.workers.nodefiles import LOST, Answer
from raydl.workers.protocol import Payload

MOST_STALLS = 3

WAIT_SECONDS = 1.0
"""Until it tries again, where others may come that have it, or bytes were lost."""

CUT_OFF = "bytes of other nodes do not reach it"


class Nodes(Protocol):
    """What there is to ask."""

    def ask(self, copy: Copy, then: Callable[[Answer], None], method: str, *args: Any) -> None:
        """Have its worker do something; ``then`` gets the answer, unless it is lost before."""

    def read(
        self,
        copy: Copy,
        rows: list[Row],
        then: Callable[[list[int] | None, Payload | None], None],
    ) -> None:
        """Have it read files: ``then`` gets their sizes and bytes, None where that is late."""

    def sources(self, but: Copy, end: int) -> list[Copy]:
        """Who may have what the roll has up to there, the best first."""

    def may_come(self, but: Copy) -> bool:
        """Whether another one may yet be there."""

    def give_up(self, copy: Copy, why: str) -> None:
        """It gets nothing more."""

    def now(self) -> float:
        """The time."""


class CatchUp:
    """One page of the roll, ``rows`` up to ``end``, for one ``copy``.

    What it cannot have is its ``problem`` from then on, and it goes on with the rest.
    """

    def __init__(self, nodes: Nodes, copy: Copy, rows: list[Row], end: int) -> None:
        self._nodes, self._copy, self._team = nodes, copy, copy.team
        self._start, self._rows, self._end = copy.at, rows, end
        self._took = self._lost = False

    def begin(self) -> None:
        """Ask it what it lacks."""
        self._copy.is_catching_up = True
        places = [tuple(row.place) for row in self._rows]
        self._nodes.ask(self._copy, self._looked, "look", places)

    def _looked(self, answer: Answer) -> None:
        problem, found = answer
        if problem is not None:
            self._stop(problem)
            return
        each = zip(self._rows, found, strict=True)
        lacking = [row for row, there in each if not row.copy.is_at(Found(*there))]
        sources = self._nodes.sources(self._copy, self._end)
        if not all(row.copy.is_known for row in lacking):
            # Whether one that is behind has this version, or an older one, nobody can tell.
            sources = [copy for copy in sources if copy.at >= self._end]
        self._take(lacking, sources)

    def _take(self, rows: list[Row], sources: list[Copy]) -> None:
        """Take what these have of ``rows``, one source after the other."""
        sources = [copy for copy in sources if copy.is_ready]
        if rows and sources:
            read = partial(self._read, rows, sources[1:])
            self._nodes.read(sources[0], rows, read)
        elif rows and (self._lost or self._nodes.may_come(self._copy)):
            self._wait()
        else:
            if rows:
                self._refused(f"no other node has {rows[0].place.path}: {AGAIN}")
            self._copy.is_catching_up, self._copy.stalls = False, 0
            self._copy.came(self._start, self._end)

    def _read(
        self, rows: list[Row], others: list[Copy], sizes: list[int] | None, payload: Payload | None
    ) -> None:
        if self._copy.team is not self._team or not self._copy.is_ready:
            if payload is not None:
                payload.release()
            return
        self._lost = self._lost or sizes is None
        each = list(zip(rows, sizes or [-1] * len(rows), strict=True))
        found = [row for row, size in each if size >= 0]
        missing = [row for row, size in each if size < 0]
        ref = [payload.ref] if payload is not None and any(row.size for row in found) else []
        put = partial(self._was_put, payload, found, missing, others)
        self._nodes.ask(self._copy, put, "put", [row.copy for row in found], True, ref)

    def _was_put(
        self,
        payload: Payload | None,
        found: list[Row],
        missing: list[Row],
        others: list[Copy],
        answer: Answer,
    ) -> None:
        if payload is not None:
            payload.release()
        problem, refusals = answer
        if problem is not None and problem[0] != LOST:
            self._stop(problem)
            return
        if problem is not None:
            self._lost = True
            self._take([*found, *missing], others)
            return
        self._took = self._took or bool(found)
        for row, refusal in zip(found, refusals, strict=True):
            if refusal is not None and refusal[0] == ChecksumError.__name__:
                missing.append(row)  # another one may have it right
            elif refusal is not None:
                self._refused(refusal[1])
        self._take(missing, others)

    def _refused(self, why: str) -> None:
        self._copy.problem = self._copy.problem or why

    def _wait(self) -> None:
        """Begin the page anew, later; not for ever where nothing comes."""
        copy = self._copy
        copy.is_catching_up, copy.catch_up_at = False, self._nodes.now() + WAIT_SECONDS
        if self._lost:
            copy.stalls = 0 if self._took else copy.stalls + 1
            if copy.stalls >= MOST_STALLS:
                self._nodes.give_up(copy, CUT_OFF)

    def _stop(self, problem: tuple[str, str, str]) -> None:
        """Its worker has another directory by now, or cannot work with it."""
        if problem[0] == LOST:
            self._lost = True
            self._wait()
        else:
            self._nodes.give_up(self._copy, problem[1])
