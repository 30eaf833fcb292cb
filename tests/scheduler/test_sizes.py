"""How large requests may be, from made-up requests."""

import itertools
from types import SimpleNamespace

import pytest

from raydl.model.failure import Failure
from raydl.model.parts import Part
from raydl.scheduler.plan import FIRST_PART, GROWTH
from raydl.scheduler.sizes import HOLD_SECONDS, LIFTED_SECONDS, LONGEST_HOLD, NEARER, Sizes

MIB = 1 << 20


class Lane:
    """Requests one after the other; how long one takes is said by ``seconds(size)``."""

    def __init__(self, sizes, seconds, unit=1):
        self.sizes, self.seconds, self.unit = sizes, seconds, unit
        self.lanes = SimpleNamespace(speed=0.0)
        self.now = 0.0

    def begin(self):
        size = self.sizes.fit(
            64 * MIB if self.lanes.speed else FIRST_PART, self.lanes.speed, self.now
        )
        plan = SimpleNamespace(unit=self.unit)
        flight = SimpleNamespace(
            part=Part(0, 0, max(size, self.unit)), lanes=self.lanes, job=SimpleNamespace(plan=plan),
            began=self.now, got=0, given_up=None,
        )  # fmt: skip
        self.sizes.launched(flight)
        return flight

    def end(self, flight, seconds=None):
        size = flight.part.size
        seconds = self.seconds(size) if seconds is None else seconds
        self.now = flight.began + seconds
        if self.sizes.came(flight, size, seconds, self.now):
            self.lanes.speed = size / seconds
        self.sizes.landed(flight)
        return size

    def run(self, count=1):
        return [self.end(self.begin()) for _ in range(count)]


def even(size):
    return 0.1 + size / 6e6


def burst(rate):
    """A second's worth comes at 100 MB/s, and then nothing until that was worth its time."""
    return lambda size: size / 100e6 + (size - 1) // rate


def test_they_grow_while_larger_ones_are_no_slower():
    assert Lane(Sizes(), even).run(5) == [FIRST_PART, MIB, 4 * MIB, 16 * MIB, 64 * MIB]


@pytest.mark.parametrize(("rate", "most"), [(MIB, 1), (5 * MIB, 4), (20 * MIB, 16), (2 * MIB, 2)])
def test_no_larger_than_what_comes_at_once(rate, most):
    lane = Lane(Sizes(), burst(rate))
    lane.run(10)
    assert lane.sizes.proven == most * MIB


def test_never_smaller_than_the_first():
    lane = Lane(Sizes(), burst(200 << 10))
    lane.run(10)
    assert lane.sizes.proven >= FIRST_PART


def test_one_is_tried_at_a_time():
    lane = Lane(Sizes(), even)
    lane.run()
    first, *others = (lane.begin() for _ in range(5))
    assert first.part.size == GROWTH * FIRST_PART
    assert {flight.part.size for flight in others} == {FIRST_PART}
    lane.end(first)
    assert lane.sizes.proven == GROWTH * FIRST_PART


def test_one_that_was_lost_proves_nothing():
    lane = Lane(Sizes(), even)
    lane.run()
    scout = lane.begin()
    lane.sizes.landed(scout)
    assert lane.sizes.proven == FIRST_PART
    assert lane.begin().part.size == GROWTH * FIRST_PART


def test_one_that_was_given_up_for_another_reason_proves_nothing():
    lane = Lane(Sizes(), even)
    lane.run()
    scout = lane.begin()
    scout.given_up = Failure("broken", "slow")
    lane.sizes.came(scout, scout.part.size // 2, 1.0, lane.now)
    assert lane.sizes.proven == FIRST_PART
    assert lane.sizes.give_up(lane.now + 100.0) is None


def test_one_that_was_too_large_is_given_up_before_it_ends():
    lane = Lane(Sizes(), burst(MIB))
    lane.run(2)
    scout = lane.begin()
    assert scout.part.size == GROWTH * MIB
    scout.got = MIB
    assert lane.sizes.give_up(lane.now + 0.1) is None
    assert lane.sizes.give_up(lane.now + 0.3) is scout
    lane.sizes.landed(scout)
    assert lane.begin().part.size == NEARER * MIB, "half of that may do"


def tried_at(lane, seconds):
    """When larger ones than the usual were tried."""
    seen = []
    while lane.now < seconds:
        proven, began = lane.sizes.proven, lane.now
        if lane.end(lane.begin()) > proven:
            seen.append(began)
    return seen


def test_too_large_ones_are_tried_again_more_and_more_seldom():
    lane = Lane(Sizes(), burst(MIB))
    lane.run(4)
    times = tried_at(lane, 400.0)
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert pauses[0] > HOLD_SECONDS
    assert all(b > 1.5 * a for a, b in itertools.pairwise(pauses[:6]))
    assert LONGEST_HOLD < pauses[-1] < 1.1 * LONGEST_HOLD


def test_where_the_others_are_no_faster_any_more_the_bound_goes():
    lane = Lane(Sizes(), burst(MIB))
    lane.run(4)
    assert lane.sizes.proven == MIB
    lane.seconds = lambda size: size / 1e6
    lane.run(2)
    assert lane.begin().part.size > 4 * MIB, "they take long as it is"
    lane.seconds = lambda size: size / 2e6
    lane.run(4)
    assert lane.sizes.proven > MIB


def test_a_complaint_lifts_the_bound_for_a_while():
    lane = Lane(Sizes(), burst(MIB))
    lane.run(4)
    lane.sizes.complained(lane.now)
    assert lane.sizes.fit(8 * MIB, lane.lanes.speed, lane.now + LIFTED_SECONDS - 1) == 8 * MIB
    lane.sizes.scout = lane.begin()
    assert lane.sizes.fit(8 * MIB, lane.lanes.speed, lane.now + LIFTED_SECONDS) == MIB


def test_whole_pieces_that_are_larger_are_not_judged():
    lane = Lane(Sizes(), burst(MIB), unit=4 * MIB)
    assert lane.run(3) == [4 * MIB] * 3
    assert lane.sizes.scout is None
    assert lane.sizes.proven == FIRST_PART
