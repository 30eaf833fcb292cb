import pytest

from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.scheduler import nodestate as module
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.nodestate import Flight, NodeState
from raydl.scheduler.window import Task
from raydl.workers.lane import Pulse

MIRROR = Mirror(Source("http://o/f", 1000, None, None))


class Team:
    node, most, in_store = "n", 8, False
    reports, period = False, 0.0
    pulse = None

    def look(self):
        return self.pulse


@pytest.fixture
def node():
    return NodeState(Team(), 0.0)


def fly(node, began=0.0, size=1000, ticket=1):
    flight = Flight(ticket, Task(Part(0, 0, size)), node, MIRROR, began)
    node.flights[ticket] = flight
    return flight


def test_free_lanes(node):
    assert node.free(4, 0.0) == 4
    assert node.free(100, 0.0) == 8
    fly(node)
    node.rest(1.0)
    assert node.free(4, 0.5) == 2
    assert node.next_rested() == 1.0
    assert node.free(4, 1.0) == 3
    node.gone = True
    assert node.free(4, 1.0) == 0


def test_a_lanes_speed_follows_what_it_brings(node):
    node.delivered(1000, 1.0, 1.0)
    assert node.speed == 1000
    node.delivered(3000, 1.0, 2.0)
    assert node.speed == pytest.approx(3500 / 1.5)
    assert node.largest == module.FIRST_PART


def test_what_comes_out_of_a_buffer_does_not_hide_a_cap(node):
    node.delivered(1 << 20, 0.001, 1.0)
    node.delivered(4 << 20, 3.0, 4.0)
    assert 1 << 20 < node.speed < 2 << 20
    assert node.largest == 4 << 20


def test_load_of_its_nodes_processors(node):
    for now, cpu in ((0.0, (0.0, 0.0)), (1.0, (1.5, 2.0)), (2.0, None), (3.0, (6.0, 6.0))):
        node.team.pulse = Pulse(now, now, 0, {}, cpu)
        node.look(now)
        if now == 1.0:
            assert node.load == 0.75
    assert node.load is None


def test_silence(node):
    late = module.SILENCE_SECONDS + 0.1
    assert not node.is_silent(late - 0.2)
    assert node.is_silent(late)
    assert node.free(4, late) == 0
    node.team.pulse = Pulse(late, late, 0, {}, None)
    node.look(late)
    assert not node.is_silent(late)


def test_a_node_that_always_answers_late_gets_longer(node):
    for now in (0.5, 1.7, 2.9, 4.1):
        node.team.pulse = Pulse(now, now, 0, {}, None)
        node.look(now)
    assert not node.is_silent(4.1 + 2 * module.SILENCE_SECONDS)
    assert node.is_silent(4.1 + 5.0)


def test_a_node_that_becomes_slow_shows_it_before_its_part_ends(node):
    node.delivered(1000, 1.0, 0.0)
    flight = fly(node, size=10_000)
    for now, received in ((0.1, 100), (1.1, 200)):
        node.team.pulse = Pulse(now, now, received, {1: received}, None)
        node.look(now)
    assert node.rate == 100
    assert node.speed == 550
    assert (flight.got, flight.moved_at) == (200, 1.1)


def test_how_long_a_flight_will_still_take(node):
    node.delivered(1000, 1.0, 0.0)
    flight = fly(node)
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


def test_late_is_what_another_would_have_had_well_before(node):
    node.delivered(1000, 1.0, 0.0)
    flight = fly(node)
    flight.seen(50, 0.5)
    flight.seen(100, 1.0)
    assert flight.seconds_left(1.0) == pytest.approx(9.0)
    assert flight.is_late(1.0, 1000.0)
    assert not flight.is_late(1.0, 100.0)
    assert not flight.is_late(1.0, 1000.0, spare=10.0)
    assert not flight.is_late(1.0, 0.0)
