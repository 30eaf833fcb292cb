"""Digests of a file's pieces: what shows which of its bytes are right, long before it is whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from raydl.model.digests import ALGORITHMS, is_known, new_hash
from raydl.model.errors import UsageError
from raydl.model.units import counted, format_size


@dataclass(frozen=True)
class Pieces:
    """A file of ``size`` bytes in pieces of ``length``, of which the last one may be shorter.

    ``digests`` are theirs, one after the other, from the piece number ``first`` on: those of a part
    of the file are all that a lane needs.
    """

    algorithm: str
    length: int
    size: int
    digests: bytes = field(repr=False)
    first: int = 0

    @classmethod
    def of(cls, algorithm: str, length: int, size: int, digests: Sequence[str]) -> Pieces:
        """From hex digests, one for each piece of the whole file. Raises UsageError."""
        if algorithm not in ALGORITHMS or not is_known(algorithm):
            raise UsageError(f"{algorithm} is no digest that is known here")
        if length < 1:
            raise UsageError(f"pieces of {length} bytes are none")
        count = -(-size // length)
        if len(digests) != count:
            raise UsageError(
                f"{size} bytes in pieces of {length} are {count}, and there are "
                f"{counted(len(digests), 'digest')}"
            )
        try:
            binary = [bytes.fromhex(digest) for digest in digests]
        except ValueError:
            raise UsageError("the digest of a piece is not hexadecimal") from None
        width = new_hash(algorithm).digest_size
        if any(len(digest) != width for digest in binary):
            raise UsageError(f"the {algorithm} of a piece has {2 * width} hex digits")
        return cls(algorithm, length, size, b"".join(binary))

    @classmethod
    def unpack(cls, packed: tuple[Any, ...] | None) -> Pieces | None:
        """From the fields of one, as they cross Ray."""
        return None if packed is None else cls(*packed)

    @property
    def count(self) -> int:
        """How many pieces the file has."""
        return -(-self.size // self.length)

    def bounds(self, number: int) -> tuple[int, int]:
        """The bytes ``[start, stop)`` of a piece; ``number`` counts from 0."""
        start = number * self.length
        return start, min(self.size, start + self.length)

    def part(self, start: int, stop: int) -> Pieces:
        """The same for the pieces of ``[start, stop)``, which begins and ends with one."""
        width, first = self._width, start // self.length
        last = -(-stop // self.length)
        here = slice((first - self.first) * width, (last - self.first) * width)
        return replace(self, digests=self.digests[here], first=first)

    def is_right(self, number: int, data: memoryview) -> bool:
        """Whether these are the bytes of that piece."""
        found = new_hash(self.algorithm)
        found.update(data)
        return bytes.fromhex(found.hexdigest()) == self.digest(number)

    def digest(self, number: int) -> bytes:
        """What that piece must have."""
        at = (number - self.first) * self._width
        return self.digests[at : at + self._width]

    def fits(self, intervals: Iterable[tuple[int, int]]) -> bool:
        """Whether each of the intervals begins and ends with a piece."""
        return all(
            start % self.length == 0 and (stop % self.length == 0 or stop == self.size)
            for start, stop in intervals
        )

    def describe(self, number: int) -> str:
        """A piece, in words."""
        start, stop = self.bounds(number)
        return f"piece {number + 1} of {self.count} (bytes {start} to {stop - 1})"

    @property
    def _width(self) -> int:
        return new_hash(self.algorithm).digest_size

    def __str__(self) -> str:
        return f"{counted(self.count, 'piece')} of {format_size(self.length)}"
