"""Which bytes of a file are where they belong: a set of intervals."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Coverage:
    """Disjoint intervals ``[start, stop)`` in order; what touches is one interval.

    ``size`` is how many bytes they have. Its text, ``0-4096,8192-9000``, is what journals hold.
    """

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self.size = 0
        for start, stop in intervals:
            self.add(start, stop)

    @classmethod
    def parse(cls, text: str) -> Coverage:
        """The coverage with this text. Raises ValueError for what ``str`` does not give."""
        pairs = [interval.split("-") for interval in text.split(",") if text]
        coverage = cls((int(start), int(stop)) for start, stop in pairs)
        if str(coverage) != text:
            raise ValueError(f"no coverage: {text[:80]!r}")
        return coverage

    def add(self, start: int, stop: int) -> None:
        """The bytes ``[start, stop)`` are there as well."""
        if start >= stop:
            return
        first, last = bisect_left(self._stops, start), bisect_right(self._starts, stop)
        if first < last:
            start, stop = min(start, self._starts[first]), max(stop, self._stops[last - 1])
        there = zip(self._starts[first:last], self._stops[first:last], strict=True)
        self.size += stop - start - sum(b - a for a, b in there)
        self._starts[first:last], self._stops[first:last] = [start], [stop]

    def without(self, start: int, stop: int) -> Coverage:
        """The same, but for the bytes ``[start, stop)``."""
        cut = (((a, min(b, start)), (max(a, stop), b)) for a, b in self)
        return Coverage(piece for pieces in cut for piece in pieces)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._stops, strict=True)

    def __len__(self) -> int:
        return len(self._starts)

    def has(self, position: int) -> bool:
        """Whether the byte at that position is there."""
        return self.covers(position, position + 1)

    def covers(self, start: int, stop: int) -> bool:
        """Whether all of ``[start, stop)`` is there."""
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and stop <= self._stops[index]

    def next_from(self, position: int) -> tuple[int, int]:
        """The first interval that ends behind ``position``, from there on; empty without one."""
        index = bisect_right(self._stops, position)
        if index == len(self._stops):
            return position, position
        return max(position, self._starts[index]), self._stops[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Coverage) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return ",".join(f"{start}-{stop}" for start, stop in self)

    def __repr__(self) -> str:
        return f"Coverage({list(self)})"

    @property
    def prefix(self) -> int:
        """How many bytes there are from the file's first one on, without a gap."""
        return self._stops[0] if self._starts and self._starts[0] == 0 else 0

    def missing(self, size: int) -> Coverage:
        """What is not there of a file of ``size`` bytes."""
        edges = [0, *(edge for interval in self for edge in interval), size]
        return Coverage(zip(edges[::2], edges[1::2], strict=True))
