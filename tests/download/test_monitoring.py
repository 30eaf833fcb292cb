"""What is counted of downloads where there may be a cluster, without one."""

import threading

import pytest

import raydl
from raydl.cluster.address import ClusterChoice
from raydl.download import monitoring
from raydl.model.errors import CancelledError, HttpError
from raydl.model.metrics import FETCHED, HEDGES, IN_FLIGHT, LANES, RETRIES, SECONDS, WAITING, WASTED
from tests.conftest import random_bytes
from tests.recorded import Recorded
from tests.scripted import anything, chunked, ignore_range, status

OPTIONS = {"progress": "none", "timeout": 5.0, "part_size": 50_000}


@pytest.fixture
def recorded(monkeypatch):
    """A cluster is meant, and no file is worth the way to it."""
    choice = ClusterChoice("cluster", "192.0.2.1:6379", "one that nobody asks")
    monkeypatch.setattr("raydl.download.download.choose", lambda address: choice)
    monkeypatch.setattr("raydl.download.transfer.JOIN_SECONDS", 1e9)
    return Recorded(monkeypatch)


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    assert not monitoring.tallies._open


def host(origin):
    return origin.url().split("/")[2]


def test_bytes_by_node_are_those_of_the_report(recorded, origin, in_tmp):
    origin.on(status(503), times=2)
    url = origin.url().replace("://", "://me:secret-word@") + "?token=secret-word"
    report = raydl.fetch(url, **OPTIONS)
    assert recorded.sums("node") == {share.node: share.bytes for share in report.nodes}
    assert sum(recorded.sums("node").values()) == report.fetched == len(origin.data)
    assert recorded.sums("origin") == {host(origin): report.fetched}
    assert recorded.sums("destination") == {"here": report.fetched}
    assert sum(recorded.sums("node", RETRIES).values()) == report.retries == 2
    assert sum(recorded.sums("destination", WASTED).values()) == report.wasted
    (seconds,) = recorded.seen.values()
    assert len(seconds) == report.parts
    assert recorded.is_at_rest
    assert "secret" not in recorded.text
    assert "file.bin" not in recorded.text


@pytest.mark.parametrize("answer", [ignore_range, chunked])
def test_one_stream(recorded, origin, in_tmp, answer):
    origin.on(answer, None, anything)
    report = raydl.fetch(origin.url(), **OPTIONS)
    assert report.size == len(origin.data)
    assert recorded.counters == {(FETCHED, ("this machine", host(origin), "here")): report.fetched}
    assert recorded.is_at_rest


def test_alone_nothing_is_counted(monkeypatch, origin, in_tmp):
    recorded = Recorded(monkeypatch)
    raydl.fetch(origin.url(), address="none", **OPTIONS)
    assert recorded.text == "[]"


def test_a_failure_and_a_cancel_leave_nothing_in_flight(recorded, make_origin, in_tmp):
    broken, slow = make_origin(random_bytes(500_000)), make_origin(random_bytes(500_000))
    broken.on(status(404), None)
    with pytest.raises(HttpError):
        raydl.fetch(broken.url(), "broken", **OPTIONS)
    asked, answer = threading.Event(), threading.Event()

    def wait(handler, seen):
        asked.set()
        return answer.wait(10) and False

    slow.on(wait, None)
    download = raydl.start(slow.url(), "slow", **OPTIONS)
    assert asked.wait(10)
    until_told(recorded, IN_FLIGHT, "here")
    download.cancel()
    answer.set()
    with pytest.raises(CancelledError):
        download.result(10)
    assert recorded.gauges[LANES, ("this machine",)][-1] == 0
    assert recorded.is_at_rest


def until_told(recorded, metric, label):
    """Until somebody who looks sees that it is not 0."""
    turns = threading.Event()
    for _ in range(1000):
        monitoring.export()
        if any(recorded.gauges[metric, (label,)]):
            return
        turns.wait(0.01)
    raise AssertionError(metric.name)


def test_several_at_once_add_up(recorded, make_origin, in_tmp):
    origins = [make_origin(random_bytes(400_000 + n, n)) for n in range(3)]
    downloads = [raydl.start(each.url(), f"f{n}", **OPTIONS) for n, each in enumerate(origins)]
    reports = [download.result(30) for download in downloads]
    assert recorded.sums("origin") == {
        host(origin): report.fetched for origin, report in zip(origins, reports, strict=True)
    }
    assert recorded.sums("node") == {"this machine": sum(len(o.data) for o in origins)}
    assert recorded.is_at_rest


def test_a_pause_and_a_limit_are_waited_for(recorded, origin, in_tmp):
    download = raydl.start(origin.url(), limit_rate=400_000, **OPTIONS)
    until_waited(recorded, "rate")
    download.pause()
    until_waited(recorded, "paused")
    download.cancel()
    with pytest.raises(CancelledError):
        download.result(10)


def until_waited(recorded, reason):
    turns = threading.Event()
    for _ in range(1000):
        monitoring.export()
        if recorded.counters[WAITING, (reason,)] > 0:
            return
        turns.wait(0.01)
    raise AssertionError(reason)


def test_what_a_listener_does_holds_up_no_count(recorded, origin, in_tmp):
    def fail(event):
        if event.kind() == "part_fetched":
            raise ValueError("a listener's own")

    with pytest.raises(ValueError, match="own"):
        raydl.fetch(origin.url(), on_event=fail, **OPTIONS)
    assert recorded.is_at_rest
    assert sum(recorded.sums("node").values()) > 0


def test_metrics_that_break_break_nothing_else(recorded, origin, in_tmp, monkeypatch):
    from raydl.cluster import metrics

    class Broken:
        def __getattr__(self, name):
            raise RuntimeError("no agent")

    monkeypatch.setattr(metrics, "_connected", Broken)
    exporter = metrics.RayMetrics()
    monkeypatch.setattr(monitoring, "RAY_METRICS", exporter)
    assert raydl.fetch(origin.url(), **OPTIONS).fetched == len(origin.data)
    assert exporter._is_broken


def test_what_is_read_from_a_file_object_counts(recorded, origin, monkeypatch):
    choice = ClusterChoice("cluster", "192.0.2.1:6379", "one that nobody asks")
    monkeypatch.setattr("raydl.api.functions.choose", lambda address: choice)
    with raydl.open(origin.url(), timeout=5.0) as file:
        assert file.read() == origin.data
    assert sum(recorded.sums("node").values()) > len(origin.data) // 2
    assert recorded.is_at_rest
    assert not recorded.sums("node", HEDGES)
    assert (SECONDS, (host(origin),)) in recorded.seen


def test_an_origin_that_asks_for_a_pause_is_waited_for(recorded, origin, in_tmp):
    origin.on(status(503, Retry_After="1"), times=4)
    report = raydl.fetch(origin.url(), **OPTIONS)
    assert recorded.counters[WAITING, ("origin",)] > 0.2
    assert sum(recorded.sums("node", RETRIES).values()) == report.retries
