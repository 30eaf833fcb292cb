import pytest

from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.scheduler import nodestate as module
from raydl.scheduler.flights import Flight
from raydl.scheduler.gauge import Gauge
from raydl.scheduler.lanes import LaneGroup
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.nodestate import NodeState
from raydl.scheduler.plan import FIRST_PART
from raydl.workers.protocol import Pulse

MIRROR = Mirror(Source("http://o/f", 1000, None, None))


class Team:
    node, most, period = "n", 8, 0.0


@pytest.fixture
def lanes():
    """The lanes of a node at an origin, at most a hundred of them."""
    group, node = LaneGroup(Gauge(), 100), NodeState(Team(), 0.0)
    group.join(node)
    return group.at(node)


@pytest.fixture
def node(lanes):
    return lanes.node


def fly(lanes, began=0.0, size=1000, ticket=1):
    flight = Flight(ticket, None, Part(0, 0, size), lanes, MIRROR, began)
    lanes.node.flights[ticket] = flight
    lanes.flying += 1
    return flight


def hear(node, now, received=0, flights=None, cpu=None, fetching=None):
    return node.hear(Pulse(now, now, received, flights or {}, cpu, fetching), now)


def test_free_lanes(lanes):
    assert lanes.free(0.0) == 8
    lanes.group.tuner.lanes = 4
    assert lanes.free(0.0) == 4
    fly(lanes)
    lanes.rest(1.0)
    assert lanes.free(0.5) == 2
    assert lanes.free(1.0) == 3
    lanes.node.silent = True
    assert lanes.free(1.0) == 0
    lanes.node.silent, lanes.node.gone = False, True
    assert lanes.free(1.0) == 0


def test_what_a_node_fetches_elsewhere_takes_its_lanes_too(lanes):
    other = LaneGroup(Gauge(), 100)
    other.join(lanes.node)
    for ticket in range(5):
        fly(lanes, ticket=ticket)
    assert other.at(lanes.node).free(0.0) == 3


def test_a_lanes_speed_follows_what_it_brings(lanes):
    lanes.delivered(1000, 1.0)
    assert lanes.speed == 1000
    lanes.delivered(3000, 1.0)
    assert lanes.speed == pytest.approx(3500 / 1.5)
    assert lanes.largest == FIRST_PART


def test_what_comes_out_of_a_buffer_does_not_hide_a_cap(lanes):
    lanes.delivered(1 << 20, 0.001)
    lanes.delivered(4 << 20, 3.0)
    assert 1 << 20 < lanes.speed < 2 << 20
    assert lanes.largest == 4 << 20


def test_load_of_its_nodes_processors(node):
    for now, cpu in ((0.0, (0.0, 0.0)), (1.0, (1.5, 2.0)), (2.0, None), (3.0, (6.0, 6.0))):
        hear(node, now, cpu=cpu)
        if now == 1.0:
            assert node.load == 0.75
    assert node.load is None


@pytest.mark.parametrize(
    ("seconds", "is_full"), [(0.5, False), (0.9, True), (1.1, True), (1.5, False)]
)
def test_lanes_that_take_about_one_processor(node, seconds, is_full):
    hear(node, 0.0, fetching=3.0)
    assert not node.is_full
    hear(node, 1.0, fetching=3.0 + seconds)
    assert node.is_full is is_full
    hear(node, 2.0)
    assert not node.is_full


def test_a_tenth_of_many_processors_is_enough_for_more(node):
    hear(node, 0.0, cpu=(0.0, 0.0), fetching=0.0)
    hear(node, 1.0, cpu=(60.0, 64.0), fetching=0.9)
    assert not node.is_strained


@pytest.mark.parametrize(
    ("busy", "fetching", "is_strained"),
    [(1.4, 0.9, False), (1.6, 0.9, True), (1.6, 0.3, False), (1.9, 0.3, True)],
)
def test_a_node_has_no_processor_for_more(node, busy, fetching, is_strained):
    hear(node, 0.0, cpu=(0.0, 0.0), fetching=0.0)
    assert node.is_strained  # as long as nobody knows
    hear(node, 1.0, cpu=(busy, 2.0), fetching=fetching)
    assert node.is_strained is is_strained


def test_silence(node):
    late = module.SILENCE_SECONDS + 0.1
    assert not node.is_silent(late - 0.2)
    assert node.is_silent(late)
    hear(node, late)
    assert not node.is_silent(late)


def test_a_node_that_always_answers_late_gets_longer(node):
    for now in (0.5, 1.7, 2.9, 4.1):
        hear(node, now)
    assert not node.is_silent(4.1 + 2 * module.SILENCE_SECONDS)
    assert node.is_silent(4.1 + 5.0)


def test_a_node_that_is_asked_seldom_gets_longer(node):
    node.team.period = 5.0
    assert not node.is_silent(14.9)
    assert node.is_silent(15.1)


def test_old_news_is_none(node):
    assert hear(node, 1.0)
    assert not hear(node, 1.0)


def test_a_node_that_becomes_slow_shows_it_before_its_part_ends(node, lanes):
    lanes.delivered(1000, 1.0)
    flight = fly(lanes, size=10_000)
    for now, received in ((0.1, 100), (1.1, 200)):
        hear(node, now, received, {1: received})
    assert node.rate == 100
    assert lanes.speed == 550
    assert (flight.got, flight.moved_at) == (200, 1.1)
