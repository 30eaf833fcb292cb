"""The file as a strip of cells, each with the state of its bytes: what events add up to. Pure."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from raydl.model.coverage import Coverage
from raydl.model.events import (
    Event,
    PartFailed,
    PartFetched,
    PartHedged,
    PartStarted,
    PartWritten,
    Planned,
)


class CellState(Enum):
    """Of the bytes of a cell; of several parts in it, what happened last."""

    WAITING = "waiting"
    FLYING = "in flight"
    HEDGED = "late, asked for again"
    FAILED = "failed, tried again"
    FETCHED = "fetched"
    WRITTEN = "written"


STRENGTH = {
    CellState.FLYING: 0.33,
    CellState.HEDGED: 0.5,
    CellState.FETCHED: 0.7,
    CellState.WRITTEN: 1.0,
}
"""How strong its node's colour is in a picture of a cell: the more, the nearer to the file."""


class Cell(NamedTuple):
    """``node`` is the one that had to do with it last, empty for none."""

    state: CellState
    node: str


class PartMap:
    """``count`` cells of one ``file``, whatever the number of parts; an event costs what it touches
    of them, and one about another file of the download changes nothing."""

    def __init__(self, count: int = 200, file: int = 0) -> None:
        self._count, self._file = count, file
        self._size = 0
        self.changed: set[int] = set()
        """Cells that may look different since this was last cleared."""
        self._reset(0)

    def take(self, event: Event) -> None:
        """Take in what happened."""
        if event.file != self._file:
            return
        match event:
            case Planned(start, size):
                self._size = size
                self._reset(start)
            case PartStarted(_, start, stop, node):
                self._mark(start, stop, node, CellState.FLYING)
            case PartHedged(_, start, stop, node):
                self._mark(start, stop, node, CellState.HEDGED)
            case PartFailed(_, start, stop, node):
                self._mark(start, stop, node, CellState.FAILED)
            case PartFetched(_, start, stop, node):
                self._mark(start, stop, node, CellState.FETCHED)
            case PartWritten(_, start, stop):
                self._written.add(start, stop)
                self.changed.update(self._touched(start, stop))

    def cell(self, number: int) -> Cell:
        """How cell ``number`` is now."""
        start, stop = (self._size * n // self._count for n in (number, number + 1))
        is_written = self._written.covers(start, max(stop, start + 1))
        return Cell(CellState.WRITTEN if is_written else self._states[number], self._nodes[number])

    def cells(self) -> list[Cell]:
        """All of them."""
        return [self.cell(number) for number in range(self._count)]

    def _reset(self, written: int) -> None:
        self._written = Coverage([(0, written)])
        self._states = [CellState.WAITING] * self._count
        self._nodes = [""] * self._count
        self.changed.update(range(self._count))

    def _mark(self, start: int, stop: int, node: str, state: CellState) -> None:
        for number in self._touched(start, stop):
            self._states[number], self._nodes[number] = state, node
            self.changed.add(number)

    def _touched(self, start: int, stop: int) -> range:
        """The cells with bytes of ``[start, stop)``."""
        if not self._size or stop <= start:
            return range(0)
        first = start * self._count // self._size
        return range(first, min(self._count, -(-stop * self._count // self._size)))
