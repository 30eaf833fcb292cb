import pytest

from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.scheduler import node as module
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.node import Crew, Flight
from raydl.scheduler.window import Task
from raydl.workers.lane import Pulse

MIRROR = Mirror(Source("http://o/f", 1000, None, None))


class Team:
    node, most, in_store = "n", 8, False
    pulse = None

    def look(self):
        return self.pulse


@pytest.fixture
def crew():
    return Crew(Team(), 0.0)


def fly(crew, began=0.0, size=1000, ticket=1):
    flight = Flight(ticket, Task(Part(0, 0, size)), crew, MIRROR, began)
    crew.flights[ticket] = flight
    return flight


def test_free_lanes(crew):
    assert crew.free(4, 0.0) == 4
    assert crew.free(100, 0.0) == 8
    fly(crew)
    crew.rest(1.0)
    assert crew.free(4, 0.5) == 2
    assert crew.next_rested() == 1.0
    assert crew.free(4, 1.0) == 3
    crew.gone = True
    assert crew.free(4, 1.0) == 0


def test_a_lanes_speed_follows_what_it_brings(crew):
    crew.delivered(1000, 1.0, 1.0)
    assert crew.speed == 1000
    crew.delivered(3000, 1.0, 2.0)
    assert crew.speed == pytest.approx(3500 / 1.5)
    assert crew.largest == module.FIRST_PART


def test_what_comes_out_of_a_buffer_does_not_hide_a_cap(crew):
    crew.delivered(1 << 20, 0.001, 1.0)
    crew.delivered(4 << 20, 3.0, 4.0)
    assert 1 << 20 < crew.speed < 2 << 20
    assert crew.largest == 4 << 20


def test_load_of_its_nodes_processors(crew):
    for now, cpu in ((0.0, (0.0, 0.0)), (1.0, (1.5, 2.0)), (2.0, None), (3.0, (6.0, 6.0))):
        crew.team.pulse = Pulse(now, now, 0, {}, cpu)
        crew.look(now)
        if now == 1.0:
            assert crew.load == 0.75
    assert crew.load is None


def test_silence(crew):
    late = module.SILENCE_SECONDS + 0.1
    assert not crew.is_silent(late - 0.2)
    assert crew.is_silent(late)
    assert crew.free(4, late) == 0
    crew.team.pulse = Pulse(late, late, 0, {}, None)
    crew.look(late)
    assert not crew.is_silent(late)


def test_a_node_that_always_answers_late_gets_longer(crew):
    for now in (0.5, 1.7, 2.9, 4.1):
        crew.team.pulse = Pulse(now, now, 0, {}, None)
        crew.look(now)
    assert not crew.is_silent(4.1 + 2 * module.SILENCE_SECONDS)
    assert crew.is_silent(4.1 + 5.0)


def test_a_node_that_becomes_slow_shows_it_before_its_part_ends(crew):
    crew.delivered(1000, 1.0, 0.0)
    flight = fly(crew, size=10_000)
    for now, received in ((0.1, 100), (1.1, 200)):
        crew.team.pulse = Pulse(now, now, received, {1: received}, None)
        crew.look(now)
    assert crew.rate == 100
    assert crew.speed == 550
    assert (flight.got, flight.moved_at) == (200, 1.1)


def test_how_long_a_flight_will_still_take(crew):
    crew.delivered(1000, 1.0, 0.0)
    flight = fly(crew)
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


def test_late_is_what_another_would_have_had_well_before(crew):
    crew.delivered(1000, 1.0, 0.0)
    flight = fly(crew)
    flight.seen(50, 0.5)
    flight.seen(100, 1.0)
    assert flight.seconds_left(1.0) == pytest.approx(9.0)
    assert flight.is_late(1.0, 1000.0)
    assert not flight.is_late(1.0, 100.0)
    assert not flight.is_late(1.0, 1000.0, spare=10.0)
    assert not flight.is_late(1.0, 0.0)
