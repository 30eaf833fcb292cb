"""How a file is divided: a plan, and the parts that are cut by it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from raydl.model.coverage import Coverage


class Part(NamedTuple):
    """The bytes ``[start, stop)`` of the file; ``number`` counts the plan's parts from 0."""

    number: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Bytes in this part."""
        return self.stop - self.start


@dataclass(frozen=True)
class Plan:
    """How what is not ``kept`` of ``size`` bytes is divided: into ``count`` parts, as even as can
    be, or, where ``count`` is None, as it goes. One request is for up to ``largest`` bytes.

    Parts are computed, not stored: a plan of a 1 TiB file is as small as one of 1 MiB. With a
    ``grid``, no request is for bytes on both sides of a multiple of it. With a ``unit``, which ends
    where gaps do, each is for whole multiples of that, and ``count`` is None.
    """

    kept: Coverage
    size: int
    largest: int
    count: int | None = None
    note: str = ""
    grid: int = 0
    unit: int = 1

    @cached_property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """The intervals ``[start, stop)`` that are to be fetched."""
        return tuple(self.kept.missing(self.size))

    @cached_property
    def span(self) -> int:
        """How many bytes are to be fetched."""
        return sum(stop - start for start, stop in self.gaps)

    @property
    def start(self) -> int:
        """The first byte to fetch; the file's size where there is none."""
        return self.gaps[0][0] if self.gaps else self.size

    @property
    def part_size(self) -> int:
        """Bytes in the largest part."""
        return -(-self.span // self.count) if self.count else self.largest

    def after(self, position: int) -> int:
        """The first byte to fetch from ``position`` on; the file's size where there is none."""
        start, stop = self._gap(position)
        return self.size if position >= stop else max(start, position)

    def cut(self, number: int, start: int, wish: int) -> Part:
        """What to ask for from ``start`` on: about ``wish`` bytes, and no more than are missing.

        Where the number of parts is fixed, these are a run of whole parts, or a piece of one that
        is much larger: how a file is divided costs nothing. ``number`` is used where it is not.
        Cut one after the other, all that is asked for covers every missing byte exactly once.
        """
        wish = max(1, min(wish, self.largest))
        gap, end = self._gap(start)
        if self.grid:
            end = min(end, start - start % self.grid + self.grid)
        if self.count is None:
            wish = max(wish - wish % self.unit, self.unit)
            return Part(number, start, min(start + wish, end))
        # From here to the end of the gap, positions and ranks go in step.
        before = self._rank(gap) - gap
        first = self._part_at(start + before)
        stop = self._begin_of(first + 1) - before
        if start + wish >= stop:
            stop = self._begin_of(self._part_at(start + wish + before)) - before
        elif stop - start > min(1.5 * wish, self.largest):
            # What would be left over is taken along, if that is little.
            stop = start + wish
        return Part(first, start, min(stop, end))

    def _gap(self, position: int) -> tuple[int, int]:
        """The gap that has this byte, else the next one; that at the end where there is none."""
        index = bisect_right(self.gaps, position, key=lambda gap: gap[1])
        return self.gaps[index] if index < len(self.gaps) else (self.size, self.size)

    def _rank(self, position: int) -> int:
        """How many bytes of gaps are before this one."""
        return sum(min(stop, position) - start for start, stop in self.gaps if start < position)

    def _part_at(self, rank: int) -> int:
        """The part that has the missing byte of this rank; one more than there are for the end."""
        assert self.count is not None
        number = min(rank, self.span) * self.count // self.span
        # The beginnings are rounded down, so it may be the next one.
        return number + (number < self.count and self._begin_of(number + 1) <= rank)

    def _begin_of(self, part: int) -> int:
        assert self.count is not None
        return self.span * part // self.count


class Piece(NamedTuple):
    """Bytes of a file in a Ray object: ``memoryview(ray.get(ref))[start:stop]``."""

    ref: Any
    start: int
    stop: int


class PartRef(NamedTuple):
    """The bytes ``[start, stop)`` as a Ray object: ``memoryview(ray.get(ref))`` has them."""

    ref: Any
    start: int
    stop: int
