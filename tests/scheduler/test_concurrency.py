"""The tuner against origins and links that behave in simple ways; time is simulated."""

import random
from collections import Counter

import pytest

from raydl.scheduler.concurrency import FIRST_LANES, MOST_IN_ALL, MOST_LANES, Tuner
from raydl.workers.lane import Pulse


class World:
    """Nodes that bring ``speed(lanes a node, nodes)`` bytes a second each."""

    def __init__(self, speed, nodes=1, fixed=None, noise=0.0, parts=0.1):
        self.speed, self.nodes, self.noise = speed, nodes, noise
        self.tuner = Tuner(fixed)
        self.now = 0.0
        self.got = {}
        self.seen = []
        self.busy, self.strained = True, False
        self.random = random.Random(1)
        self.parts = parts
        self.flights = []
        """When each ends, of one node."""

    def run(self, seconds):
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.flights = [end for end in self.flights if end > self.now]
            while len(self.flights) < self.tuner.lanes:
                self.flights.append(self.now + self.random.uniform(0.5, 1.5) * self.parts)
            for node in range(self.nodes):
                speed = self.speed(len(self.flights), self.nodes)
                speed *= 1 + self.random.uniform(-self.noise, self.noise)
                self.got[node] = self.got.get(node, 0) + int(speed * 0.1)
            pulses = {
                n: Pulse(self.now, self.now, self.got[n], {}, None) for n in range(self.nodes)
            }
            flying = len(self.flights) * self.nodes
            self.tuner.look(self.now, pulses, flying, self.busy, self.strained)
            self.seen.append(self.tuner.lanes)
        return self.tuner.lanes


def test_a_cap_on_each_connection_is_met_with_many():
    world = World(lambda lanes, nodes: lanes * 5e6)
    assert world.run(3.0) == MOST_LANES
    assert world.tuner.capped


def test_a_cap_that_sixteen_reach():
    world = World(lambda lanes, nodes: min(lanes * 2e6, 25e6), nodes=4, noise=0.05)
    world.run(8.0)
    assert Counter(world.seen[20:]).most_common(1)[0][0] == 16
    assert max(world.seen) == 32
    assert not world.tuner.capped


def test_fewer_are_not_judged_by_those_that_still_fly():
    world = World(lambda lanes, nodes: min(lanes * 2e6, 25e6), nodes=4, noise=0.05, parts=1.0)
    world.run(68.0)
    assert sum(lanes < 16 for lanes in world.seen[80:]) > 0
    assert sum(lanes == 16 for lanes in world.seen[80:]) > 0.8 * 600


def test_a_link_that_four_fill():
    world = World(lambda lanes, nodes: 25e6, nodes=4, noise=0.08)
    assert world.run(60.0) == FIRST_LANES
    tried = sum(lanes > FIRST_LANES for lanes in world.seen)
    assert tried < 0.1 * len(world.seen)


def test_lanes_that_came_while_the_speed_grew_go_again():
    world = World(lambda lanes, nodes: 25e6 * min(1.0, world.now / 3.0), noise=0.02)
    world.run(3.0)
    assert max(world.seen) > 2 * FIRST_LANES
    assert world.run(10.5) == FIRST_LANES


def test_a_lull_does_not_make_more_lanes_look_good():
    lull = {4.0, 4.1}
    world = World(lambda lanes, nodes: 10e6 if round(world.now, 1) in lull else 25e6)
    world.run(1.0)
    world.tuner._try_at = 4.1
    world.run(6.0)
    assert world.tuner.lanes == FIRST_LANES


def once_a_second(world, speed):
    """A server that lets a second's worth through at once, and the first of it still faster."""
    return 60e6 if world.now < 0.75 else 10 * speed if round(10 * world.now) % 10 == 0 else 0.0


def test_a_cap_that_lets_bytes_through_in_bursts():
    world = World(lambda lanes, nodes: once_a_second(world, lanes * 1e6))
    world.run(15.0)
    assert max(world.seen) == MOST_LANES
    assert Counter(world.seen[-30:]).most_common(1)[0][0] == MOST_LANES


def test_a_link_that_lets_bytes_through_in_bursts():
    world = World(lambda lanes, nodes: once_a_second(world, 25e6))
    assert world.run(60.0) == FIRST_LANES
    assert Counter(world.seen).most_common(1)[0][0] == FIRST_LANES


def test_nodes_that_share_a_limit_do_not_race_each_other():
    world = World(lambda lanes, nodes: 100e6 / nodes, nodes=10, noise=0.05)
    assert world.run(9.0) == FIRST_LANES


def test_the_whole_fleet_stays_within_bounds():
    world = World(lambda lanes, nodes: lanes * 1e6, nodes=16)
    assert world.run(10.0) == MOST_IN_ALL // 16
    world = World(lambda lanes, nodes: lanes * 1e6, nodes=100)
    assert world.run(10.0) == FIRST_LANES


def test_a_node_that_joins_starts_the_measuring_anew():
    world = World(lambda lanes, nodes: min(lanes * 2e6, 30e6))
    world.run(3.0)
    world.nodes = 3
    assert world.run(5.0) == 16
    world.nodes = 40
    assert world.run(0.1) == FIRST_LANES


def test_parts_are_cut_for_more_lanes_only_when_more_may_come_soon():
    world = World(lambda lanes, nodes: 25e6)
    assert world.tuner.lanes_soon(0.0) == 2 * FIRST_LANES
    world.run(3.0)  # twice as many were tried in vain
    assert world.tuner.lanes_soon(world.now) == FIRST_LANES
    assert world.tuner.lanes_soon(world.now + 18.5) == 2 * FIRST_LANES


def test_speed_that_comes_with_nodes_is_not_what_lanes_bring():
    world = World(lambda lanes, nodes: 25e6)
    world.run(0.6)  # a trial of twice the lanes is under way
    assert world.tuner.lanes == 2 * FIRST_LANES
    for world.nodes in (2, 3, 4):
        world.run(0.2)
        assert world.tuner.lanes == FIRST_LANES


def test_what_is_not_busy_teaches_nothing():
    world = World(lambda lanes, nodes: lanes * 5e6)
    world.busy = False
    assert world.run(5.0) == FIRST_LANES


def test_processors_that_are_busy_get_no_more_to_do():
    world = World(lambda lanes, nodes: lanes * 5e6)
    world.strained = True
    assert world.run(5.0) == FIRST_LANES
    world.strained = False
    world.run(5.0)
    assert max(world.seen) == MOST_LANES


def test_lanes_with_nothing_to_do_go():
    world = World(lambda lanes, nodes: lanes * 5e6)
    world.run(3.0)
    world.busy = False
    assert world.run(2.0) == MOST_LANES
    assert world.run(0.5) == MOST_LANES // 2
    assert world.run(9.0) == FIRST_LANES


def test_downloads_that_share_a_process_share_its_lanes():
    world = World(lambda lanes, nodes: lanes * 5e6)
    world.run(3.0)
    world.tuner.share(2)
    assert world.run(30.0) == MOST_LANES // 2
    world.tuner.share(1)
    assert world.run(60.0) == MOST_LANES
    fixed = Tuner(9)
    for downloads, lanes in ((2, 4), (20, 1), (1, 9)):
        fixed.share(downloads)
        assert fixed.lanes == lanes


def test_an_origin_that_complains_gets_fewer_and_the_fleet_grows_back_slowly():
    world = World(lambda lanes, nodes: lanes * 5e6)
    world.run(3.0)
    for _ in range(5):  # of one moment: they count once
        world.tuner.complained(world.now)
    assert world.tuner.lanes == MOST_LANES // 2
    assert world.run(9.0) == MOST_LANES // 2
    assert world.tuner.refused
    world.tuner.complained(world.now)
    assert world.run(60.0) == MOST_LANES // 4
    assert world.run(60.0) > MOST_LANES // 4


@pytest.mark.parametrize("fixed", [1, 7, 200])
def test_what_is_given_stays(fixed):
    world = World(lambda lanes, nodes: lanes * 5e6, fixed=fixed)
    assert world.run(5.0) == world.tuner.lanes_soon(world.now) == fixed
    assert not world.tuner.refused


def test_what_is_given_shrinks_while_the_origin_refuses_it():
    world = World(lambda lanes, nodes: lanes * 5e6, fixed=20)
    for _ in range(3):
        world.tuner.complained(world.now)
        world.run(1.1)
    assert world.tuner.lanes == 2
    assert world.tuner.refused
    assert world.run(70.0) == 2
    assert world.run(15.0) == 20
    assert not world.tuner.refused
