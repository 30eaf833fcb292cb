import queue
import threading

import pytest

import raydl
from raydl.model.errors import RaydlError
from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.workers.protocol import HERE, Fetched, Joined
from raydl.workers.threads import BufferPayload, BufferPool, LocalTeam
from tests import scripted


def test_buffers_are_used_again_and_counted():
    pool = BufferPool(25)
    first = pool.take(10)
    assert pool.has_room(10, 0.0)
    second = pool.take(10)
    assert not pool.has_room(10, 0.0)
    third = pool.take(10)  # the part that the output waits for always gets one
    for buffer in (first, second, third):
        pool.give(buffer)
    assert pool.has_room(25, 0.0)
    assert any(pool.take(9) is buffer for buffer in (second, third))
    assert not pool.has_room(16, 0.0)


def test_a_small_part_does_not_take_a_large_buffer():
    pool = BufferPool(100)
    large = pool.take(60)
    pool.give(large)
    assert len(pool.take(20)) == 20
    assert pool.take(40) is large


def test_free_buffers_make_room_the_oldest_first():
    pool = BufferPool(100)
    buffers = [pool.take(40) for _ in range(2)]
    for buffer in buffers:
        pool.give(buffer)
    big = pool.take(90)
    pool.give(big)
    assert pool.take(50) is big


def test_a_payload_is_the_prefix_that_arrived():
    pool = BufferPool(10)
    buffer = pool.take(10)
    buffer[:3] = b"abc"
    payload = BufferPayload(buffer, 3, pool)
    assert payload.here
    assert payload.view() == b"abc"
    payload.release()
    assert pool.has_room(10, 0.0)


@pytest.fixture
def source(origin):
    return Source(origin.url(), len(origin.data), '"v1"', None, timeout=60)


@pytest.fixture
def team(no_leaks):
    inbox = queue.SimpleQueue()
    team = LocalTeam(BufferPool(4000), inbox.put)
    assert inbox.get() == Joined(team)
    yield team, inbox
    team.close()


def test_a_lane_fetches_and_reports(origin, source, team):
    team, inbox = team
    assert team.node == HERE
    team.start(7, Part(0, 50, 1050), source, None)
    done = inbox.get(timeout=5)
    assert isinstance(done, Fetched)
    assert (done.ticket, done.got, done.failure) == (7, 1000, None)
    assert bytes(done.payload.view()) == origin.data[50:1050]


def test_threads_are_used_again(origin, source, team):
    team, inbox = team
    for ticket in range(5):
        team.start(ticket, Part(0, 0, 10), source, None)
        assert inbox.get(timeout=5).got == 10
    assert len(team._threads) == 1
    assert len({id(seen) for seen in origin.parts}) == 5
    assert team.look().received == 50


def test_a_failure_gives_the_buffer_back(origin, source, team):
    origin.on(scripted.status(404))
    team, inbox = team
    team.start(1, Part(0, 0, 10), source, None)
    done = inbox.get(timeout=5)
    assert (done.got, done.payload, done.failure.status) == (0, None, 404)
    assert team.memory.has_room(4000, 0.0)
    assert not team.memory.has_room(4001, 0.0)


def test_closing_cuts_off_what_waits(origin, source, team):
    """The fixture's close comes while this request stalls; it does not wait 60 seconds."""
    origin.on(scripted.stall(10))
    team[0].start(1, Part(0, 0, 1000), source, None)
    while not origin.parts:
        pass


def test_one_request_is_cut_off_and_the_next_one_works(origin, source, team):
    team, inbox = team
    origin.on(scripted.stall(65_536))
    team.start(1, Part(0, 0, 100_000), source, None)
    while team.look().flights != {1: 65_536}:
        pass
    team.cancel(1)
    done = inbox.get(timeout=5)
    assert (done.got, done.failure.kind) == (65_536, "cancelled")
    team.start(2, Part(0, 0, 100_000), source, None)
    assert inbox.get(timeout=5).got == 100_000


def test_a_bug_in_a_lane_is_reported_not_swallowed(team, source, monkeypatch):
    def broken(*args):
        raise ZeroDivisionError("oh")

    team, inbox = team
    monkeypatch.setattr(team._worker, "fetch", broken)
    team.start(1, Part(0, 0, 10), source, None)
    assert "ZeroDivisionError" in inbox.get(timeout=5).failure.message


def refuse_lanes(monkeypatch, after):
    """The system starts so many threads, and no more."""
    start, started = threading.Thread.start, []

    def refuse(thread):
        if thread.name.startswith("raydl-lane"):
            if len(started) == after:
                raise RuntimeError("can't start new thread")
            started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_threads_that_run_do_the_work_of_those_that_are_refused(origin, source, team, monkeypatch):
    team, inbox = team
    refuse_lanes(monkeypatch, after=2)
    for ticket in range(5):
        team.start(ticket, Part(0, 0, 10), source, None)
    assert sorted(inbox.get(timeout=5).ticket for _ in range(5)) == list(range(5))
    assert len(team._threads) == team.most == 2
    for ticket in (5, 6):
        team.start(ticket, Part(0, 0, 10), source, None)
    assert {inbox.get(timeout=5).ticket for _ in range(2)} == {5, 6}


def test_no_thread_at_all_is_an_error(source, team, monkeypatch):
    """And the fixture's close waits for none."""
    refuse_lanes(monkeypatch, after=0)
    with pytest.raises(RaydlError, match="the system starts no thread"):
        team[0].start(1, Part(0, 0, 10), source, None)


def test_a_download_with_fewer_threads_than_it_would_have(origin, in_tmp, monkeypatch, no_leaks):
    refuse_lanes(monkeypatch, after=2)
    raydl.fetch(origin.url(), address="none", progress="none", part_size=10_000, connections=8)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
