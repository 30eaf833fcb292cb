"""The moving window: which bytes are asked for, which wait for their turn. Pure state.

Bytes are given out in order, at most ``limit`` beyond what is written. A part that comes back
short splits: the prefix it brought is kept, the rest is a task of its own. There is no clock,
no thread and no network in here, so every order of events can be tested.
"""

from __future__ import annotations

import heapq
from typing import Generic, NamedTuple, TypeVar

from raydl.model.parts import Part, Plan

T = TypeVar("T")


class Task(NamedTuple):
    """Bytes to fetch."""

    part: Part


class Window(Generic[T]):
    """Order and bound for what is fetched; ``T`` is whatever stands for the bytes.

    Three offsets move from the plan's start to its end: ``written`` (in the output) never
    passes ``head`` (handed to the output), which never passes ``given`` (asked for).
    """

    def __init__(self, plan: Plan, limit: int) -> None:
        self.plan = plan
        self.limit = limit
        self.written = plan.start
        self.given = plan.start
        self.head = plan.start
        self.cuts = 0
        self._waiting: list[tuple[float, int, Task]] = []
        self._ready: dict[int, tuple[Part, T]] = {}

    @property
    def done(self) -> bool:
        """Whether every byte is written."""
        return self.written == self.plan.size

    @property
    def left(self) -> int:
        """Bytes that were never given out."""
        return self.plan.size - self.given

    def take(self, now: float, wish: int) -> Task | None:
        """The next bytes to fetch: a retry that is due, else a part of about ``wish`` bytes.

        Retries go first, for they are nearer to the head. A part larger than the whole window
        is given out when nothing else is.
        """
        if self._waiting and self._waiting[0][0] <= now:
            due = [entry for entry in self._waiting if entry[0] <= now]
            entry = min(due, key=lambda e: e[1])
            self._waiting.remove(entry)
            heapq.heapify(self._waiting)
            return entry[2]
        if self.left:
            part = self.plan.cut(self.cuts, self.given, wish)
            if self._fits(part.size):
                self.cuts += 1
                self.given = part.stop
                return Task(part)
        return None

    def _fits(self, size: int) -> bool:
        return self.given + size - self.written <= self.limit or self.given == self.written

    def put_back(self, task: Task, not_before: float = 0.0) -> None:
        """These bytes have to be fetched (again), from ``not_before`` on."""
        heapq.heappush(self._waiting, (not_before, task.part.start, task))

    def withdraw(self, start: int) -> None:
        """The bytes at ``start`` need not be fetched again: they came after all."""
        kept = [entry for entry in self._waiting if entry[1] != start]
        if len(kept) < len(self._waiting):
            self._waiting = kept
            heapq.heapify(self._waiting)

    def is_waiting(self, start: int) -> bool:
        """Whether the bytes at ``start`` are to be fetched again."""
        return any(entry[1] == start for entry in self._waiting)

    def next_due(self) -> float | None:
        """When the first retry is due, or None."""
        return self._waiting[0][0] if self._waiting else None

    def arrived(self, part: Part, got: int, payload: T) -> Part | None:
        """The first ``got`` bytes of ``part`` are here; returns what is left of it."""
        if got:
            self._ready[part.start] = (Part(part.number, part.start, part.start + got), payload)
        return Part(part.number, part.start + got, part.stop) if got < part.size else None

    def lost(self, part: Part) -> None:
        """What had arrived for ``part`` is gone before its turn came."""
        del self._ready[part.start]

    def peek(self) -> T | None:
        """What stands for the bytes whose turn it is, if they arrived."""
        entry = self._ready.get(self.head)
        return entry[1] if entry else None

    def pop(self) -> tuple[Part, T]:
        """Take the bytes whose turn it is out; KeyError if they did not arrive."""
        entry = self._ready.pop(self.head)
        self.head = entry[0].stop
        return entry

    def wrote(self, count: int) -> None:
        """The output took the next ``count`` bytes; the window moves on."""
        self.written += count
