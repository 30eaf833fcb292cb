"""What all nodes bring together, from made-up pulses."""

import gc
import sys

import pytest

from raydl.scheduler import gauge as module
from raydl.scheduler.gauge import LATEST, Bursts, Gauge
from raydl.workers.protocol import Pulse


def pulse(at, received, clock=None):
    return Pulse(at, at if clock is None else clock, received, {}, None)


def gauge(*nodes):
    made = Gauge()
    for node in nodes:
        made.joined(node, pulse(0.0, 0))
    return made


def test_speeds_of_all_nodes_add_up():
    both = gauge("a", "b")
    measured = both.begin(0.0, 1.0)
    both.heard("a", pulse(1.0, 100))
    assert measured.rate is None
    both.heard("b", pulse(2.0, 600))
    assert measured.rate == 100 + 300
    both.heard("a", pulse(2.0, 400))
    assert measured.rate == 200 + 300


def test_each_node_is_timed_by_its_own_clock():
    one = gauge()
    one.joined("a", pulse(5.0, 0, clock=77.0))
    measured = one.begin(LATEST, 1.0)
    one.heard("a", pulse(9.0, 100, clock=77.5))
    assert measured.rate is None
    one.heard("a", pulse(9.1, 100, clock=79.0))
    assert measured.rate == 50


def test_what_was_heard_before_does_not_count():
    one = gauge("a")
    measured = one.begin(1.0, 1.0)
    one.heard("a", pulse(0.9, 1000))
    one.heard("a", pulse(1.1, 2000))
    one.heard("a", pulse(2.0, 2900))
    assert measured.rate is None
    one.heard("a", pulse(2.1, 2100))
    assert measured.rate == pytest.approx(100)


def test_the_latest_pulse_is_where_it_begins_if_that_is_late_enough():
    for since, rate in ((LATEST, 100), (1.0, 100), (1.1, None)):
        one = gauge("a")
        one.heard("a", pulse(1.0, 500))
        measured = one.begin(since, 1.0)
        one.heard("a", pulse(2.0, 600))
        assert measured.rate == rate


def test_measurements_do_not_disturb_each_other():
    one = gauge("a")
    short, long = one.begin(0.0, 0.5), one.begin(0.0, 2.0)
    one.heard("a", pulse(1.0, 100))
    assert (short.rate, long.rate) == (100, None)
    short = one.begin(LATEST, 0.5)
    one.heard("a", pulse(2.0, 400))
    assert (short.rate, long.rate) == (300, 200)


def test_a_node_that_left_brings_nothing_and_is_not_waited_for():
    three = gauge("a", "b", "c")
    measured = three.begin(0.0, 1.0)
    for node in "ab":
        three.heard(node, pulse(1.0, 100))
    assert measured.rate is None
    three.left("c")
    assert measured.rate == 200
    three.left("b")
    assert measured.rate == 100
    three.left("a")
    assert measured.rate is None


def test_a_node_that_joins_is_waited_for():
    one = gauge("a")
    measured = one.begin(0.0, 1.0)
    one.heard("a", pulse(1.0, 100))
    one.joined("b", pulse(1.0, 0))
    assert measured.rate is None
    one.heard("b", pulse(2.0, 50))
    assert measured.rate == 150


def test_a_node_that_joins_again_begins_again():
    one = gauge("a")
    measured = one.begin(0.0, 1.0)
    one.heard("a", pulse(1.0, 5000))
    one.joined("a", pulse(2.0, 0))
    assert measured.rate is None
    one.heard("a", pulse(3.0, 100))
    assert measured.rate == 100


def test_a_node_counts_once_it_was_heard():
    one = gauge("a")
    measured = one.begin(0.0, 1.0)
    one.heard("a", pulse(1.0, 100))
    one.joined("b", None)
    assert (len(one), measured.rate) == (1, 100)
    one.heard("b", pulse(1.5, 0))
    assert (len(one), measured.rate) == (2, None)


def test_a_node_that_does_not_take_part_is_not_heard():
    one = gauge("a")
    one.left("b")
    one.left("a")
    one.heard("a", pulse(1.0, 100))
    one.joined("c", None)
    one.left("c")
    one.heard("c", pulse(1.0, 100))
    assert len(one) == 0


def test_the_generation_changes_with_the_nodes_that_count():
    one = gauge()
    steps = [
        (lambda: one.joined("a", pulse(0.0, 0)), True),
        (lambda: one.heard("a", pulse(1.0, 100)), False),
        (lambda: one.joined("b", None), False),
        (lambda: one.heard("b", pulse(1.0, 100)), True),
        (lambda: one.left("c"), False),
        (lambda: one.left("a"), True),
    ]
    for step, changes in steps:
        before = one.generation
        step()
        assert (one.generation != before) == changes


def test_a_measurement_that_nobody_keeps_costs_nothing():
    one = gauge("a")
    for _ in range(100):
        measured = one.begin(LATEST, 1.0)
    gc.collect()
    assert list(one._measurements) == [measured]


def lines(call):
    """How many lines of the gauge run in it; those of a library depend on when garbage goes."""
    count, before = [0], sys.gettrace()

    def trace(frame, event, arg):
        count[0] += event == "line" and frame.f_code.co_filename == module.__file__
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count[0]


def test_no_call_costs_more_with_more_nodes():
    def costs(count):
        many = gauge(*range(count))
        measured = many.begin(0.0, 1.0)
        for node in range(count):
            many.heard(node, pulse(1.0, 100))
        assert measured.rate == 100 * count
        calls = [
            lambda: many.begin(LATEST, 1.0),
            lambda: measured.rate,
            lambda: many.heard(1, pulse(2.0, 300)),
            lambda: many.left(2),
            lambda: many.joined(2, pulse(2.0, 0)),
        ]
        return [lines(call) for call in calls]

    assert costs(4) == costs(1000)


def flow(received, seconds=10.0):
    """Whether bursts are seen where ``received(now)`` bytes have come."""
    one = gauge("a")
    bursts = Bursts(one)
    for tenth in range(1, round(seconds * 10)):
        one.heard("a", pulse(tenth / 10, received(tenth / 10)))
        bursts.look()
    return bursts


def test_bytes_that_come_evenly():
    assert not flow(lambda now: 1000 * now).seen
    assert not flow(lambda now: 1000 * now + (now * 10 % 3) * 20).seen


def test_bytes_that_come_in_bursts():
    bursts = flow(lambda now: 1000 * int(now))
    assert bursts.seen
    bursts.start_over()
    assert bursts.seen


def test_bytes_that_come_evenly_again():
    bursts = flow(lambda now: 1000 * int(now) if now < 5 else 1000 * now, seconds=15.0)
    assert not bursts.seen


def test_a_jump_of_the_speed_with_a_reason_is_no_burst():
    one = gauge("a")
    bursts, received = Bursts(one), 0
    for tenth in range(1, 60):
        received += 10 if tenth < 30 else 1000
        if tenth == 30:
            bursts.start_over()
        one.heard("a", pulse(tenth / 10, received))
        bursts.look()
    assert not bursts.seen
