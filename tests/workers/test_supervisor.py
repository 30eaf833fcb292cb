"""Workers hired, asked and given up, in simulated time: a thousand nodes, slow and dead heads."""

import heapq
from collections import Counter, defaultdict
from itertools import count, pairwise

import pytest

from raydl.cluster.actors import ActorLost
from raydl.cluster.session import Node
from raydl.model.errors import ClusterError
from raydl.workers.headwatch import BUSY_SECONDS, HEAD_SECONDS, HeadWatch
from raydl.workers.protocol import Connected, Heard, Joined, Left
from raydl.workers.supervisor import (
    GIVE_UP_SECONDS,
    HIRES,
    PULSE_SECONDS,
    STOPPED_SECONDS,
    TURN_SECONDS,
    Supervisor,
)

VISIT, KNOCK = 5, 20
"""Turns from one visit, or knock, to the next."""


class FakeActor:
    def __init__(self, world):
        self.world, self.mute, self.is_killed = world, False, False

    def pulse(self, done):
        if self.world.is_ready[self]:
            self.world.asks.append(self.world.now)
        if not self.mute:
            self.world.after(self.world.latency, lambda: self.answer(done))

    def answer(self, done):
        self.world.is_ready[self] = True
        done((self.world.now, 0, {}, None))

    def kill(self):
        self.is_killed = True


class FakeHead:
    """What a knock finds."""

    found = (None, False)

    def knock(self):
        return self.found


class World:
    """A cluster of ``size`` nodes, and what supervises it; also the fake Session."""

    address = "h:1"

    def __init__(self, size):
        self.now = 1000.0
        self._later, self._order, self._turn = [], count(), 0
        self._is_visiting = False
        self.alive = [
            Node(f"n{i}", f"n{i}", "host", False, False, 1.0, 1 << 30) for i in range(size)
        ]
        self.actors, self.asks, self.is_ready = {}, [], defaultdict(bool)
        self.lists, self.hired, self.posted, self.heard = [], [], [], defaultdict(list)
        self.list_takes, self.latency = 0.0, 0.02
        self.head = FakeHead()
        self.watch = HeadWatch(self.head, self.clock)
        self.supervisor = Supervisor(
            self, self.watch, self.posted.append, self.post,
            memory=None, here=lambda: True, clock=self.clock,
        )  # fmt: skip

    def clock(self):
        return self.now

    def after(self, seconds, call):
        heapq.heappush(self._later, (self.now + seconds, next(self._order), call))

    def post(self, message):
        assert isinstance(message, Heard)
        self.heard[message.team].append(self.now)

    def nodes(self):
        self.lists.append(self.now)
        takes, self.list_takes = self.list_takes, 0.0
        self.run(takes)
        return list(self.alive)

    def hire(self, node, worker):
        self.hired.append(self.now)
        self.actors[node.id] = FakeActor(self)
        return self.actors[node.id], False

    def run(self, seconds):
        """Let time pass; what waits for Ray meanwhile goes on waiting."""
        end = self.now + seconds
        while self.now < end:
            self.now += TURN_SECONDS
            self._turn += 1
            while self._later and self._later[0][0] <= self.now:
                heapq.heappop(self._later)[2]()
            if self._turn % KNOCK == 0:
                self.watch.knock()
            if self._turn % VISIT == 0 and not self._is_visiting:
                self._is_visiting = True
                self.supervisor.visit()
                self._is_visiting = False
            self.supervisor.ask()

    def of(self, kind):
        return [message for message in self.posted if isinstance(message, kind)]


def grown(size):
    """A cluster whose workers have all joined, and been asked for some time."""
    world = World(size)
    world.run(15)
    assert len(world.of(Joined)) == size
    world.run(15)
    return world


@pytest.fixture(scope="module")
def thousand():
    """It is only looked at."""
    world = grown(1000)
    world.run(60)
    return world


def test_nobody_of_a_thousand_is_lost(thousand):
    assert not thousand.of(Left)
    (connected,) = thousand.of(Connected)
    assert connected.others == 1000


def test_a_thousand_are_asked_evenly_and_at_most_250_times_a_second(thousand):
    seconds = Counter(int(at) for at in thousand.asks)
    assert max(seconds.values()) <= 250
    turns = Counter(round(at / TURN_SECONDS) for at in thousand.asks if at > 1030)
    assert max(turns.values()) <= 20
    assert thousand.supervisor.period == 5.0


def test_each_is_heard_as_often_as_its_team_says(thousand):
    assert len(thousand.heard) == 1000
    for team, heard in thousand.heard.items():
        gaps = [b - a for a, b in pairwise(heard)]
        assert max(gaps) < 1.1 * team.period
        assert len(heard) >= 60 / team.period


def test_workers_are_hired_a_few_at_a_time(thousand):
    assert max(Counter(thousand.hired).values()) == HIRES


def test_a_thousand_are_listed_seldom(thousand):
    assert len([at for at in thousand.lists if at > 1030]) <= 13


def test_a_few_are_asked_and_listed_often():
    world = grown(4)
    assert world.supervisor.period == PULSE_SECONDS
    for heard in world.heard.values():
        assert max(b - a for a, b in pairwise(heard)) < 0.35
    assert len(world.lists) > 50


@pytest.mark.parametrize("size", [4, 1000])
def test_a_head_that_takes_6_s_for_a_list_holds_up_no_sign_of_life(size):
    world = grown(size)
    world.list_takes = 6.0
    listed = len(world.lists)
    world.run(12)
    assert len(world.lists) > listed
    assert not world.of(Left)
    for team, heard in world.heard.items():
        assert max(b - a for a, b in pairwise(heard)) < max(0.35, 1.1 * team.period)


@pytest.mark.parametrize("size", [4, 1000])
def test_a_head_that_is_silent_for_6_s_keeps_its_cluster(size):
    world = grown(size)
    world.head.found = ClusterError("no answer"), True
    world.run(6)
    world.head.found = None, False
    world.run(40)
    assert not world.of(Left)


def seconds_until_the_end(world):
    began = world.now
    with pytest.raises(ClusterError) as caught:
        world.run(100)
    return world.now - began, caught.value.message


@pytest.mark.parametrize("size", [4, 1000])
def test_a_head_that_is_refused_is_gone_soon(size):
    world = grown(size)
    world.head.found = ClusterError("nothing listens there"), False
    took, message = seconds_until_the_end(world)
    assert took < HEAD_SECONDS + 2
    assert message == "nothing listens there"
    world.supervisor.drop_all("the connection broke")
    assert len(world.of(Left)) == size


@pytest.mark.parametrize("size", [4, 1000])
def test_a_head_that_is_silent_with_all_its_workers_is_gone_soon(size):
    world = grown(size)
    for actor in world.actors.values():
        actor.mute = True
    world.head.found = ClusterError("no answer"), True
    took, _ = seconds_until_the_end(world)
    assert took < HEAD_SECONDS + 2


def test_a_head_that_stays_silent_is_gone_in_time():
    world = grown(4)
    world.head.found = ClusterError("no answer"), True
    took, _ = seconds_until_the_end(world)
    assert HEAD_SECONDS + 2 < took < BUSY_SECONDS + 2


def test_a_call_of_rays_that_never_returns_ends_it_in_time():
    world = grown(4)
    world.list_takes = 1000.0
    took, message = seconds_until_the_end(world)
    assert took < BUSY_SECONDS + 2
    assert "head" in message


def test_a_head_that_does_not_answer_is_asked_for_nothing():
    world = grown(4)
    world.head.found = ClusterError("no answer"), True
    world.run(2)
    listed = len(world.lists)
    world.run(3)
    assert len(world.lists) == listed


@pytest.mark.parametrize("size", [4, 1000])
def test_a_minute_that_was_not_lived_does_not_count(size):
    world = grown(size)
    world.latency = 0.2
    world.run(1)
    world.now += 60.0
    for _ in range(20):  # before any answer that came meanwhile is looked at
        world.supervisor.ask()
        world.now += TURN_SECONDS
    world.run(10)
    assert not world.of(Left)
    assert not [
        n for n in Counter(round(at / TURN_SECONDS) for at in world.asks).values() if n > 25
    ]


def test_less_than_a_suspension_is_a_silence():
    world = grown(1)
    (actor,) = world.actors.values()
    actor.mute = True
    world.run(GIVE_UP_SECONDS - 1)
    world.now += STOPPED_SECONDS - 0.1
    world.run(1)
    assert len(world.of(Left)) == 1


@pytest.mark.parametrize("size", [4, 1000])
def test_one_that_is_silent_is_given_up_and_replaced(size):
    world = grown(size)
    frozen = world.actors["n1"]
    frozen.mute = True
    world.run(GIVE_UP_SECONDS - 1)
    assert not world.of(Left)
    world.run(2 + 2 * world.supervisor.period)
    (left,) = world.of(Left)
    assert (left.node, left.unreachable) == ("n1", True)
    world.run(5 + world.supervisor.period)
    assert frozen.is_killed
    assert world.actors["n1"] is not frozen
    assert len(world.of(Joined)) == size + 1


def test_an_answer_that_comes_after_it_was_dropped_is_not_passed_on():
    world = grown(2)
    asked = []
    world.actors["n1"].pulse = asked.append
    world.run(1)
    world.alive.pop()
    world.run(1)
    (left,) = world.of(Left)
    heard = len(world.heard[left.team])
    asked[0]((1.0, 0, {}, None))
    assert len(world.heard[left.team]) == heard


def test_one_that_is_lost_leaves_at_once():
    world = grown(2)
    asked = []
    world.actors["n1"].pulse = asked.append
    world.run(1)
    asked[0](ActorLost("its process ended"))
    (left,) = world.of(Left)
    assert (left.reason, left.unreachable) == ("its process ended", False)
