"""Several downloads of one scheduler: what happens to one is nothing to the others."""

import pytest

from raydl.model.coverage import Coverage
from raydl.model.errors import CancelledError, ClusterError
from raydl.model.failure import Failure
from raydl.model.parts import Plan
from raydl.scheduler.flights import CUT_SHORT
from raydl.scheduler.inbox import Gone
from raydl.scheduler.job import Reach
from raydl.scheduler.throttle import Throttle
from raydl.workers.protocol import ConnectFailed, Left, Pulse
from tests.lab import DATA, Bench, Bytes


class Late(Bench):
    """Takes bytes where they were fetched, as they come, and acknowledges them in a second."""

    here = in_order = False

    def take(self, part, payload, node, done):
        self.after(1.0, lambda: done(""))


def test_what_a_silent_node_had_for_a_download_that_is_over_ends_no_other():
    one = Bench(connections=4)
    other = Bench(connections=4, beside=one, reads=0.3)

    def behave(team, task):
        if team.tasks.index(task) == 0:
            payload = Bytes(DATA[task.part.start : task.part.stop], remote=True)
            payload.pull = lambda done: None
            return task.part.size, None, payload
        return None

    one.join("far", 4, behave, pulse=lambda now: Pulse(1000.0, 1000.0, 0, {}, None))
    one.after(0.1, one.close)
    one.after(0.2, lambda: other.join("near", 4))
    other.run()
    assert one.ended


@pytest.mark.parametrize("before", [True, False])
def test_a_node_that_is_lost_has_nothing_of_what_was_handed_over(before):
    bench = Late(connections=2)
    size = 1000

    def behave(team, task):
        return task.part.size, None, Bytes(DATA[:size], remote=True)

    team = bench.join("far", 2, behave)
    bench.join("near", 2)
    bench.after(0.5 if before else 1.5, lambda: bench.post(Left("far", team, "gone", True)))
    bench.scheduler.run()
    assert bench.error is None
    assert bench.job.window.done


def test_the_rate_is_not_charged_for_what_a_lost_node_did_not_bring():
    throttle = Throttle(10_000)
    bench = Bench(connections=4, throttle=throttle)
    bench.join("a", 4, lambda team, task: None)
    waits = []

    def look():
        waits.append(throttle.next_at(bench.world.now) - bench.world.now)

    bench.after(0.3, look)
    bench.after(0.3, lambda: bench.inbox.post(Gone()))
    bench.after(0.3, lambda: bench.after(0.0, look))
    bench.after(0.5, bench.close)
    bench.scheduler.run()
    assert waits[0] > 0
    assert waits[1] <= 0


def test_a_cluster_that_failed_before_a_download_began_ends_it():
    """As soon as it begins, where nobody else can fetch for it."""
    bench = Bench(reach=Reach("c", threads=False))
    bench.world._messages.clear()
    bench.inbox.post(ConnectFailed(ClusterError("no cluster there")), "c")
    bench.begin()
    with pytest.raises(ClusterError, match="no cluster there"):
        bench.run()
    assert bench.seconds < 0.2


def test_a_download_that_is_closed_is_not_whole():
    bench = Bench()
    bench.after(0.5, bench.close)
    bench.scheduler.run()
    assert isinstance(bench.error, CancelledError)


@pytest.mark.parametrize("in_order", [True, False])
def test_what_is_called_off_is_not_cut_up_while_another_fetches_the_same(in_order, monkeypatch):
    """Else the other one's bytes come beside those of the small requests, twice in a bucket."""
    monkeypatch.setattr(Bench, "in_order", in_order)
    bench, held, taken = Bench(None, size=64 << 20, limit=256 << 20, connections=2), {}, []
    bench.job.plan = bench.job.window.plan = Plan(Coverage(), 64 << 20, 4 << 20)

    def consume():
        while bench._queue:
            part, _, done = bench._queue.popleft()
            taken.append(part)
            done("")

    def slow(team, task):
        name = "first" if "first" not in held else "second"
        same = name == "first" or task.part == held["first"][1].part
        if task.part.size == 4 << 20 and name not in held and same:
            held[name] = team, task
            return None
        if "second" in held and task.part.start == held["first"][1].part.start:
            return None
        return task.part.size, None, None

    def call_off():
        if "second" not in held:
            bench.after(0.1, call_off)
            return
        team, task = held["second"]
        bench.scheduler._dispatcher.get(task.ticket).give_up(CUT_SHORT)
        team.answer(task, 0, None, Failure("cancelled", "cancelled"))
        bench.after(0.5, come)

    def come():
        team, task = held["first"]
        team.answer(task, task.part.size)

    bench._consume = consume
    bench.join("a", 2, slow, seconds=0.02)
    bench.join("b", 2, slow, seconds=0.02)
    bench.after(0.1, call_off)
    bench.scheduler.run()
    assert set(held) == {"first", "second"}
    assert sum(part.size for part in taken) == 64 << 20
