"""Reads a part whose pieces have digests: what is not right never leaves the lane.

Shipped to the nodes by value, with what it uses: nothing in here imports raydl inside a function.
"""

from __future__ import annotations

from typing import Protocol

from raydl.model.failure import Failure
from raydl.model.pieces import Pieces
from raydl.model.remote import Source
from raydl.model.weburl import redact
from raydl.origin import Origin
from raydl.origin.body import SMALLEST_READ
from raydl.origin.faults import OriginFailure


class Request(Protocol):
    """A connection, and what counts the bytes that come over it."""

    origin: Origin

    def tally(self, count: int) -> None:
        """So many bytes more came."""


def read_pieces(
    request: Request, source: Source, start: int, stop: int, into: memoryview
) -> tuple[int, Failure | None]:
    """Like ``Origin.read_part``, for a part that begins and ends with a piece.

    Whole pieces count, and only such as have their digest. They are compared as they come: after
    one that has not, nothing more is read, for what follows would have to be asked for again.
    """
    check = _Check(request, source, start, into)
    got = 0
    while got < stop - start:
        # An origin may send less than asked, or close the connection early: as long as it sends
        # anything, the piece that is begun goes on.
        count, failure = request.origin.read_part(
            source, start + got, stop, into[got : stop - start], check.came, check.left
        )
        got += count
        if failure is not None and not (failure.kind == "broken" and count):
            return check.right, failure
        if not count:
            return check.right, Failure("wrong", "nothing came")
    return check.right, None


class _Check:
    """Compares each piece as soon as it is there; ``right`` bytes are."""

    def __init__(self, request: Request, source: Source, start: int, into: memoryview) -> None:
        assert source.pieces is not None
        self._request, self._url, self._into, self._start = request, source.url, into, start
        self._pieces: Pieces = source.pieces
        self._next = start // self._pieces.length
        self._got = self.right = 0

    def left(self) -> int:
        """What may be read at once: nothing of what follows the piece, which may be bad."""
        step = self._pieces.length * max(1, SMALLEST_READ // self._pieces.length)
        return step - (self._start + self._got) % step

    def came(self, count: int) -> None:
        """So many bytes more are there. Raises OriginFailure at a piece that is not right."""
        self._request.tally(count)
        self._got += count
        while self._start + self.right < self._pieces.size:
            stop = self._pieces.bounds(self._next)[1] - self._start
            if stop > self._got:
                break
            if not self._pieces.is_right(self._next, self._into[self.right : stop]):
                piece = self._pieces.describe(self._next)
                what = f"{piece} from {redact(self._url)} has another {self._pieces.algorithm}"
                raise OriginFailure(Failure("piece", what))
            self._next += 1
            self.right = stop
