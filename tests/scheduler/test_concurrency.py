"""The tuner against origins and links that behave in simple ways; time is simulated."""

import itertools
import random
from collections import Counter

import pytest

from raydl.scheduler.ceiling import FIRST_LANES, MOST_IN_ALL, MOST_LANES, Bearing
from raydl.scheduler.concurrency import State, Tuner
from raydl.scheduler.gauge import Gauge
from raydl.workers.protocol import Pulse


class World:
    """Nodes that bring ``speed(lanes a node, nodes)`` bytes a second each."""

    def __init__(
        self, speed, nodes=1, fixed=None, noise=0.0, parts=0.1, seed=1, bearing=None, has_tls=False
    ):
        self.speed, self.nodes, self.noise = speed, nodes, noise
        self.gauge = Gauge()
        self.tuner = Tuner(self.gauge, fixed, bearing, has_tls=has_tls)
        self.now = 0.0
        self.got, self.there = {}, set()
        self.seen, self.states = [], []
        """Lanes and states after each look."""
        self.busy, self.strained, self.full, self.may_try = True, False, False, True
        self.random = random.Random(seed)
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
                pulse = Pulse(self.now, self.now, self.got[node], {}, None)
                tell = self.gauge.heard if node in self.there else self.gauge.joined
                tell(node, pulse)
                self.there.add(node)
            self.tuner.look(
                self.now,
                flying=len(self.flights) * self.nodes,
                busy=self.busy,
                strained=self.strained,
                full=self.full,
                may_try=self.may_try,
            )
            self.seen.append(self.tuner.lanes)
            self.states.append(self.tuner.state)
        return self.tuner.lanes


def test_a_cap_on_each_connection_is_met_with_many():
    world = World(lambda lanes, nodes: lanes * 5e6)
    assert world.run(3.0) == MOST_LANES
    assert world.tuner.more_brings


def test_a_cap_that_sixteen_reach():
    world = World(lambda lanes, nodes: min(lanes * 2e6, 25e6), nodes=4, noise=0.05)
    world.run(8.0)
    assert Counter(world.seen[20:]).most_common(1)[0][0] == 16
    assert max(world.seen) == 32


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


# --- states ---


def entered(world):
    """The states that it went through, each once in a row."""
    return [state for state, _ in itertools.groupby(world.states)]


def test_it_settles_first_and_then_tries():
    world = World(lambda lanes, nodes: lanes * 5e6)
    world.run(0.2)
    assert set(world.states) == {State.SETTLING}
    world.run(0.2)
    assert entered(world) == [State.SETTLING, State.STARTING]


def test_more_that_bring_nothing_are_given_up_and_it_holds():
    world = World(lambda lanes, nodes: 25e6)
    world.run(10.0)
    assert entered(world) == [State.SETTLING, State.STARTING, State.SETTLING, State.HOLDING]
    world.run(20.0)
    assert entered(world)[4:] == [State.MORE, State.SETTLING, State.HOLDING]


def test_the_most_are_doubted_by_trying_fewer():
    world = World(lambda lanes, nodes: lanes * 5e6)
    world.run(2.0)
    assert world.tuner.state is State.HOLDING
    world.run(25.0)
    assert entered(world)[-3:] == [State.HOLDING, State.FEWER, State.HOLDING]
    assert world.tuner.lanes == MOST_LANES


def test_fewer_are_measured_once_the_others_have_landed():
    world = World(lambda lanes, nodes: lanes * 5e6)
    while world.tuner.state is not State.FEWER:
        world.run(0.1)
    world.flights = [world.now + 3.0] * MOST_LANES
    world.run(1.9)
    assert not world.tuner.sheds(world.now)
    world.run(1.0)
    assert world.tuner.sheds(world.now)
    assert world.tuner.state is State.FEWER
    world.run(0.6)
    assert world.tuner.state is State.HOLDING


def test_it_backs_off_when_the_origin_complains_and_comes_back():
    world = World(lambda lanes, nodes: lanes * 5e6)
    world.run(3.0)
    world.tuner.complained(world.now)
    assert world.tuner.state is State.BACKING_OFF
    world.run(79.0)
    assert set(world.states[30:]) == {State.BACKING_OFF}
    world.run(3.0)
    came_back = [State.BACKING_OFF, State.SETTLING, State.MORE, State.HOLDING]
    assert entered(world)[-4:] == came_back
    assert world.tuner.lanes == MOST_LANES


def test_what_idleness_took_comes_back_before_a_complaint_is_forgotten():
    world = World(lambda lanes, nodes: lanes * 5e6)
    world.run(3.0)
    world.tuner.complained(world.now)
    world.busy = False
    world.run(10.0)
    assert (world.tuner.state, world.tuner.lanes) == (State.BACKING_OFF, FIRST_LANES)
    world.busy = True
    assert world.run(25.0) == MOST_LANES // 2
    assert world.tuner.refused


def test_a_complaint_ends_a_trial():
    world = World(lambda lanes, nodes: lanes * 5e6)
    world.run(0.4)
    assert world.tuner.is_trying
    world.tuner.complained(world.now)
    assert (world.tuner.is_trying, world.tuner.lanes) == (False, FIRST_LANES)


def test_what_is_fixed_stays_so():
    world = World(lambda lanes, nodes: lanes * 5e6, fixed=9)
    world.run(2.0)
    world.tuner.complained(world.now)
    world.tuner.reset(world.now)
    world.nodes = 3
    world.run(2.0)
    assert set(world.states) == {State.FIXED}
    assert world.tuner.is_fixed


@pytest.mark.parametrize("trial", [State.STARTING, State.FEWER])
def test_nodes_that_come_or_go_and_a_lull_end_a_trial(trial):
    for change in ("nodes", "busy", "reset"):
        world = World(lambda lanes, nodes: lanes * 5e6)
        while world.tuner.state is not trial:
            world.run(0.1)
        assert world.tuner.is_trying
        before = world.tuner._before.lanes
        if change == "nodes":
            world.nodes = 2
        elif change == "busy":
            world.busy = False
        else:
            world.tuner.reset(world.now)
        world.run(0.1)
        assert (world.tuner.is_trying, world.tuner.lanes) == (False, before)


def test_other_downloads_that_come_or_go_shorten_no_hold():
    world = World(lambda lanes, nodes: 25e6)
    world.run(3.0)
    for _ in range(10):
        world.tuner.reset(world.now)
        world.run(1.0)
    assert entered(world)[4:] == [State.SETTLING, State.HOLDING] * 10


# --- several tuners ---


def test_no_trial_begins_while_it_may_not():
    world = World(lambda lanes, nodes: lanes * 5e6)
    world.may_try = False
    assert world.run(5.0) == FIRST_LANES
    world.may_try = True
    world.run(0.3)
    assert world.tuner.is_trying
    world.may_try = False
    world.run(1.0)
    assert (world.tuner.is_trying, world.tuner.lanes) == (False, 2 * FIRST_LANES)


def test_tuners_that_share_a_gauge_try_in_turn():
    """Each by what both bring: two origins, either with a cap on each connection."""
    gauge, now, received = Gauge(), 0.0, 0
    gauge.joined("a", Pulse(0.0, 0.0, 0, {}, None))
    tuners = [Tuner(gauge), Tuner(gauge)]
    for _ in range(300):
        now += 0.1
        received += int(sum(min(tuner.lanes * 2e6, 32e6) for tuner in tuners) * 0.1)
        gauge.heard("a", Pulse(now, now, received, {}, None))
        for tuner, other in (tuners, tuners[::-1]):
            may = not other.is_trying
            tuner.look(now, flying=tuner.lanes, busy=True, strained=False, may_try=may)
        assert not all(tuner.is_trying for tuner in tuners)
    assert [tuner.lanes for tuner in tuners] == [16, 16]


# --- origins ---


def share(world, *lanes):
    """The share of the time in which there were so many lanes, but for the first ten seconds."""
    return sum(seen in lanes for seen in world.seen[100:]) / len(world.seen[100:])


@pytest.mark.parametrize("nodes", [1, 4])
def test_a_cap_on_each_connection_in_noise(nodes):
    world = World(lambda lanes, nodes: lanes * 2e6, nodes=nodes, noise=0.4)
    world.run(60.0)
    assert share(world, MOST_LANES, MOST_LANES // 2) > 0.9


@pytest.mark.parametrize("nodes", [1, 4])
def test_a_cap_on_each_address_in_noise(nodes):
    """Lanes of a node take from each other what they bring."""
    world = World(lambda lanes, nodes: 25e6, nodes=nodes, noise=0.4)
    world.run(60.0)
    assert share(world, FIRST_LANES) > 0.8


def test_an_origin_that_collapses_above_some_connections():
    world = World(lambda lanes, nodes: lanes * 2e6 if lanes * nodes <= 32 else 1e6 / nodes, nodes=2)
    world.run(60.0)
    assert share(world, 16) > 0.9
    assert world.tuner.borne == 16


def falls(at, noise=0.0, bearing=None):
    """A node whose lanes bring next to nothing if there are more than ``at``."""

    def speed(lanes, nodes):
        return lanes * 2e6 if lanes <= at else 1e6

    world = World(speed, noise=noise, bearing=bearing)
    while world.tuner.state is not State.RECOVERING:
        world.run(0.1)
    return world


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_a_fall_is_seen_at_once_and_not_brought_about_again_soon(noise):
    world = falls(16, noise)
    assert world.now < 2.0
    assert world.tuner.sheds(world.now)
    world.flights = []
    world.run(4.0)
    assert (world.tuner.lanes, world.tuner.borne) == (16, 16)
    world.run(15.0)
    assert set(world.seen[-150:]) == {16}


def test_what_an_origin_bears_is_tried_again_now_and_then_and_more_seldom_each_time():
    world = falls(16)
    world.run(300.0)
    fell = [now for now, lanes in enumerate(world.seen) if lanes > 16 and now > 30]
    first = [now for now in fell if now - 1 not in fell]
    assert {world.seen[now] for now in first} == {24}
    pauses = [b - a for a, b in itertools.pairwise(first)]
    assert pauses[0] > 400
    assert pauses[1] > 800


def test_an_origin_that_bears_more_by_now_gets_more():
    world = falls(16)
    world.run(3.0)
    world.speed = lambda lanes, nodes: lanes * 2e6
    world.run(60.0)
    assert max(world.seen) == MOST_LANES
    assert world.tuner.borne is None


def test_the_next_download_begins_with_what_was_borne():
    bearing = Bearing()
    falls(16, bearing=bearing).run(2.0)
    later = World(lambda lanes, nodes: lanes * 2e6, bearing=bearing)
    assert (later.tuner.lanes, later.tuner.borne) == (16, 16)
    assert later.run(5.0) == 16
    assert Tuner(Gauge(), 40, bearing).lanes == 40, "the user's number is the user's"


def test_a_standstill_that_goes_on_had_another_reason():
    world = falls(16)
    world.speed = lambda lanes, nodes: 1e6
    world.run(11.0)
    assert world.tuner.borne is None


def test_a_lull_of_some_tenths_while_there_are_no_trials_is_no_fall():
    world = World(lambda lanes, nodes: 0.0 if 5.0 < world.now < 5.8 else lanes * 5e6)
    world.run(10.0)
    assert world.tuner.borne is None
    assert world.tuner.lanes == MOST_LANES


@pytest.mark.parametrize("seed", range(5))
def test_it_settles_at_few_where_more_bring_nothing(seed):
    world = World(lambda lanes, nodes: 25e6, noise=0.4, seed=seed)
    world.run(120.0)
    assert share(world, *range(FIRST_LANES, 17)) > 0.8


def one_processor(lanes, nodes):
    """As TLS over a fast link: more lanes hinder each other a little."""
    return 1e9 / (1 + 0.1 * (lanes - 1))


def test_one_lane_that_takes_a_processor_is_enough():
    world = World(one_processor, has_tls=True)
    assert world.tuner.lanes == 1
    world.full = True
    world.run(60.0)
    assert share(world, 1) > 0.95
    assert max(world.seen) == 2  # that is tried: another may have a processor of its own


def test_no_processor_is_left_for_a_second_lane():
    world = World(one_processor, has_tls=True)
    world.full = world.strained = True
    world.run(60.0)
    assert set(world.seen) == {1}


def test_a_second_lane_that_has_a_processor_of_its_own():
    world = World(lambda lanes, nodes: min(lanes, 2) * 1e9, has_tls=True)
    world.full = True
    world.run(2.0)
    assert world.tuner.lanes == 2
    world.run(58.0)
    assert share(world, 2) > 0.85


def test_one_lane_that_takes_no_processor_is_soon_not_alone():
    world = World(lambda lanes, nodes: lanes * 5e6, has_tls=True)
    assert world.run(0.2) == 1  # as bytes have only just come
    assert world.run(0.1) == FIRST_LANES
    assert world.run(3.0) == MOST_LANES


def test_where_nothing_comes_one_lane_is_soon_not_alone():
    world = World(lambda lanes, nodes: 0, has_tls=True)
    assert world.run(0.2) == FIRST_LANES


def test_lanes_that_take_a_processor_together_get_fewer():
    world = World(one_processor, has_tls=True)
    world.full = True
    world.tuner.lanes, world.tuner.state = FIRST_LANES, State.SETTLING
    assert world.run(8.0) == 1
    assert max(world.seen) == 2 * FIRST_LANES


def test_no_processor_is_left_for_four_lanes():
    world = World(one_processor, has_tls=True)
    world.full = world.strained = True
    world.tuner.lanes, world.tuner.state = FIRST_LANES, State.SETTLING
    assert world.run(4.0) == 1
    assert max(world.seen) == FIRST_LANES


def test_lanes_that_take_a_processor_by_chance_get_more():
    """A cap of 100 MB/s on each connection, of which one takes a sixth of a processor."""
    world = World(lambda lanes, nodes: lanes * 100e6, has_tls=True)
    for _ in range(600):
        world.full = 0.6 < 0.16 * world.tuner.lanes < 1.15
        world.run(0.1)
    assert share(world, MOST_LANES) > 0.95


@pytest.mark.parametrize("strained", [False, True])
def test_one_lane_whose_bytes_do_not_come_gets_others(strained):
    speeds = {"now": 1e9}
    world = World(lambda lanes, nodes: speeds["now"], has_tls=True)
    world.full = world.strained = True
    assert world.run(20.0) == 1
    speeds["now"], world.full, world.strained = 0.0, False, strained
    assert world.run(0.6) == FIRST_LANES


def test_one_lane_gets_others_as_nodes_join():
    world = World(one_processor, has_tls=True)
    world.full = world.strained = True
    assert world.run(20.0) == 1
    world.nodes = 4
    assert world.run(1.0) == FIRST_LANES


def test_the_hand_shake_takes_a_processor_and_says_nothing():
    world = World(lambda lanes, nodes: 0, has_tls=True)
    world.full = True
    assert world.run(0.2) == FIRST_LANES


def test_two_that_bring_a_quarter_more_than_one_stay():
    world = World(lambda lanes, nodes: 1e9 if lanes == 1 else 1.25e9, has_tls=True)
    world.full = True
    world.run(60.0)
    assert share(world, 2) > 0.8


def test_without_tls_lanes_share_no_interpreter():
    world = World(one_processor)
    world.full = True
    world.run(60.0)
    assert share(world, FIRST_LANES) > 0.9
    assert min(world.seen) == FIRST_LANES


def test_a_complaint_to_the_only_lane_says_nothing_of_their_number():
    world = World(lambda lanes, nodes: lanes * 5e6, has_tls=True)
    world.run(0.1)
    world.tuner.complained(world.now)
    assert world.run(5.0) == FIRST_LANES // 2


def test_other_downloads_do_not_open_it():
    world = World(one_processor, has_tls=True)
    world.run(0.1)
    world.tuner.reset(world.now)
    assert world.tuner.is_opening
