"""The coordinator over made-up lanes: order, bound, retries, lanes that come and go."""

import random
import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from raydl import backoff
from raydl import coordinator as module
from raydl.coordinator import Coordinator
from raydl.errors import CancelledError, ClusterError, HttpError, NetworkError
from raydl.event import (
    LanesJoined,
    LanesLeft,
    Notice,
    PartFailed,
    PartHedged,
    PartWritten,
    Progress,
)
from raydl.inbox import Inbox
from raydl.lane import Connected, ConnectFailed, Disconnected, Fetched, Joined, Left, Pulse
from raydl.mirrors import Mirror
from raydl.models import Failure, Part, Plan, Source

DATA = random.Random(3).randbytes(10_000)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(backoff, "FIRST", 0.001)
    monkeypatch.setattr(backoff, "LONGEST", 0.002)


class Bytes:
    """A payload; ``remote`` ones have to be pulled first, and may be lost."""

    in_store = False

    def __init__(self, data, remote=False, lost=""):
        self.data, self.here, self.lost, self.released = data, not remote, lost, False

    def pull(self, done):
        self.here = not self.lost
        done(self.lost)

    def view(self):
        assert self.here
        return memoryview(self.data)

    def release(self):
        self.released = True


@dataclass(eq=False)
class FakeTeam:
    """Answers at once with what ``behave`` makes of a task: (got, failure, payload)."""

    node: str
    inbox: Inbox
    most: int
    behave: object = None
    tasks: list = field(default_factory=list)
    cancelled: list = field(default_factory=list)
    full: bool = False
    in_store: bool = False
    seconds: float = 0.0
    pulse: object = None

    def accepts(self, size, urgent):
        return urgent or not self.full

    def look(self):
        now = time.monotonic()
        return self.pulse(now) if self.pulse else Pulse(now, now, 0, {}, None)

    def cancel(self, ticket):
        self.cancelled.append(ticket)

    def start(self, ticket, part, source):
        task = Asked(ticket, part, sum(t.part.start == part.start for t in self.tasks))
        self.tasks.append(task)
        got, failure, payload = part.size, None, None
        if self.behave is not None:
            outcome = self.behave(self, task)
            if outcome is None:
                return
            got, failure, payload = outcome
        if got and payload is None:
            payload = Bytes(DATA[part.start : part.start + got])
        self.answer(task, got, payload, failure)

    def answer(self, task, got, payload=None, failure=None):
        if got and payload is None:
            payload = Bytes(DATA[task.part.start : task.part.start + got])
        self.inbox.post(Fetched(task.ticket, got, payload, failure, self.seconds))


class Asked(NamedTuple):
    ticket: int
    part: Part
    tries: int


class Bench:
    def __init__(
        self,
        count=10,
        *,
        start=0,
        limit=4000,
        retries=3,
        patience=5.0,
        connections=64,
    ):
        self.inbox = Inbox()
        self.events = []
        largest = -(-(len(DATA) - start) // count) if count else 1000
        self.plan = Plan(start, len(DATA), largest, count)
        self.coordinator = Coordinator(
            self.plan,
            [Mirror(Source("http://o/f", len(DATA), '"v1"', None))],
            self.inbox,
            self.events.append,
            limit=limit,
            retries=retries,
            patience=patience,
            connections=connections,
        )

    def join(self, node, lanes=1, behave=None, **more):
        team = FakeTeam(node, self.inbox, lanes, behave, **more)
        self.inbox.post(Joined(team))
        return team

    def run(self):
        out = bytearray(DATA[: self.plan.start])
        try:
            for part, view in self.coordinator.chunks():
                assert part.start == len(out)
                out += view
        finally:
            self.coordinator.close()
        assert bytes(out) == DATA
        return self.of(Progress)[-1]

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


BUSY = Failure("status", "busy", 503)


def run_beside(bench, work, stop):
    """Run the download while a thread does ``work`` until ``stop`` is set."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        bench.run()
    finally:
        stop.set()
        thread.join()


def test_everything_in_order(no_leaks):
    bench = Bench()
    bench.join("a", 3)
    last = bench.run()
    assert (last.fetched, last.written) == (10_000, 10_000)
    assert sum(e.stop - e.start for e in bench.of(PartWritten)) == 10_000
    assert [(s.node, s.bytes, s.lanes) for s in bench.coordinator.meter.shares()] == [
        ("a", 10_000, 3)
    ]


def test_an_empty_plan_needs_no_lane():
    bench = Bench(count=0, start=len(DATA))
    assert bench.run().written == len(DATA)


def test_it_goes_on_from_an_offset():
    bench = Bench(start=1234)
    bench.join("a")
    assert bench.run().fetched == 10_000


@pytest.mark.parametrize("seed", range(10))
def test_chaos(seed):
    """Lanes that fail, deliver part of a part, lose objects, out of order: the same bytes."""
    chance = random.Random(seed)
    held = []

    def behave(lane, task):
        part = task.part
        dice = chance.random()
        if dice < 0.15 and task.tries < 3:
            return 0, BUSY, None
        if dice < 0.3 and part.size > 1:
            got = chance.randrange(1, part.size)
            return got, chance.choice([None, BUSY]), None
        if dice < 0.4 and task.tries < 3:
            return part.size, None, Bytes(b"", remote=True, lost="gone")
        payload = Bytes(DATA[part.start : part.stop], remote=dice < 0.7)
        if dice < 0.8:
            held.append(Fetched(task.ticket, part.size, payload, None, 0.0))
            if len(held) > 2 or chance.random() < 0.5:
                lane.inbox.post(held.pop(chance.randrange(len(held))))
            return None
        return part.size, None, payload

    bench = Bench(count=60, limit=3000, retries=50)
    for node in "abc":
        bench.join(node, 2, behave)
    # What is held back for ever would hang: let it go when nothing else moves.
    stop = threading.Event()

    def release():
        while not stop.wait(0.01):
            if held:
                bench.inbox.post(held.pop())

    run_beside(bench, release, stop)


def test_the_window_is_bounded_while_the_head_is_missing():
    blocked = []

    def behave(lane, task):
        if task.part.start == 0:
            blocked.append((lane, task))
            return None
        return task.part.size, None, None

    bench = Bench(count=20, limit=2000)
    team = bench.join("a", 4, behave)
    seen = {}

    def consume():
        bench.run()
        seen["done"] = True

    thread = threading.Thread(target=consume)
    thread.start()
    while len(team.tasks) < 4 or not bench.of(Progress):
        pass
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        assert max(task.part.stop for task in team.tasks) <= 2000
    lane, task = blocked[0]
    lane.answer(task, 500)
    thread.join(20)
    assert seen


def test_a_slow_consumer_slows_the_lanes():
    bench = Bench(count=20, limit=1000)
    lane = bench.join("a")
    chunks = bench.coordinator.chunks()
    next(chunks)
    deadline = time.monotonic() + 0.2
    while time.monotonic() < deadline:
        assert max(task.part.stop for task in lane.tasks) <= 1000 if lane.tasks else True
    rest = b"".join(bytes(view) for _, view in chunks)
    assert rest == DATA[500:]
    bench.coordinator.close()


def test_memory_that_is_used_up_stops_a_lane_but_never_the_head():
    bench = Bench()
    lane = bench.join("a")
    lane.full = True
    bench.run()
    starts = [task.part.start for task in lane.tasks]
    assert starts == sorted(starts)


def test_a_part_goes_on_from_what_arrived():
    def behave(lane, task):
        return (300, BUSY, None) if task.part.size == 1000 else (task.part.size, None, None)

    bench = Bench()
    lane = bench.join("a", 1, behave)
    bench.run()
    assert {task.part.size for task in lane.tasks} == {1000, 700}
    assert bench.coordinator.meter.retried == 10
    assert all(e.reason == "busy" for e in bench.of(PartFailed))


def test_retries_run_out():
    bench = Bench(retries=2)
    bench.join("a", 1, lambda lane, task: (0, BUSY, None))
    with pytest.raises(HttpError, match=r"busy \(3 tries\)") as caught:
        bench.run()
    assert caught.value.status == 503


def test_progress_starts_the_count_anew():
    """A connection that breaks again and again, but always brings something, is no failure."""
    bench = Bench(count=1, limit=10_000, retries=1)
    broken = Failure("broken", "broken")
    bench.join("a", 1, lambda lane, task: (min(task.part.size, 500), broken, None))
    bench.run()
    assert bench.coordinator.meter.retried == 19


def test_no_retry_for_what_will_not_change():
    bench = Bench()
    team = bench.join("a", 1, lambda lane, task: (0, Failure("status", "no", 404), None))
    with pytest.raises(HttpError):
        bench.run()
    assert len(team.tasks) == 1


def test_a_lane_that_fails_rests_and_another_takes_over(monkeypatch):
    monkeypatch.setattr(backoff, "LONGEST", 60.0)
    monkeypatch.setattr(backoff, "FIRST", 60.0)
    monkeypatch.setattr(module.backoff, "delay", lambda tries, after=None: 60.0 if tries else 0.0)
    lost = Failure("lane", "lost")
    bench = Bench()
    bad = bench.join("bad", 1, lambda lane, task: (0, lost, None))
    bench.join("good")
    bench.run()
    assert len(bad.tasks) == 1


def test_a_node_that_leaves():
    """Its part in flight comes back as a failure, and goes to another; it gets nothing more."""
    inflight = []

    def hold(lane, task):
        inflight.append((lane, task))

    bench = Bench()
    bad = bench.join("bad", 1, hold)
    thread = threading.Thread(target=bench.run)
    thread.start()
    while not inflight:
        pass
    bench.inbox.post(Left("bad", bad, "its process ended"))
    lane, task = inflight[0]
    lane.answer(task, 0, failure=Failure("lane", "lost"))
    bench.join("good")
    thread.join(20)
    assert not thread.is_alive()
    assert len(bad.tasks) == 1
    assert [(e.node, e.lanes) for e in bench.of(LanesLeft)] == [("bad", 1)]
    assert [e.node for e in bench.of(LanesJoined)] == ["bad", "good"]


def test_new_lanes_of_a_node_take_over_from_the_old():
    bench = Bench()
    old = bench.join("a", 2)
    new = bench.join("a", 2)
    bench.run()
    assert not old.tasks
    assert new.tasks


def test_a_node_that_never_could_is_told_once():
    bench = Bench()
    for _ in range(3):
        bench.inbox.post(Left("w", None, "it cannot import requests"))
    bench.join("a")
    bench.run()
    assert [str(e) for e in bench.of(Notice)] == ["w cannot fetch: it cannot import requests"]


def test_no_lane_at_all():
    bench = Bench(patience=0.05)
    with pytest.raises(ClusterError, match="no node has been there"):
        bench.run()


def test_a_cluster_that_fails():
    failed = ConnectFailed(ClusterError("no token", "get one"))
    bench = Bench()
    bench.inbox.post(failed)
    with pytest.raises(ClusterError, match="no token"):
        bench.run()
    bench = Bench()
    bench.join("this machine")
    bench.inbox.post(failed)
    bench.run()
    assert "going on without the cluster: no token; get one" in map(str, bench.of(Notice))


def test_a_cluster_that_goes():
    gone = Disconnected(ClusterError("nothing listens there", "look"))
    bench = Bench()
    bench.join("a")
    bench.inbox.post(gone)
    bench.run()
    assert "going on without the cluster: nothing listens there" in map(str, bench.of(Notice))
    bench = Bench()
    bench.inbox.post(gone)
    with pytest.raises(ClusterError, match="nothing listens there"):
        bench.run()


def test_a_cluster_of_this_machine_alone_that_shall_not_fetch():
    bench = Bench()
    bench.inbox.post(Connected("h:1", 1, 0, 0))
    with pytest.raises(ClusterError, match="only this machine"):
        bench.run()


def test_cancel(no_leaks):
    bench = Bench()
    bench.join("a", 1, lambda lane, task: None)
    chunks = bench.coordinator.chunks()
    bench.coordinator.cancel()
    with pytest.raises(CancelledError):
        next(chunks)
    bench.coordinator.close()


def test_an_observer_that_fails_ends_the_download():
    bench = Bench()

    def emit(event):
        raise RuntimeError("observer")

    bench.coordinator._emit = emit
    bench.join("a")
    with pytest.raises(RuntimeError, match="observer"):
        bench.run()


def test_payloads_are_released():
    made = []

    def behave(lane, task):
        made.append(Bytes(DATA[task.part.start : task.part.stop], remote=True))
        return task.part.size, None, made[-1]

    bench = Bench()
    bench.join("a", 2, behave)
    bench.run()
    assert len(made) == 10
    assert all(payload.released for payload in made[:-1])


def test_network_errors_are_network_errors():
    bench = Bench(retries=0)
    bench.join("a", 1, lambda lane, task: (0, Failure("timeout", "slow"), None))
    with pytest.raises(NetworkError, match="slow; run the same"):
        bench.run()


def test_short_answers_do_not_outrun_a_slow_consumer():
    """An origin may send less than asked each time: no buffer is taken beyond the limit."""
    held = [0]

    class Counted(Bytes):
        def release(self):
            held[0] -= 1

    most = []

    def behave(lane, task):
        held[0] += 1
        most.append(held[0])
        lane.full = held[0] >= 3
        start = task.part.start
        return min(task.part.size, 100), None, Counted(DATA[start : start + 100])

    bench = Bench(count=10, limit=4000)
    bench.join("a", 2, behave)
    out = b""
    for _, view in bench.coordinator.chunks():
        out += view
        deadline = time.monotonic() + 0.002
        while time.monotonic() < deadline:
            pass
    bench.coordinator.close()
    assert out == DATA
    assert max(most) <= 5


def test_a_node_that_cannot_be_reached_takes_its_objects_with_it():
    """What it had fetched, but not delivered, is fetched again; late answers count for nothing."""
    asked = []

    class Stuck(Bytes):
        def pull(self, done):
            asked.append(self)

    def behave(lane, task):
        if task.part.start == 0:
            return task.part.size, None, Stuck(DATA[:1000], remote=True)
        return None

    bench = Bench()
    far = bench.join("far", 2, behave)
    thread = threading.Thread(target=bench.run)
    thread.start()
    while not asked or len(far.tasks) < 3:
        pass
    bench.inbox.post(Left("far", far, "it does not answer", unreachable=True))
    payload = Bytes(b"wrong" * 200)
    far.answer(far.tasks[-1], 1000, payload)
    bench.join("near", 1)
    thread.join(20)
    assert not thread.is_alive()
    assert payload.released
    assert [(e.node, e.lanes) for e in bench.of(LanesLeft)] == [("far", 2)]


def in_thread(bench):
    thread = threading.Thread(target=bench.run)
    thread.start()
    return thread


def holding_the_first():
    """A behaviour that keeps the first request for the first bytes, and where it keeps it."""
    held = []

    def behave(lane, task):
        if task.part.start == 0 and not held:
            held.append(task)
            return None
        return task.part.size, None, None

    return held, behave


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline


def test_a_late_part_is_hedged_and_the_first_answer_wins():
    """Its lane has brought nothing for long, the others would have had it by now."""
    stuck, behave = holding_the_first()
    bench = Bench(limit=20_000)
    bench.thread = in_thread(bench)
    slow = bench.join("slow", 1, behave, seconds=0.01)
    until(lambda: stuck)
    quick = bench.join("quick", 2, behave, seconds=0.01)
    bench.thread.join(20)
    assert not bench.thread.is_alive()
    assert [e.node for e in bench.of(PartHedged)] == ["slow"]
    assert slow.cancelled == [stuck[0].ticket]
    assert any(task.part.start == 0 for task in quick.tasks)


def test_the_loser_of_a_race_is_not_written_twice_nor_tried_again():
    stuck = []

    def behave(lane, task):
        if task.part.start == 9000 or (task.part.start == 0 and lane.node == "slow"):
            stuck.append((lane, task))
            return None
        return task.part.size, None, None

    bench = Bench(limit=20_000)
    bench.thread = in_thread(bench)
    slow = bench.join("slow", 1, behave, seconds=0.01)
    until(lambda: stuck)
    bench.join("quick", 4, behave, seconds=0.01)
    until(lambda: slow.cancelled)
    payload = Bytes(b"?" * 1000)
    slow.answer(slow.tasks[0], 1000, payload)
    until(lambda: payload.released)
    for lane, task in stuck[1:]:
        lane.answer(task, 1000)
    bench.thread.join(20)
    assert not bench.thread.is_alive()
    assert bench.coordinator.meter.retried == 0
    assert bench.coordinator.meter.wasted >= 1000


def test_a_silent_node_loses_its_parts_at_once_and_comes_back(monkeypatch):
    """Nothing is said of it: it was merely frozen. Later it takes part again."""
    monkeypatch.setattr("raydl.crew.SILENCE_SECONDS", 0.15)
    held = []
    thawed = threading.Event()

    def frozen(lane, task):
        if thawed.is_set():
            return task.part.size, None, None
        held.append(task)
        return None

    def steady(lane, task):
        if not thawed.is_set() and task.part.start == 9000:
            return None
        return task.part.size, None, None

    last = [time.monotonic()]

    def pulse(now):
        if thawed.is_set():
            last[0] = now
        return Pulse(last[0], last[0], 0, {}, None)

    bench = Bench(limit=20_000)
    bench.thread = in_thread(bench)
    far = bench.join("far", 2, frozen, pulse=pulse)
    until(lambda: len(held) == 2)
    near = bench.join("near", 2, steady, seconds=0.001)

    def hedged():
        return [event for event in bench.of(PartHedged) if event.node == "far"]

    until(lambda: len(hedged()) == 2)
    assert {event.reason for event in hedged()} == {"far does not answer"}
    assert len(far.tasks) == 2
    thawed.set()
    near.answer(next(task for task in near.tasks if task.part.start == 9000), 500)
    bench.thread.join(20)
    assert not bench.thread.is_alive()
    assert not bench.of(LanesLeft)


def test_the_window_is_a_quarter_of_the_smallest_store():
    bench = Bench(count=20, limit=8000)
    bench.inbox.post(Connected("h:1", 2, 1, 8000))
    blocked, behave = holding_the_first()
    team = bench.join("far", 8, behave, in_store=True)
    bench.thread = in_thread(bench)
    until(lambda: len(team.tasks) == 4)
    until(lambda: len(bench.of(Progress)) > 2)
    assert max(task.part.stop for task in team.tasks) == 2000
    team.answer(blocked[0], 500)
    bench.thread.join(20)
    assert not bench.thread.is_alive()


def test_the_window_shrinks_for_a_small_store_that_comes_later():
    bench = Bench(count=20, limit=8000)
    bench.inbox.post(Connected("h:1", 2, 1, 8000))
    blocked, behave = holding_the_first()
    team = FakeTeam("far", bench.inbox, 8, behave, in_store=True)
    bench.inbox.post(Joined(team, 4000))
    bench.thread = in_thread(bench)
    until(lambda: len(team.tasks) == 2)
    until(lambda: len(bench.of(Progress)) > 2)
    assert max(task.part.stop for task in team.tasks) == 1000
    team.answer(blocked[0], 500)
    bench.thread.join(20)
    assert not bench.thread.is_alive()


def test_lanes_are_found_by_measuring():
    """Every lane brings the same, up to eight: no more than four times as many are ever tried."""
    bench = Bench(count=2000, limit=20_000, connections=None)
    stop = threading.Event()
    waiting = []
    total = [0]

    def behave(lane, task):
        waiting.append(task)

    most = [0]

    def work():
        while not stop.wait(0.005):
            most[0] = max(most[0], len(waiting))
            for task in [waiting.pop(0) for _ in range(min(8, len(waiting)))]:
                total[0] += task.part.size
                team.answer(task, task.part.size)

    team = bench.join("a", 64, behave, seconds=0.005)
    team.pulse = lambda now: Pulse(now, now, total[0], {}, None)
    run_beside(bench, work, stop)
    assert 8 <= most[0] <= 32
