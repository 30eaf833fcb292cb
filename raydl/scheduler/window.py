"""The moving window: which bytes are asked for, which wait for their turn. Pure state.

Bytes are given out in order, at most ``limit`` beyond those that are where they belong. A part
that comes back short splits: the prefix it brought is kept, the rest is asked for on its own. There
is no clock, no thread and no network in here, so every order of events can be tested.
"""

from __future__ import annotations

import heapq
import math
from typing import Generic, TypeVar

from raydl.model.coverage import Coverage
from raydl.model.parts import Part, Plan

T = TypeVar("T")


class Window(Generic[T]):
    """Order and bound for what is fetched; ``T`` is whatever stands for the bytes.

    Of the missing bytes, ``given`` were asked for, ``handed`` of them went to the destination, and
    are where they belong as soon as ``covered`` has them. What arrived goes to the destination
    in the file's order, or, without ``in_order``, as it comes. ``head`` is the next byte to hand
    out in order.

    With the plan's ``grid``, what lies between two multiples of it is acknowledged together. So all
    of that may be asked for, however small the limit, and memory is never refused to the first of
    these that is not complete: what nobody can acknowledge yet would else wait for ever.
    """

    def __init__(self, plan: Plan, limit: int, *, in_order: bool = True) -> None:
        self.plan = plan
        self.limit = limit
        self.covered = Coverage(plan.kept)
        self.given = self.handed = 0
        self.cuts = 0
        self._kept = plan.size - plan.span
        self._in_order = in_order
        self._next = self._edge = self.head = plan.start
        self._waiting: dict[int, tuple[float, Part]] = {}
        self._later: list[tuple[float, int]] = []
        self._due: list[int] = []
        self._ready: dict[int, tuple[Part, T]] = {}

    @property
    def done(self) -> bool:
        """Whether every byte is where it belongs."""
        return self.covered.size == self.plan.size

    @property
    def left(self) -> int:
        """Bytes that were never given out."""
        return self.plan.span - self.given

    @property
    def written(self) -> int:
        """Bytes of the file that are where they belong."""
        return self.covered.size

    @property
    def pending(self) -> int:
        """Bytes that were given out and are not where they belong yet."""
        return self._kept + self.given - self.covered.size

    @property
    def unwritten(self) -> int:
        """Bytes that the destination was handed and has not acknowledged."""
        return self._kept + self.handed - self.covered.size

    def is_urgent(self, part: Part) -> bool:
        """Whether nothing can go on without this part: it must never wait for memory."""
        if self._in_order:
            return part.start == self._edge
        grid = self.plan.grid
        return self.pending <= part.size or (
            grid > 0 and part.start // grid == self.covered.prefix // grid
        )

    def take(self, now: float, wish: int) -> Part | None:
        """The next bytes to fetch: a retry that is due, else a part of about ``wish`` bytes.

        Retries go first, for they are nearer to the head. A part larger than the whole window
        is given out when nothing else is.
        """
        while self._later and self._later[0][0] <= now:
            heapq.heappush(self._due, heapq.heappop(self._later)[1])
        while self._due:
            start = heapq.heappop(self._due)
            # It may have been withdrawn, and put back for later.
            if self._waiting.get(start, (math.inf,))[0] <= now:
                return self._waiting.pop(start)[1]
        if self.left:
            part = self.plan.cut(self.cuts, self._next, wish)
            if not self.pending or self.pending + part.size <= max(self.limit, self.plan.grid):
                self.cuts += 1
                self.given += part.size
                self._next = self.plan.after(part.stop)
                return part
        return None

    def put_back(self, part: Part, not_before: float = 0.0) -> None:
        """These bytes have to be fetched (again), from ``not_before`` on."""
        self._waiting[part.start] = (not_before, part)
        heapq.heappush(self._later, (not_before, part.start))

    def hurry(self, now: float) -> None:
        """What waits to be fetched again waits no longer."""
        for at, part in list(self._waiting.values()):
            if at > now:
                self.put_back(part, now)

    def withdraw(self, start: int) -> None:
        """The bytes at ``start`` need not be fetched again: they came after all."""
        self._waiting.pop(start, None)

    def is_waiting(self, start: int) -> bool:
        """Whether the bytes at ``start`` are to be fetched again."""
        return start in self._waiting

    def next_due(self) -> float | None:
        """When the first retry is due, or None."""
        while self._later and self._later[0][1] not in self._waiting:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def arrived(self, part: Part, got: int, payload: T) -> Part | None:
        """The first ``got`` bytes of ``part`` are here; returns what is left of it."""
        if got:
            self._ready[part.start] = (Part(part.number, part.start, part.start + got), payload)
        return Part(part.number, part.start + got, part.stop) if got < part.size else None

    def lost(self, part: Part) -> None:
        """What had arrived for ``part`` is gone before its turn came."""
        del self._ready[part.start]

    def peek(self) -> tuple[Part, T] | None:
        """What is next for the destination, if it arrived."""
        start = self.head if self._in_order else next(iter(self._ready), self.head)
        return self._ready.get(start)

    def pop(self, start: int) -> tuple[Part, T]:
        """Hand these bytes out; KeyError if they did not arrive."""
        part, payload = self._ready.pop(start)
        self.handed += part.size
        self.head = self.plan.after(part.stop)
        return part, payload

    def wrote(self, part: Part) -> None:
        """The destination has these bytes where they belong; the window moves on."""
        self.covered.add(part.start, part.stop)
        self._edge = self.plan.after(max(self._edge, part.stop))

    def failed(self, part: Part) -> None:
        """The destination was handed these bytes, and lost them."""
        self.handed -= part.size

    def drop(self) -> list[tuple[Part, T]]:
        """Take out what arrived and was not handed out."""
        dropped = list(self._ready.values())
        self._ready.clear()
        return dropped
