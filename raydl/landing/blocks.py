"""How a file is divided for a bucket: into blocks, each of which is one part of the upload.

S3 calls them parts, which is what the scheduler's requests are called here. Pure state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from raydl.model.errors import UsageError
from raydl.model.parts import Part
from raydl.model.units import format_size
from raydl.workers.protocol import Payload

MOST_BLOCKS = 10_000
SMALLEST = 5 << 20
LARGEST = 5 << 30
LARGEST_FILE = 5 << 40
"""The limits of S3, which others have as well."""

USUAL = 8 << 20
"""Bytes of a block: as many as a request of a fast lane is for, so that most come from one node."""


def grid_for(size: int, memory: int) -> int:
    """Bytes of a block of a file of ``size``, of which two must be in ``memory``.

    Raises UsageError where the file is too large for that, or for any bucket.
    """
    if size > LARGEST_FILE:
        raise UsageError(
            f"an object has {format_size(LARGEST_FILE)} at most, and the file {format_size(size)}"
        )
    grid = USUAL
    while grid * MOST_BLOCKS < size:
        grid *= 2
    if memory < 2 * grid:
        raise UsageError(
            f"a file of {format_size(size)} is sent in parts of {format_size(grid)}, of which two "
            f"must be in memory, and --max-memory is {format_size(memory)}",
            f"give --max-memory {format_size(2 * grid).replace(' ', '')}",
        )
    return grid


class Held(NamedTuple):
    """Bytes that were fetched and wait to be sent; ``done`` is the scheduler's."""

    part: Part
    payload: Payload
    node: str
    done: Callable[[str], None]


@dataclass(eq=False)
class Block:
    """The bytes ``[start, stop)``: ``held`` of them, by their first byte.

    ``is_sent`` and ``is_hashed`` are what was done with them. ``is_doubled``: two PUTs of it were
    under way, as the first was late.
    """

    number: int
    start: int
    stop: int
    held: dict[int, Held] = field(default_factory=dict)
    tries: int = 0
    is_queued: bool = False
    is_sent: bool = False
    is_hashed: bool = False
    is_doubled: bool = False
    failed_at: set[str] = field(default_factory=set)
    """The nodes whose PUT of it went wrong."""

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self.stop - self.start

    @property
    def is_whole(self) -> bool:
        """Whether all of it is held."""
        parts = [held.part for held in self.pieces()]
        edges = [self.start, *(part.stop for part in parts)]
        return edges[-1] == self.stop and [part.start for part in parts] == edges[:-1]

    def pieces(self) -> list[Held]:
        """What is held, in the file's order."""
        return [self.held[start] for start in sorted(self.held)]

    def by_node(self) -> Counter[str]:
        """How much of it each node fetched."""
        count: Counter[str] = Counter()
        for held in self.held.values():
            count[held.node] += held.part.size
        return count

    def lose(self, lost: Iterable[Held], reason: str) -> None:
        """These cannot be had any more: they are fetched again, if they were not lost before."""
        for held in lost:
            if self.held.get(held.part.start) is held:
                del self.held[held.part.start]
                held.done(reason)

    def release(self) -> None:
        """Nothing of it is needed any more: it is where it belongs."""
        for held in self.pieces():
            held.done("")
        self.held.clear()


class Blocks:
    """Those of a file that something is held of."""

    def __init__(self, size: int, grid: int) -> None:
        self.size, self.grid = size, grid
        self._open: dict[int, Block] = {}

    @property
    def count(self) -> int:
        """How many the file has."""
        return -(-self.size // self.grid)

    def span(self, number: int) -> tuple[int, int]:
        """The bytes of a block; they count from 0."""
        return number * self.grid, min((number + 1) * self.grid, self.size)

    def add(self, held: Held) -> Block:
        """The block that this is of."""
        number = held.part.start // self.grid
        block = self._open.get(number)
        if block is None:
            block = self._open[number] = Block(number, *self.span(number))
        block.held[held.part.start] = held
        return block

    def get(self, number: int) -> Block | None:
        """That block, if something of it is held, or it is not done with."""
        return self._open.get(number)

    def close(self, block: Block) -> None:
        """Have done with a block."""
        del self._open[block.number]
        block.release()

    def drop(self) -> None:
        """The upload is over: let go of what is held."""
        for block in self._open.values():
            for held in block.pieces():
                held.payload.release()
        self._open.clear()
