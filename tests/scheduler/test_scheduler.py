"""The scheduler over made-up lanes: order, bound, retries, lanes that come and go."""

import itertools
import random

import pytest

from raydl.model.errors import ClusterError, HttpError, NetworkError, RaydlError
from raydl.model.events import (
    LanesJoined,
    LanesLeft,
    Notice,
    PartFailed,
    PartFetched,
    PartHedged,
    PartStarted,
    PartWritten,
)
from raydl.model.failure import Failure
from raydl.model.remote import Source
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.plan import make_plan
from raydl.workers.protocol import (
    HERE,
    Connected,
    ConnectFailed,
    Disconnected,
    Fetched,
    Left,
    Pulse,
)
from tests.lab import BUSY, DATA, Bench, Bytes, Room, net

LOST = Failure("lane", "lost")


def test_everything_in_order():
    bench = Bench()
    bench.join("a", 3)
    last = bench.run()
    assert (last.fetched, last.written) == (10_000, 10_000)
    assert sum(e.stop - e.start for e in bench.of(PartWritten)) == 10_000
    assert [(s.node, s.bytes, s.lanes) for s in bench.job.meter.shares()] == [("a", 10_000, 3)]


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
                lane.bench.inbox.post(held.pop(chance.randrange(len(held))))
            return None
        return part.size, None, payload

    bench = Bench(count=60, limit=3000, retries=50)
    for node in "abc":
        bench.join(node, 2, behave)

    def release():
        """What is held back for ever would hang: it goes when nothing else moves."""
        if held:
            bench.inbox.post(held.pop())
        bench.after(0.01, release)

    release()
    bench.run()


def test_the_window_is_bounded_while_the_head_is_missing():
    def behave(team, task):
        return None if task.part.start == 0 else (task.part.size, None, None)

    bench = Bench(count=20, limit=2000)
    team = bench.join("a", 4, behave)
    asked = []

    def look():
        asked.extend(task.part.stop for task in team.tasks)
        team.answer(team.tasks[0], 500)

    bench.after(1.0, look)
    bench.run()
    assert max(asked) == 2000
    assert bench.seconds == pytest.approx(1.0)


def test_a_slow_consumer_slows_the_lanes():
    """What is asked for is never more than the window ahead of what was taken."""
    bench = Bench(count=20, limit=1000, reads=1.0)

    def behave(team, task):
        written = sum(event.stop - event.start for event in bench.of(PartWritten))
        ahead.append(task.part.stop - written)
        return task.part.size, None, None

    ahead = []
    bench.join("a", 2, behave)
    bench.run()
    assert len(ahead) == 20
    assert max(ahead) == 1000
    assert bench.seconds == pytest.approx(20.0)


def test_memory_that_is_used_up_stops_all_but_the_head():
    """Of several lanes only one goes on, with the part that the output waits for."""
    bench = Bench(limit=10_000)

    def behave(team, task):
        written = sum(event.stop - event.start for event in bench.of(PartWritten))
        urgent.append(task.part.start == written)
        return task.part.size, None, None

    urgent = []
    bench.join("a", 4, behave, memory=Room(full=True), seconds=0.1)
    bench.run()
    assert urgent == [True] * 10
    assert bench.seconds == pytest.approx(1.0)


def test_a_part_goes_on_from_what_arrived():
    def behave(lane, task):
        return (300, BUSY, None) if task.part.size == 1000 else (task.part.size, None, None)

    bench = Bench()
    lane = bench.join("a", 1, behave)
    bench.run()
    assert {task.part.size for task in lane.tasks} == {1000, 700}
    assert bench.job.meter.retried == 10
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
    assert bench.job.meter.retried == 19


def test_no_retry_for_what_will_not_change():
    bench = Bench()
    team = bench.join(HERE, 1, lambda lane, task: (0, Failure("status", "no", 404), None))
    with pytest.raises(HttpError):
        bench.run()
    assert len(team.tasks) == 1


def test_a_lane_that_fails_rests_and_another_takes_over():
    """Each time for longer; the part does not wait for it."""
    bench = Bench(count=100, limit=10_000)
    times = []

    def fail(team, task):
        times.append(bench.seconds)
        return 0, Failure("broken", "broken"), None

    bench.join("bad", 1, fail)
    bench.join("good", 1, seconds=0.1)
    bench.run()
    assert bench.seconds < 10.5
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert 3 <= len(pauses) <= 5
    assert all(longer > 0.9 * shorter for shorter, longer in itertools.pairwise(pauses))
    assert pauses[-1] > 1.9


def test_a_node_that_leaves():
    """Its part in flight goes to another at once, whatever becomes of it; it gets nothing more."""
    bench = Bench(retries=0)
    bad = bench.join("bad", 1, lambda team, task: None)

    def leave():
        bench.inbox.post(Left("bad", bad, "its process ended"))
        bad.answer(bad.tasks[0], 0, failure=LOST)

    bench.after(1.0, leave)
    bench.after(1.0, lambda: bench.join("good"))
    bench.run()
    assert bench.seconds == pytest.approx(1.0)
    assert len(bad.tasks) == 1
    assert [(e.node, e.lanes) for e in bench.of(LanesLeft)] == [("bad", 1)]
    assert [e.node for e in bench.of(LanesJoined)] == ["bad", "good"]


def test_nodes_that_always_leave_end_it_some_time():
    bench = Bench(count=1, limit=10_000)

    def crash(team, task):
        bench.after(0.1, lambda: bench.inbox.post(Left("a", team, "its process ended")))
        bench.after(1.0, lambda: bench.join("a", 1, crash))

    bench.join("a", 1, crash)
    with pytest.raises(NetworkError, match=r"a is lost: its process ended \(21 times\)"):
        bench.run()


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
    with pytest.raises(NetworkError, match="slow; call it again"):
        bench.run()


def test_short_answers_do_not_outrun_a_slow_consumer():
    """An origin may send less than asked each time: no buffer is taken beyond the limit."""
    held = [0]

    class Counted(Bytes):
        def release(self):
            held[0] -= 1

    most = []

    def behave(team, task):
        held[0] += 1
        most.append(held[0])
        team.memory.full = held[0] >= 3
        start = task.part.start
        return min(task.part.size, 100), None, Counted(DATA[start : start + 100])

    bench = Bench(count=10, limit=4000, reads=0.01)
    bench.join("a", 2, behave)
    bench.run()
    assert max(most) <= 5


def test_a_node_that_cannot_be_reached_takes_its_objects_with_it():
    """What it had fetched, but not delivered, is fetched again; late answers count for nothing."""

    class Stuck(Bytes):
        def pull(self, done):
            pass

    def behave(team, task):
        if task.part.start == 0:
            return task.part.size, None, Stuck(DATA[:1000], remote=True)
        return None

    bench = Bench(retries=0)
    far = bench.join("far", 2, behave)
    payload = Bytes(b"wrong" * 200)

    def leave():
        assert len(far.tasks) == 3
        bench.inbox.post(Left("far", far, "it does not answer", unreachable=True))
        far.answer(far.tasks[-1], 1000, payload)
        bench.join("near", 1)

    bench.after(1.0, leave)
    bench.run()
    assert payload.released
    assert [(e.node, e.lanes) for e in bench.of(LanesLeft)] == [("far", 2)]


def holding_the_first(team, task):
    """Keeps the first request for the first bytes."""
    return None if task.part.start == 0 and not task.tries else (task.part.size, None, None)


def test_a_late_part_is_hedged_and_the_first_answer_wins():
    """Its lane has brought nothing for long, the others would have had it by now."""
    bench = Bench(limit=20_000)
    slow = bench.join("slow", 1, holding_the_first, seconds=0.01)
    bench.after(0.05, lambda: quick.append(bench.join("quick", 2, seconds=0.01)))
    quick = []
    bench.run()
    assert bench.seconds < 2.0
    assert [e.node for e in bench.of(PartHedged)] == ["slow"]
    assert slow.cancelled == [slow.tasks[0].ticket]
    assert any(task.part.start == 0 for task in quick[0].tasks)


def test_the_loser_of_a_race_is_not_written_twice_nor_tried_again():
    def behave(team, task):
        if task.part.start == 9000 or (task.part.start == 0 and team.node == "slow"):
            return None
        return task.part.size, None, None

    bench = Bench(limit=20_000)
    slow = bench.join("slow", 1, behave, seconds=0.01)
    payload = Bytes(b"?" * 1000)

    def answer():
        assert slow.cancelled
        slow.answer(slow.tasks[0], 1000, payload)
        for team in (slow, quick):
            for task in team.tasks:
                if task.part.start == 9000:
                    team.answer(task, 1000)

    bench.after(0.05, lambda: None)
    quick = bench.join("quick", 4, behave, seconds=0.01)
    bench.after(5.0, answer)
    bench.run()
    assert payload.released
    assert bench.job.meter.retried == 0
    assert bench.job.meter.wasted >= 1000


def test_a_silent_node_loses_its_parts_at_once_and_comes_back():
    """Nothing is said of it: it was merely frozen. Later it takes part again."""
    bench = Bench(limit=20_000)
    thaws = bench.world.now + 3.0

    def is_frozen():
        return bench.world.now < thaws

    def behave(team, task):
        frozen = is_frozen() and (team.node == "far" or task.part.start == 9000)
        return None if frozen else (task.part.size, None, None)

    def pulse(now):
        heard = thaws - 3.0 if is_frozen() else now
        return Pulse(heard, heard, 0, {}, None)

    far = bench.join("far", 2, behave, pulse=pulse, seconds=0.01)
    bench.join("near", 1, behave, seconds=0.001)

    def thaw():
        hedged = [event for event in bench.of(PartHedged) if event.node == "far"]
        assert {event.reason for event in hedged} == {"far does not answer"}
        assert len(hedged) == len(far.tasks) == 2
        for task in list(far.tasks):
            far.answer(task, 0, failure=Failure("cancelled", "cancelled"))

    bench.after(3.0, thaw)
    bench.run()
    assert far.tasks[-1].part.start == 9000  # which the other one has late by now
    assert not bench.of(LanesLeft)


def test_the_window_is_a_quarter_of_the_smallest_store():
    bench = Bench(count=20, limit=8000)
    bench.inbox.post(Connected("h:1", 2, 1, 8000))
    team = bench.join("far", 8, holding_the_first)

    def look():
        assert len(team.tasks) == 4
        assert max(task.part.stop for task in team.tasks) == 2000
        team.answer(team.tasks[0], 500)

    bench.after(1.0, look)
    bench.run()
    assert bench.seconds >= 1.0


def test_the_window_shrinks_for_a_small_store_that_comes_later():
    bench = Bench(count=20, limit=8000)
    bench.inbox.post(Connected("h:1", 2, 1, 8000))
    team = bench.join("far", 8, holding_the_first, store=4000)

    def look():
        assert max(task.part.stop for task in team.tasks) == 1000
        team.answer(team.tasks[0], 500)

    bench.after(1.0, look)
    bench.run()
    assert bench.seconds >= 1.0


def test_lanes_are_found_by_measuring():
    """Every lane brings the same, up to eight: no more than four times as many are ever tried."""
    bench = Bench(count=2000, limit=20_000, connections=None)
    waiting, most = [], [0]

    def work():
        most[0] = max(most[0], len(waiting))
        for task in [waiting.pop(0) for _ in range(min(8, len(waiting)))]:
            team.answer(task, task.part.size)
        bench.after(0.01, work)

    team = bench.join("a", 64, lambda team, task: waiting.append(task), seconds=0.01)
    work()
    bench.run()
    assert 8 <= most[0] <= 32


def test_a_paused_download_does_next_to_nothing():
    bench = Bench(count=20)
    bench.join(HERE, 2, lambda team, task: (0, BUSY, None) if task.tries == 0 else None)
    bench.after(0.05, lambda: bench.hold(True))
    turns = []
    bench.after(10.0, lambda: turns.append(bench.world.turns))
    bench.after(20.0, lambda: turns.append(bench.world.turns))
    bench.after(20.0, bench.close)
    bench.scheduler.run()
    assert turns[1] - turns[0] <= 110


WRONG = Failure("wrong", "another offset")


@pytest.mark.parametrize(("failure", "times"), [(WRONG, 1), (BUSY, 4)])
def test_one_odd_answer_costs_no_place_while_another_is_looked_at(failure, times):
    """The other turns out not to be there."""
    bench = Bench(awaited=1, connections=4)
    bench.join(
        HERE,
        4,
        lambda team, task: (0, failure, None) if len(team.tasks) <= times else (100, None, None),
        seconds=0.1,
    )
    bench.after(0.15, lambda: bench.searched(None, "it is left out"))
    bench.run()
    assert bench.told() == ["it is left out"]


@pytest.mark.parametrize("failure", [WRONG, BUSY])
def test_what_ends_it_waits_for_the_search(failure):
    bench = Bench(awaited=1, connections=4, retries=2)
    bench.join(HERE, 4, lambda team, task: (0, failure, None), seconds=0.1)
    bench.after(60.0, lambda: bench.searched(None, "it is left out"))
    with pytest.raises(RaydlError, match=failure.message):
        bench.run()
    assert bench.seconds == pytest.approx(60.0, abs=0.2)


@pytest.mark.parametrize("failure", [WRONG, BUSY])
def test_a_place_that_joins_late_saves_it(failure):
    bench = Bench(awaited=2, connections=4, retries=2)
    other = Mirror(Source("http://other/f", 10_000, '"v1"', None))

    def behave(team, task):
        is_other = task.source is other.source
        return (task.part.size, None, None) if is_other else (0, failure, None)

    bench.join(HERE, 4, behave, seconds=0.1)
    bench.after(60.0, lambda: bench.searched(other, "it joins"))
    bench.run()
    assert bench.seconds > 60


def test_lanes_that_rest_do_not_make_it_spin():
    """A lane has rested, but the origin wants nobody to ask yet."""
    bench = Bench()
    wait = Failure("status", "too many", 429, retry_after=20.0)
    bench.join(HERE, 3, lambda team, task: None if task.tries else (0, wait, None))
    turns = []
    bench.after(25.0, bench.close)
    bench.after(10.0, lambda: turns.append(bench.world.turns))
    bench.scheduler.run()
    assert turns[0] <= 120


def test_a_process_that_was_stopped_takes_its_nodes_for_well():
    """Ctrl-Z for a minute: that nothing was heard meanwhile says nothing of the nodes."""
    bench = Bench(patience=5.0, limit=20_000)
    heard = [bench.world.now]

    def pulse(now):
        if not 1.0 < bench.seconds < 61.5:
            heard[0] = now
        return Pulse(heard[0], heard[0], 0, {}, None)

    bench.join("far", 1, pulse=pulse, seconds=0.5)

    def stop():
        bench.world.now += 60.0

    bench.after(1.0, stop)
    bench.run()
    assert not bench.of(PartHedged)
    assert bench.job.meter.retried == 0
    assert bench.seconds < 70


def test_what_a_request_that_was_too_large_brought_is_kept():
    """Of each request a second's worth comes at once: larger ones are cut off, the rest is asked
    for in smaller ones."""
    bench = Bench(None, size=200_000_000, limit=256 << 20, connections=None, largest=8 << 20)
    net(bench, request=1 << 20, link=50e6).join(HERE, "a")
    progress = bench.run()
    asked = {event.start: event.stop for event in bench.of(PartStarted)}
    cut = [event for event in bench.of(PartFetched) if event.stop < asked[event.start]]
    assert {event.stop - event.start for event in cut} == {1 << 20}
    assert (bench.job.meter.wasted, progress.retries) == (0, 0)
    assert bench.seconds < 200 / 100 + 1.0


def seconds_with(parts, size=200_000_000):
    """How long two nodes take where each connection brings 2 MB/s."""
    plan = make_plan(size, parts=parts, part_size=8 << 20, window=256 << 20)
    bench = Bench(plan.count, size=size, limit=256 << 20, connections=None, largest=plan.largest)
    net(bench, connection=2e6).join(HERE, "a")
    bench.run()
    return bench.seconds


@pytest.mark.parametrize("parts", [1, 16, 64, 1000, 100_000])
def test_how_the_file_is_divided_costs_nothing(parts):
    assert seconds_with(parts) < 1.15 * seconds_with(None)
