"""How a file is divided: a plan, and the parts that are cut by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


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
    """How bytes ``[start, size)`` are divided: into ``count`` parts, as even as can be, or, where
    ``count`` is None, as it goes. One request is for up to ``largest`` bytes.

    Parts are computed, not stored: a plan of a 1 TiB file is as small as one of 1 MiB.
    """

    start: int
    size: int
    largest: int
    count: int | None = None
    note: str = ""

    @property
    def part_size(self) -> int:
        """Bytes in the largest part."""
        return -(-(self.size - self.start) // self.count) if self.count else self.largest

    def cut(self, number: int, start: int, wish: int) -> Part:
        """What to ask for from ``start`` on: about ``wish`` bytes, and no more than there are.

        Where the number of parts is fixed, these are a run of whole parts, or a piece of one that
        is much larger: how a file is divided costs nothing. ``number`` is used where it is not.
        Cut one after the other, all that is asked for covers every byte exactly once.
        """
        wish = max(1, min(wish, self.largest))
        if self.count is None:
            return Part(number, start, min(start + wish, self.size))
        first = self._part_at(start)
        end = self._begin_of(first + 1)
        if start + wish >= end:
            stop = self._begin_of(self._part_at(start + wish))
        else:  # what would be left over is taken along, if that is little
            stop = end if end - start <= min(1.5 * wish, self.largest) else start + wish
        return Part(first, start, stop)

    def _part_at(self, position: int) -> int:
        """The part that has this byte; one more than there are for the end."""
        assert self.count is not None
        number = min(position - self.start, self.size - self.start) * self.count
        number //= self.size - self.start
        # The beginnings are rounded down, so it may be the next one.
        return number + (number < self.count and self._begin_of(number + 1) <= position)

    def _begin_of(self, part: int) -> int:
        assert self.count is not None
        return self.start + (self.size - self.start) * part // self.count


class PartRef(NamedTuple):
    """The bytes ``[start, stop)`` as a Ray object: ``memoryview(ray.get(ref))`` has them."""

    ref: Any
    start: int
    stop: int
