"""Has one machine read back what all wrote, while they write on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from raydl.landing.readback import Readback
from raydl.landing.writer import STUCK, STUCK_SECONDS, Writer
from raydl.model.coverage import Coverage
from raydl.model.digests import new_hash
from raydl.workers.nodefiles import LOST, Answer
from raydl.workers.sharedfiles import Piece


class Reader:
    """The machine that had least to write reads, a batch at a time; if it is lost, another does.

    ``digest`` is that of all up to where it is, if there is an ``algorithm``. ``wrong`` gets a
    piece that is not what was written, ``failed`` a machine that cannot read, and why.
    """

    def __init__(
        self,
        readback: Readback,
        algorithm: str | None,
        wrong: Callable[[Piece], None],
        failed: Callable[[Writer, str], None],
    ) -> None:
        self.digest = new_hash(algorithm).hexdigest() if algorithm else ""
        self._readback, self._algorithm = readback, algorithm
        self._wrong, self._failed = wrong, failed
        self._who: Writer | None = None
        self._pieces: list[Piece] = []
        """What is being read."""
        self._since = 0.0

    def look(
        self, machines: Sequence[Writer], safe: Coverage, now: float, *, is_last: bool
    ) -> None:
        """Have the next batch read by one of these, if there is one and nothing else is read."""
        if self._pieces:
            if self._who is not None and now - self._since > STUCK_SECONDS:
                self._failed(self._who, STUCK[1])
            return
        if self._who is None:
            self._who = min(machines, key=lambda machine: machine.bytes, default=None)
        pieces = self._readback.next(safe, is_last) if self._who is not None else []
        if pieces and self._who is not None:
            self._pieces, self._since = pieces, now
            done = partial(self._answered, self._who, pieces)
            self._who.hand.call("read_back", pieces, self._algorithm, done=done)

    def lose(self, machine: Writer) -> None:
        """That machine reads no more."""
        if self._who is machine:
            self._who, self._pieces = None, []
            self._readback.restart()

    def _answered(self, machine: Writer, pieces: list[Piece], answer: Answer) -> None:
        if self._pieces is not pieces:
            return
        self._pieces = []
        error, result = answer
        if error is not None and error[0] == LOST:
            self.lose(machine)
        elif error is not None:
            self._failed(machine, error[1])
        else:
            stop, self.digest = result
            self._readback.right(stop)
            for piece in pieces:
                if piece[0] == stop:
                    self._wrong(piece)
