"""What is handed over and not taken goes back."""

import pytest

from raydl.download.handover import Handover
from raydl.model.parts import Part
from tests.lab import Bytes


def handed(handover, count=3):
    told = []
    for number in range(count):
        part = Part(number, number * 10, number * 10 + 10)
        handover.take(part, Bytes(b"x" * 10), lambda problem, n=number: told.append((n, problem)))
    return told


def test_what_nobody_took_goes_back_at_the_end():
    handover = Handover(here=True)
    told = handed(handover)
    parts = handover.payloads()
    next(parts)
    next(parts)
    handover.close()
    assert [number for number, _ in told] == [0, 1, 2]
    assert [bool(problem) for _, problem in told] == [False, True, True]
    del parts
    assert len([n for n, _ in told if n == 1]) == 1


def test_what_comes_after_the_end_goes_back_at_once():
    handover = Handover(here=True)
    handover.close()
    told = handed(handover, 1)
    assert [number for number, _ in told] == [0]
    assert told[0][1]


def test_a_part_that_came_after_a_cancel_goes_back():
    handover = Handover(here=True)
    told = handed(handover, 1)
    handover.cancel()
    with pytest.raises(Exception, match="cancelled"):
        next(handover.payloads())
    handover.close()
    assert [number for number, _ in told] == [0]
