"""Several downloads in one scheduler: turns by bytes, and none at the cost of another."""

import random

import pytest

from raydl.model.errors import HttpError
from raydl.model.events import LanesJoined, LanesLeft
from raydl.model.failure import Failure
from raydl.model.remote import Source
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.throttle import Throttle
from raydl.workers.protocol import HERE, Left, Pulse
from tests.lab import BUSY, Bench, Bytes, Room

GONE = Failure("status", "no", 404)


def several(number, **options):
    first = Bench(**options)
    return [first, *(Bench(beside=first, **options) for _ in range(number - 1))]


def finish(benches):
    """All of them, to their ends; nothing may be left of them."""
    benches[0].scheduler.run()
    for bench in benches:
        if bench.error is not None:
            raise bench.error
        bench._consume()
        assert bytes(bench.out) == bench.data
    benches[0].holds_nothing()


def served(benches):
    return [bench.job.meter.fetched for bench in benches]


@pytest.mark.parametrize("number", [2, 5, 20])
def test_turns_go_by_bytes(number):
    benches = several(number, count=100, limit=10**6, connections=4)
    benches[0].join(HERE, 4, seconds=0.1)
    halfway = []
    benches[0].after(0.1 * 100 * number / 8, lambda: halfway.extend(served(benches)))
    finish(benches)
    assert max(halfway) - min(halfway) <= 2 * 100 + 1
    assert sum(halfway) >= 0.9 * number * 5000


def test_large_parts_do_not_get_more_than_small_ones():
    first = Bench(count=100, limit=10**6, connections=4)
    second = Bench(count=10, limit=10**6, connections=4, beside=first)
    first.join(HERE, 4, seconds=0.1)
    halfway = []
    first.after(1.4, lambda: halfway.extend(served([first, second])))
    finish([first, second])
    assert 0.5 <= halfway[0] / halfway[1] <= 2


def test_who_comes_late_does_not_make_up_for_it():
    first = Bench(count=200, limit=10**6, connections=4)
    first.join(HERE, 4, seconds=0.1)
    late, seen = [], []

    def begin():
        late.append(Bench(count=200, limit=10**6, connections=4, beside=first))
        seen.append(served([first])[0])
        first.after(1.0, lambda: seen.extend(served([first, late[0]])))

    first.after(2.0, begin)
    first.scheduler.run()
    before, one, other = seen
    in_the_air = 4 * 50  # when it came
    assert other == pytest.approx(one - before - in_the_air, abs=150)


def test_who_was_paused_does_not_make_up_for_it():
    benches = several(2, count=200, limit=10**6, connections=4)
    benches[0].join(HERE, 4, seconds=0.1)
    marks = []
    benches[0].after(0.05, lambda: benches[1].hold(True))
    benches[0].after(2.0, lambda: (benches[1].hold(False), marks.append(served(benches))))
    benches[0].after(3.0, lambda: marks.append(served(benches)))
    finish(benches)
    gains = [after - before for before, after in zip(*marks, strict=True)]
    in_the_air = 4 * 50  # when it went on
    assert gains[0] - in_the_air == pytest.approx(gains[1], abs=150)


def test_a_slow_reader_slows_nobody_else():
    alone = Bench(count=100, limit=2000, connections=4)
    alone.join(HERE, 4, seconds=0.1)
    finish([alone])
    quick = Bench(count=100, limit=4000, connections=4)
    slow = Bench(count=100, limit=4000, connections=4, reads=1.0, beside=quick)
    quick.join(HERE, 4, seconds=0.1)
    ended = []

    def look():
        if quick.ended:
            ended.append(quick.seconds)
        else:
            quick.after(0.05, look)

    look()
    finish([quick, slow])
    assert ended[0] < alone.seconds + 1.5
    assert slow.seconds > 90


def test_memory_that_one_gives_back_goes_to_whose_turn_it_is():
    """What both wait for is not always taken by the one that gave it back."""

    class Small(Room):
        used = 0

        def has_room(self, size, now):
            return self.used + size <= 200

        def took(self, size):
            self.used += size

        def spared(self, size):
            self.used -= size

        def released(self, size, now):
            self.used -= size

    benches = several(2, count=100, limit=10**6, connections=8)
    benches[0].join(HERE, 8, seconds=0.1, memory=Small())
    halfway = []
    benches[0].after(3.0, lambda: halfway.extend(served(benches)))
    finish(benches)
    assert 0.6 <= halfway[0] / halfway[1] <= 1.7


def test_requests_to_an_origin_are_shared_too():
    benches = several(2, count=100, limit=10**6, connections=8, most=3)
    team = benches[0].join(HERE, 8, seconds=0.1)
    most, halfway = [], []

    def behave(team, task):
        flying = len(team.tasks) - len(done)
        most.append(flying)
        benches[0].after(0.1, lambda: done.append(task))
        return task.part.size, None, None

    done = []
    team.behave = behave
    benches[0].after(3.0, lambda: halfway.extend(served(benches)))
    finish(benches)
    assert max(most) <= 3
    assert 0.7 <= halfway[0] / halfway[1] <= 1.4


def test_the_same_rate_is_shared_and_another_is_not():
    throttle = Throttle(2000)
    first = Bench(count=100, limit=10**6, throttle=throttle)
    same = Bench(count=100, limit=10**6, throttle=throttle, beside=first)
    free = Bench(count=100, limit=10**6, beside=first)
    first.join(HERE, 64, seconds=0.01)
    ended = []
    first.after(1.0, lambda: ended.append(free.ended))
    finish([first, same, free])
    assert ended == [True]
    assert first.seconds == pytest.approx(10.0, abs=0.6)


def test_an_error_of_one_is_nobody_elses():
    bad = Bench(mirrors=[Mirror(Source("http://bad/f", 10_000, '"v1"', None))])
    good = Bench(beside=bad)

    def behave(team, task):
        is_bad = "bad" in task.source.url
        return (0, GONE, None) if is_bad else (task.part.size, None, None)

    bad.join(HERE, 4, behave, seconds=0.1)
    bad.scheduler.run()
    assert isinstance(bad.error, HttpError)
    assert good.error is None
    good._consume()
    assert bytes(good.out) == good.data
    bad.holds_nothing()


def test_what_is_in_the_air_when_one_ends_comes_to_nobody():
    benches = several(2, count=20, limit=10**6, connections=8)
    team = benches[0].join(HERE, 8, seconds=0.5)
    made = []

    def behave(team, task):
        made.append(Bytes(benches[0].data[task.part.start : task.part.stop]))
        return task.part.size, None, made[-1]

    team.behave = behave
    benches[0].after(0.7, benches[0].close)
    finish(benches[1:])
    assert all(payload.released for payload in made[:-1])
    assert team.cancelled


def test_what_lies_on_a_silent_node_is_fetched_again_though_nothing_flies_there():
    benches = several(2, count=10, limit=10**6, connections=8)

    class Stuck(Bytes):
        def pull(self, done):
            pass

    def behave(team, task):
        return task.part.size, None, Stuck(b"", remote=True)

    def pulse(now):
        return Pulse(1000.5, 1000.5, 0, {}, None)

    far = benches[0].join("far", 64, behave, pulse=pulse)
    benches[0].after(0.1, lambda: benches[0].join(HERE, 8, seconds=0.1))
    finish(benches)
    assert len(far.tasks) == 20
    assert [bench.job.meter.retried for bench in benches] == [10, 10]


def test_everybody_is_told_of_nodes():
    benches = several(2, count=20, limit=10**6)
    team = benches[0].join("a", 2, seconds=0.5)
    benches[0].join(HERE, 2, seconds=0.5)
    benches[0].after(1.2, lambda: benches[0].post(Left("a", team, "its process ended")))
    finish(benches)
    for bench in benches:
        assert [event.node for event in bench.of(LanesJoined)] == ["a", HERE]
        assert [event.node for event in bench.of(LanesLeft)] == ["a"]


class Anywhere:
    """A destination that takes parts as they come, where they are, and loses some."""

    here = in_order = False

    def __init__(self, bench, loses=lambda part: False):
        self.bench, self.loses, self.taken, self.ended = bench, loses, [], []

    def take(self, part, payload, node, done):
        assert not payload.here
        problem = "the disk is full" if self.loses(part) else ""
        if not problem:
            self.taken.append(part)
        self.bench.after(0.3, lambda: done(problem))

    def end(self, error):
        self.ended.append(error)


def test_a_destination_that_wants_bytes_where_they_are_in_any_order():
    bench = Bench(count=100, limit=2000)
    lost = [3]

    def loses(part):
        lost[0] -= part.start == 500
        return part.start == 500 and lost[0] >= 0

    there = bench.job.destination = Anywhere(bench, loses)
    bench.job.window._in_order = False
    chance = random.Random(1)

    def behave(team, task):
        team.seconds = chance.uniform(0.01, 0.5)
        return task.part.size, None, Bytes(b"", remote=True)

    bench.join("a", 8, behave)
    bench.join("b", 8, behave)
    bench.scheduler.run()
    assert there.ended == [None]
    assert sorted(part.start for part in there.taken) == list(range(0, 10_000, 100))
    assert there.taken != sorted(there.taken)
    assert bench.job.meter.retried == 3
    bench.holds_nothing()


@pytest.mark.parametrize("seed", range(15))
def test_random_worlds(seed):
    """Nodes that come and go, requests that fail, objects that are lost, downloads that end."""
    chance = random.Random(seed)
    first = Bench(count=60, limit=3000, retries=50, connections=3, patience=50.0)
    benches = [first]
    closed = set()

    def behave(team, task):
        team.seconds = chance.uniform(0.01, 0.4)
        dice = chance.random()
        if dice < 0.1:
            return 0, BUSY, None
        if dice < 0.2 and task.part.size > 1:
            return chance.randrange(1, task.part.size), chance.choice([None, BUSY]), None
        if dice < 0.25:
            return task.part.size, None, Bytes(b"", remote=True, lost="gone")
        payload = Bytes(first.data[task.part.start : task.part.stop], remote=dice < 0.6)
        return task.part.size, None, payload

    teams = {}

    def come(name):
        teams[name] = first.join(name, 3, behave)

    def go(name):
        first.post(Left(name, teams[name], "gone", unreachable=chance.random() < 0.5))
        first.after(chance.uniform(0.1, 3.0), lambda: come(name))

    first.join(HERE, 3, behave)
    for name in "abc":
        come(name)
        for _ in range(3):
            first.after(chance.uniform(0.5, 9.0), lambda name=name: go(name))

    def begin():
        benches.append(
            Bench(
                count=chance.choice([None, 10, 80]), limit=chance.choice([800, 3000]), retries=50,
                connections=chance.choice([3, 3, 2]), patience=50.0, beside=first,
                reads=chance.choice([0.0, 0.02]),
            )
        )  # fmt: skip

    def close():
        bench = chance.choice(benches)
        if not bench.ended:
            closed.add(bench)
            bench.close()

    for _ in range(5):
        first.after(chance.uniform(0.0, 5.0), begin)
    for _ in range(2):
        first.after(chance.uniform(0.5, 6.0), close)
    first.after(0.2, lambda: [b.hold(True) for b in benches[1:2]])
    first.after(2.0, lambda: [b.hold(False) for b in benches])
    first.scheduler.run()
    for bench in benches:
        assert bench.error is None or bench in closed
        if bench not in closed:
            bench._consume()
            assert bytes(bench.out) == bench.data
    first.holds_nothing()
