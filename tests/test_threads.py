import queue

import pytest

from raydl.lane import HERE, Fetched, Joined
from raydl.models import Part, Source
from raydl.threads import BufferPayload, BufferPool, LocalFleet
from raydl.window import Task
from tests import scripted


def test_buffers_are_used_again_and_counted():
    pool = BufferPool(10, 25)
    first = pool.take()
    assert pool.has_room
    second = pool.take()
    assert not pool.has_room
    third = pool.take()  # the part that the output waits for always gets one
    for buffer in (first, second, third):
        pool.give(buffer)
    assert pool.has_room
    assert pool.take() in (first, second)


def test_a_payload_is_the_prefix_that_arrived():
    pool = BufferPool(10, 10)
    buffer = pool.take()
    buffer[:3] = b"abc"
    payload = BufferPayload(buffer, 3, pool)
    assert payload.here
    assert payload.view() == b"abc"
    payload.release()
    assert pool.has_room


@pytest.fixture
def fleet(origin, no_leaks):
    inbox = queue.SimpleQueue()
    source = Source(origin.url(), len(origin.data), '"v1"', None, timeout=60)
    pool = BufferPool(1000, 4000)
    fleet = LocalFleet(source, 2, pool, inbox.put)
    yield inbox, pool
    fleet.close()


def test_a_lane_fetches_and_reports(origin, fleet):
    inbox, _ = fleet
    joined = inbox.get(timeout=5)
    assert isinstance(joined, Joined)
    assert (joined.node, len(joined.lanes)) == (HERE, 2)
    joined.lanes[0].start(Task(Part(0, 50, 1050)))
    done = inbox.get(timeout=5)
    assert isinstance(done, Fetched)
    assert (done.got, done.failure) == (1000, None)
    assert bytes(done.payload.view()) == origin.data[50:1050]


def test_a_failure_gives_the_buffer_back(origin, fleet):
    origin.on(scripted.status(404))
    inbox, pool = fleet
    lane = inbox.get(timeout=5).lanes[0]
    lane.start(Task(Part(0, 0, 10)))
    done = inbox.get(timeout=5)
    assert (done.got, done.payload, done.failure.status) == (0, None, 404)
    assert len([pool.take() for _ in range(4)]) == 4
    assert not pool.has_room
    assert not lane.accepts(urgent=False)
    assert lane.accepts(urgent=True)


def test_closing_cuts_off_what_waits(origin, fleet):
    """The fixture's close comes while this request stalls; it does not wait 60 seconds."""
    origin.on(scripted.stall(10))
    fleet[0].get(timeout=5).lanes[0].start(Task(Part(0, 0, 1000)))
    while not origin.parts:
        pass


def test_a_bug_in_a_lane_is_reported_not_swallowed(origin, fleet, monkeypatch):
    def broken(*args):
        raise ZeroDivisionError("oh")

    inbox, _ = fleet
    lane = inbox.get(timeout=5).lanes[0]
    monkeypatch.setattr(lane._worker, "fetch", broken)
    lane.start(Task(Part(0, 0, 10)))
    assert "ZeroDivisionError" in inbox.get(timeout=5).failure.message
