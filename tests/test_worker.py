import pickle
import threading
from dataclasses import asdict

import pytest

from raydl.models import Source
from raydl.worker import NodeWorker, Worker
from tests import scripted


@pytest.fixture
def source(origin):
    return Source(origin.url(), len(origin.data), '"v1"', None, timeout=60)


@pytest.mark.parametrize("copy", [False, True])
def test_what_an_actor_returns_is_plain_data(origin, source, copy):
    worker = NodeWorker(asdict(source), copy)
    assert worker.ready()
    (got, seconds, problem), data = worker.fetch(10, 1010)
    assert (got, problem) == (1000, None)
    assert seconds > 0
    assert bytes(memoryview(data)) == origin.data[10:1010]
    assert isinstance(data, bytes if copy else pickle.PickleBuffer)


def test_a_failure_is_plain_data_too(origin, source):
    origin.on(scripted.status(429, Retry_After="3"))
    meta, data = NodeWorker(asdict(source), False).fetch(0, 10)
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
    (got, _, problem), data = NodeWorker(asdict(source), False).fetch(0, 1000)
    assert got == memoryview(data).nbytes == 400
    assert problem[0] == "broken"


def test_closing_ends_what_waits_and_what_comes(origin, source):
    entered = threading.Event()

    def stall(handler, seen):
        entered.set()
        return scripted.stall()(handler, seen)

    origin.on(stall)
    worker = Worker(source)
    results = []

    def work():
        results.append(worker.fetch(0, 10, memoryview(bytearray(10)), id))

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait(10)
    while worker._origins[0]._response is None:
        pass
    worker.close()
    thread.join(10)
    work()
    assert [failure.kind for _, failure in results] == ["cancelled", "cancelled"]
