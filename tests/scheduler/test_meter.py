import math

import pytest

from raydl.model.report import NodeShare
from raydl.scheduler.meter import Meter


@pytest.fixture
def clock():
    return [100.0]


def test_shares():
    meter = Meter(0, 100)
    meter.joined("a", 2)
    meter.joined("b", 4)
    meter.arrived("a", 10)
    meter.arrived("b", 30)
    meter.arrived("b", 20)
    assert meter.shares() == (NodeShare("b", 50, 4), NodeShare("a", 10, 2))
    assert meter.lanes("b") == 4


def test_what_is_there():
    meter = Meter(40, 100)
    meter.arrived("a", 30)
    assert meter.look(5) == 75
    meter.lost(30)
    assert meter.look(0) == 40
    assert meter.look(1000) == 100
    assert meter.wasted == 30


def test_an_estimate_that_is_discounted_at_first(clock):
    meter = Meter(0, 1000, lambda: clock[0])
    assert meter.seconds_left() == 0.0
    clock[0] += 0.2
    meter.look(10)
    assert meter.seconds_left() == pytest.approx(990 * 0.2 / 10 * 0.16)
    clock[0] += 0.8
    meter.look(50)
    assert meter.seconds_left() == pytest.approx(19)


def test_nothing_for_a_while_is_slow(clock):
    meter = Meter(0, 1000, lambda: clock[0])
    clock[0] += 0.2
    assert meter.seconds_left() == 0.0
    clock[0] += 0.2
    assert meter.seconds_left() == math.inf
