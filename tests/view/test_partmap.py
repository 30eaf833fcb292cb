import pytest

from raydl.model.events import (
    PartFailed,
    PartFetched,
    PartHedged,
    PartStarted,
    PartWritten,
    Planned,
    Progress,
)
from raydl.view.partmap import Cell, CellState, PartMap


@pytest.fixture
def strip():
    strip = PartMap(10)
    strip.take(Planned(0, 1000, None, 100, ""))
    strip.changed.clear()
    return strip


def states(strip):
    return [cell.state for cell in strip.cells()]


def test_nothing_is_known():
    assert PartMap(3).cells() == [Cell(CellState.WAITING, "")] * 3


def test_the_life_of_a_part(strip):
    for event, state in (
        (PartStarted(0, 100, 300, "a"), CellState.FLYING),
        (PartHedged(0, 100, 300, "a", "late"), CellState.HEDGED),
        (PartStarted(0, 100, 300, "b"), CellState.FLYING),
        (PartFailed(0, 100, 300, "b", "no", 1, 0.0), CellState.FAILED),
        (PartFetched(0, 100, 300, "a", 0.1), CellState.FETCHED),
    ):
        strip.take(event)
        assert strip.cell(1) == strip.cell(2) == Cell(state, event.node)
        assert strip.changed == {1, 2}
        strip.changed.clear()
    assert states(strip).count(CellState.WAITING) == 8
    strip.take(PartWritten(0, 0, 300))
    assert strip.changed == {0, 1, 2}
    assert states(strip)[:3] == [CellState.WRITTEN] * 3
    assert strip.cell(1).node == "a"


def test_a_part_is_known_by_its_file_and_its_first_byte(strip):
    strip.take(PartStarted(0, 100, 300, "a", file=1))
    strip.take(PartWritten(0, 0, 1000, file=1))
    strip.take(Planned(0, 500, None, 100, "", file=1))
    assert states(strip) == [CellState.WAITING] * 10
    assert not strip.changed
    other = PartMap(10, file=1)
    other.take(Planned(0, 500, None, 100, "", file=1))
    other.take(PartStarted(0, 0, 50, "a", file=1))
    assert other.cell(0) == Cell(CellState.FLYING, "a")


def test_many_parts_in_a_cell_and_many_cells_in_a_part(strip):
    strip.take(PartStarted(0, 0, 5, "a"))
    strip.take(PartFetched(1, 5, 10, "b", 0.1))
    assert strip.cell(0) == Cell(CellState.FETCHED, "b")
    strip.take(PartStarted(2, 10, 1000, "c"))
    assert {cell.node for cell in strip.cells()} == {"c"}


def test_what_was_there_before_is_written():
    strip = PartMap(10)
    strip.take(Planned(550, 1000, 3, 150, ""))
    assert states(strip) == [CellState.WRITTEN] * 5 + [CellState.WAITING] * 5


def test_what_is_written_may_be_anywhere(strip):
    """A cell is written once all of its bytes are, in whichever order."""
    for start, stop, written in ((500, 650, {5}), (800, 1000, {5, 8, 9}), (650, 700, {5, 6, 8, 9})):
        strip.take(PartWritten(0, start, stop))
        assert {n for n in range(10) if strip.cell(n).state is CellState.WRITTEN} == written


def test_fewer_bytes_than_cells():
    strip = PartMap(10)
    strip.take(Planned(0, 4, None, 100, ""))
    assert states(strip) == [CellState.WAITING] * 10
    strip.take(PartWritten(0, 0, 4))
    assert states(strip) == [CellState.WRITTEN] * 10


def test_a_fresh_start_forgets(strip):
    strip.take(PartFetched(0, 0, 500, "a", 0.1))
    strip.take(Planned(0, 2000, None, 100, ""))
    assert states(strip) == [CellState.WAITING] * 10
    assert strip.changed == set(range(10))


def test_other_events_change_nothing(strip):
    strip.take(Progress(1, 2, 3, 4, 5, 6))
    assert not strip.changed


def test_a_hundred_thousand_parts():
    strip = PartMap(100)
    strip.take(Planned(0, 10**11, None, 10**6, ""))
    for number in range(100_000):
        strip.take(PartFetched(number, number * 10**6, (number + 1) * 10**6, "n", 0.1))
    assert states(strip) == [CellState.FETCHED] * 100
