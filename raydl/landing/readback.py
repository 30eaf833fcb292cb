"""What of a shared file is to be read back next, and how far that is. Pure state."""

from __future__ import annotations

from bisect import bisect_right, insort

from raydl.model.coverage import Coverage
from raydl.model.parts import Part
from raydl.workers.sharedfiles import Piece

LEAST_BYTES, MOST_BYTES = 16 << 20, 64 << 20
"""Of a batch, while more is to come."""


class Readback:
    """The file is read in order, behind the first gap of what is safe on the disk.

    ``position`` is up to where it is right. With ``in_full`` all of it is read, for a digest; else
    only what this run wrote, for its crc32.
    """

    def __init__(self, size: int, in_full: bool) -> None:
        self.size, self.position = size, 0
        self._in_full = in_full
        self._written: dict[int, tuple[int, int]] = {}
        """Where what this run wrote begins, ends, and its crc32."""
        self._starts: list[int] = []
        self._was_wrong = Coverage()

    @property
    def is_through(self) -> bool:
        """Whether all of the file is right."""
        return self.position == self.size

    def wrote(self, part: Part, crc: int) -> None:
        """These bytes are safe."""
        self._written[part.start] = (part.stop, crc)
        insort(self._starts, part.start)

    def next(self, safe: Coverage, is_last: bool) -> list[Piece]:
        """What to read next; nothing while there is too little, but for the ``is_last`` of it."""
        if not self._in_full:
            self._pass_over(safe)
        stop = min(safe.prefix, self.position + MOST_BYTES)
        if stop - self.position < LEAST_BYTES and not is_last and safe.prefix < self.size:
            return []
        pieces, position = [], self.position
        while position < stop:
            piece = self._piece(position, safe.prefix)
            if piece[2] is None and not self._in_full:
                break
            pieces.append(piece)
            position = piece[1]
        return pieces

    def right(self, stop: int) -> None:
        """All is right up to there."""
        self.position = stop

    def wrong(self, piece: Piece) -> bool:
        """What is on the disk there is not what was written; whether that is so for the second
        time."""
        start, stop, _ = piece
        del self._written[start]
        self._starts.remove(start)
        before = self._was_wrong.size
        self._was_wrong.add(start, stop)
        return self._was_wrong.size < before + stop - start

    def restart(self) -> None:
        """Who has read so far is gone: what it knew of the digest has to be read again."""
        if self._in_full:
            self.position = 0

    def _piece(self, start: int, end: int) -> Piece:
        if start in self._written:
            stop, crc = self._written[start]
            return start, stop, crc
        # From an earlier run: up to what this one wrote.
        later = self._starts[(after := bisect_right(self._starts, start)) : after + 1]
        return start, min(*later, end, start + MOST_BYTES), None

    def _pass_over(self, safe: Coverage) -> None:
        while self.position < safe.prefix and self.position not in self._written:
            self.position = self._piece(self.position, safe.prefix)[1]
