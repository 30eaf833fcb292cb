"""A node that is behind takes what it lacks from the disks of the others, a page at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from raydl.landing.account import AGAIN
from raydl.landing.desk import Desk
from raydl.many.copies import Copy, Phase, Roll, Row
from raydl.output.shelf import HAS, Found
from raydl.workers.nodefiles import LOST, Answer
from raydl.workers.protocol import Payload


class Ask(Protocol):
    """Has the worker of a copy do something; ``then`` gets the answer, unless it is lost before."""

    def __call__(self, copy: Copy, then: Callable[[Answer], None], method: str, *args: Any) -> None:
        """Ask it."""


class CatchUp:
    """One page of the ``roll`` for one ``copy``. ``ready`` are the copies that there are now.

    What it cannot have is its ``problem`` from then on, and it goes on with the rest.
    """

    def __init__(
        self,
        desk: Desk,
        key: str,
        copy: Copy,
        roll: Roll,
        ready: Callable[[], list[Copy]],
        ask: Ask,
    ) -> None:
        self._desk, self._key, self._copy, self._team = desk, key, copy, copy.team
        self._ready, self._ask = ready, ask
        self._start = copy.at
        self._rows, self._end = roll.page(copy.at)

    def begin(self) -> None:
        """Ask it what it lacks."""
        self._copy.is_catching_up = True
        places = [tuple(row.place) for row in self._rows]
        self._ask(self._copy, self._looked, "look", self._key, places)

    def _looked(self, answer: Answer) -> None:
        problem, found = answer
        if problem is not None:
            self._stop(problem)
            return
        each = zip(self._rows, found, strict=True)
        lacking = [row for row, there in each if Found(*there).state != HAS]
        sources = [copy for copy in self._ready() if copy is not self._copy]
        # Who is behind, too, may have them; who is not has them. The least busy goes first.
        sources.sort(key=lambda copy: (copy.at < self._end, len(copy.calls)))
        self._take(lacking, sources)

    def _take(self, rows: list[Row], sources: list[Copy]) -> None:
        """Take what these have of ``rows``, one source after the other."""
        sources = [copy for copy in sources if copy.phase is Phase.READY]
        if not rows or not sources:
            if rows:
                self._refused(f"no other node has {rows[0].place.path}: {AGAIN}")
            self._copy.is_catching_up = False
            self._copy.came(self._start, self._end)
            return
        source, call = sources[0], object()
        assert source.team is not None

        def read(answer: Answer, payload: Payload | None) -> None:
            self._desk.post(lambda: came(answer, payload))

        def came(answer: Answer, payload: Payload | None) -> None:
            source.calls.pop(call, None)
            problem, sizes = answer
            if self._copy.team is self._team and self._copy.phase is Phase.READY:
                sizes = [-1] * len(rows) if problem is not None else sizes
                self._put(rows, sizes, payload, sources[1:])
            elif payload is not None:
                payload.release()

        source.calls[call] = self._desk.clock()
        source.team.read_shelf(self._key, [tuple(row.place) for row in rows], read)

    def _put(
        self, rows: list[Row], sizes: list[int], payload: Payload | None, sources: list[Copy]
    ) -> None:
        each = list(zip(rows, sizes, strict=True))
        found = [row._replace(size=size) for row, size in each if size >= 0]
        missing = [row for row, size in each if size < 0]
        ref = [payload.ref] if payload is not None and any(row.size for row in found) else []
        put = partial(self._was_put, payload, missing, sources)
        self._ask(self._copy, put, "put", self._key, [r.copy for r in found], False, True, ref)

    def _was_put(
        self, payload: Payload | None, rows: list[Row], sources: list[Copy], answer: Answer
    ) -> None:
        if payload is not None:
            payload.release()
        problem, refusals = answer
        if problem is not None:
            self._stop(problem)
            return
        for refusal in filter(None, refusals):
            self._refused(refusal[1])
        self._take(rows, sources)

    def _refused(self, why: str) -> None:
        self._copy.problem = self._copy.problem or why

    def _stop(self, problem: tuple[str, str, str]) -> None:
        """It begins anew with what was lost; nothing else will be otherwise then."""
        self._copy.is_catching_up = False
        if problem[0] != LOST:
            self._refused(problem[1])
            self._copy.came(self._start, self._end)
