"""How long a request will still take, and whether it is late."""

import pytest

from tests.scheduler.test_nodestate import fly, lanes

__all__ = ["lanes"]


def test_how_long_a_flight_will_still_take(lanes):
    lanes.delivered(1000, 1.0)
    flight = fly(lanes)
    assert flight.seconds_left(0.25) == 0.75
    flight.seen(100, 1.0)  # how long it waited for that is no measure
    assert flight.seconds_left(1.0) == pytest.approx(0.9)
    flight.seen(500, 2.0)
    assert flight.seconds_left(2.0) == 1.25
    assert flight.seconds_left(2.25) == 1.0
    # Nothing came for long: it will be stuck for as long again.
    flight.seen(500, 99.0)
    assert flight.seconds_left(99.0) == pytest.approx(122.5)
    flight.got = 990
    assert flight.seconds_left(99.0) == pytest.approx(97.0)


def test_late_is_what_another_would_have_had_well_before(lanes):
    lanes.delivered(1000, 1.0)
    flight = fly(lanes)
    flight.seen(50, 0.5)
    flight.seen(100, 1.0)
    assert flight.seconds_left(1.0) == pytest.approx(9.0)
    assert flight.is_late(1.0, 1000.0)
    assert not flight.is_late(1.0, 100.0)
    assert not flight.is_late(1.0, 1000.0, spare=10.0)
    assert not flight.is_late(1.0, 0.0)


def test_when_to_look_again_at_what_is_silent(lanes):
    flight = fly(lanes, began=10.0)
    assert flight.next_look(10.0, 0.0) == pytest.approx(10.5)
    lanes.delivered(1000, 1.0)
    due = flight.next_look(10.0, 1000.0)
    assert not flight.is_late(due - 0.01, 1000.0)
    assert flight.is_late(due + 0.01, 1000.0)
    assert flight.next_look(99.0, 1000.0) > 99.0
