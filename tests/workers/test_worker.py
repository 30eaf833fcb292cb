import contextlib
import pickle
import threading
import time
from dataclasses import replace

import pytest
from urllib3.connection import HTTPConnection as Connection

from raydl.model.remote import Access, Source
from raydl.workers.protocol import tickets
from raydl.workers.worker import MOST_IDLE, NodeWorker, Worker, cpu_seconds
from tests import scripted


@pytest.fixture
def source(origin):
    return Source(origin.url(), len(origin.data), '"v1"', None, timeout=60)


@pytest.mark.parametrize("copy", [False, True])
def test_what_an_actor_returns_is_plain_data(origin, source, copy):
    worker = NodeWorker(copy)
    (got, seconds, problem), data = worker.fetch(*source.pack(), 1, 10, 1010)
    assert (got, problem) == (1000, None)
    assert seconds > 0
    assert bytes(memoryview(data)) == origin.data[10:1010]
    assert isinstance(data, bytes if copy else pickle.PickleBuffer)
    clock, received, flights, cpu, fetching = worker.pulse()
    assert (received, flights) == (1000, {})
    assert clock > 0
    assert cpu is None or 0 < cpu[0] < cpu[1]
    assert fetching is None or 0 < fetching < 60


def test_a_failure_is_plain_data_too(origin, source):
    origin.on(scripted.status(429, Retry_After="3"))
    meta, data = NodeWorker(False).fetch(*source.pack(), 1, 0, 10)
    assert meta[0] == 0
    assert meta[2] == (
        "status",
        f"127.0.0.1:{origin.port} answered 429 Too Many Requests",
        429,
        3.0,
    )
    assert data is None


def test_a_prefix_comes_with_its_failure(origin, source):
    origin.on(scripted.cut_off(400))
    (got, _, problem), data = NodeWorker(False).fetch(*source.pack(), 1, 0, 1000)
    assert got == memoryview(data).nbytes == 400
    assert problem[0] == "broken"


def start(worker, source, ticket, results):
    def work():
        results.append(worker.fetch(source, ticket, 0, 100_000, memoryview(bytearray(100_000))))

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def start_and_stall(worker, origin, source, results, ticket=1):
    """That request, once it has 64 KiB and gets no more."""
    origin.on(scripted.stall(65_536))
    thread = start(worker, source, ticket, results)
    while worker.pulse()[2] != {ticket: 65_536}:
        pass
    return thread


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="not told there")
def test_processor_time_of_what_is_in_flight_and_of_what_was(origin, source):
    worker, results = Worker(), []
    thread = start_and_stall(worker, origin, source, results)
    under_way = worker.pulse()[4]
    assert 0 < under_way < time.process_time()
    worker.close()
    thread.join(10)
    ended = worker.pulse()[4]
    assert under_way <= ended == worker.pulse()[4]


def test_a_clock_that_cannot_be_read_harms_nobody(monkeypatch, source):
    def broken(*args):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(time, "clock_gettime", broken)
    worker = Worker()
    buffer = memoryview(bytearray(1000))
    assert worker.fetch(source, 1, 0, 1000, buffer) == (1000, None)
    assert worker.pulse()[4] is None


def test_closing_ends_what_waits_and_what_comes(origin, source):
    worker, results = Worker(), []
    thread = start_and_stall(worker, origin, source, results)
    worker.close()
    thread.join(10)
    start(worker, source, 2, results).join(10)
    assert [failure.kind for _, failure in results] == ["cancelled", "cancelled"]


def test_resting_ends_what_waits_but_not_what_comes(origin, source):
    worker, results = Worker(), []
    thread = start_and_stall(worker, origin, source, results)
    worker.rest(1)
    thread.join(10)
    start(worker, source, 2, results).join(10)
    assert [(got, failure and failure.kind) for got, failure in results] == [
        (65_536, "cancelled"),
        (100_000, None),
    ]


def test_what_rests_does_not_know_whom_it_asked(origin, source):
    worker, results = Worker(), []
    start(worker, source, 1, results).join(10)
    thread = start_and_stall(worker, origin, source, results, ticket=2)
    worker.rest(3)
    thread.join(10)
    worker.cancel(3)
    start(worker, source, 3, results).join(10)  # what was sent before arrives after it
    assert [failure and failure.kind for _, failure in results] == [None, "cancelled", "cancelled"]
    assert not worker._idle
    assert not worker._cancelled


def test_what_is_cancelled_before_it_begins_does_not_begin(origin, source):
    worker, results = Worker(), []
    worker.cancel(1)
    start(worker, source, 1, results).join(10)
    assert results[0][1].kind == "cancelled"
    assert not origin.parts
    start(worker, source, 2, results).join(10)
    assert results[1] == (100_000, None)


def test_connections_are_kept(origin, source):
    worker, results = Worker(), []
    for ticket in range(3):
        start(worker, source, ticket, results).join(10)
    assert len(worker._idle[(source.access, 60)]) == 1


def test_no_more_are_kept_than_were_used_last(source, monkeypatch):
    worker, opened = Worker(), []
    connected = Connection.connect

    def connect(self):
        connected(self)
        opened.append(self.sock)

    monkeypatch.setattr(Connection, "connect", connect)
    count = MOST_IDLE + 6

    def ask(user):
        worker.fetch(
            replace(source, access=Access(headers=(("X-User", str(user)),))),
            next(tickets), 0, 10, memoryview(bytearray(10)),
        )  # fmt: skip

    for user in range(count):
        ask(user)
        ask(0)
    kept = [origin for origins in worker._idle.values() for origin in origins]
    assert len(kept) == MOST_IDLE
    before = len(opened)
    for user in (0, *range(count - MOST_IDLE + 1, count)):
        ask(user)
    assert len(opened) == before
    ask(1)
    assert len(opened) == before + 1
    assert sum(link.fileno() >= 0 for link in opened) == MOST_IDLE
    worker.close()
    assert all(link.fileno() < 0 for link in opened)


def test_threads_of_one_host_keep_no_more_either(source):
    worker = Worker()
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_IDLE + 6):
            stack.enter_context(worker.lent(source.access, 60, next(tickets)))
    (kept,) = worker._idle.values()
    assert len(kept) == MOST_IDLE


def test_a_system_that_does_not_tell_its_cpu_time(monkeypatch):
    def missing(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr("builtins.open", missing)
    assert cpu_seconds() is None
