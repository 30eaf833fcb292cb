"""From the scheduler's thread to a download's own, and events beside it."""

import threading

import pytest

from raydl.download.handover import MOST_EVENTS, Announcer, Handover
from raydl.model.errors import CancelledError
from raydl.model.events import Notice
from raydl.model.parts import Part
from raydl.workers.threads import BufferPayload, BufferPool

ONE, TWO = Part(0, 0, 10), Part(1, 10, 20)


@pytest.fixture
def pool():
    return BufferPool(20)


def payload(pool):
    return BufferPayload(pool.take(10), 10, pool)


def test_a_part_is_done_when_the_next_one_is_asked_for(pool):
    handover, done = Handover(here=True), []
    for part in (ONE, TWO):
        handover.take(
            part, payload(pool), "n", lambda problem, part=part: done.append((part, problem))
        )
    handover.end(None)
    seen = []
    for part, _ in handover.payloads():
        seen.append((part, len(done)))
    assert seen == [(ONE, 0), (TWO, 1)]
    assert done == [(ONE, ""), (TWO, "")]


def test_what_ended_it_is_raised():
    handover = Handover(here=True)
    handover.end(KeyError("why"))
    with pytest.raises(KeyError, match="why"):
        list(handover.payloads())


def test_a_cancel_comes_before_what_waits(pool):
    handover = Handover(here=True)
    handover.take(ONE, payload(pool), "n", lambda problem: None)
    handover.cancel()
    with pytest.raises(CancelledError):
        list(handover.payloads())
    handover.close()
    assert pool.has_room(20, 0.0)


def test_what_nobody_takes_gives_its_memory_back(pool):
    """Also what comes after it was closed, and what was given out last: once, whoever is late."""
    handover = Handover(here=True)
    late = payload(pool)
    handover.take(ONE, payload(pool), "n", lambda problem: None)
    chunks = handover.payloads()
    _, first = next(chunks)
    assert not pool.has_room(1, 0.0)
    handover.close()
    handover.take(TWO, late, "n", lambda problem: None)
    first.release()
    assert pool.has_room(20, 0.0)
    assert not pool.has_room(21, 0.0)
    with pytest.raises(LookupError):
        late.view()


def test_events_come_in_order_and_before_the_end(no_leaks):
    seen = []
    announcer = Announcer(lambda event: seen.append(str(event)), seen.append)
    announcer.emit(Notice("one"))
    announcer.then(lambda: seen.append("between"))
    announcer.emit(Notice("two"))
    announcer.close(5)
    announcer.emit(Notice("after"))
    assert seen == ["one", "between", "two"]


def test_a_listener_that_raises_is_asked_no_more(no_leaks):
    failed, told = [], []

    def listener(event):
        told.append(str(event))
        raise ValueError("no more")

    announcer = Announcer(listener, failed.append)
    for text in ("one", "two"):
        announcer.emit(Notice(text))
    announcer.close(5)
    assert told == ["one"]
    assert [str(error) for error in failed] == ["no more"]


def test_a_listener_that_blocks_is_waited_for_once(no_leaks):
    go_on = threading.Event()
    announcer = Announcer(lambda event: go_on.wait(20), lambda error: None)
    assert announcer.keeps_up()
    for _ in range(MOST_EVENTS + 2):
        announcer.emit(Notice("x"))
    assert not announcer.keeps_up()
    announcer.close(0.01)
    announcer.close(1000)
    go_on.set()
