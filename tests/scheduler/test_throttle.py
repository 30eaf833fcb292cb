"""One budget for the whole fleet; time is simulated here, and real in the downloads below."""

import itertools
import time

import pytest

import raydl
from raydl.model.errors import UsageError
from raydl.model.events import PartFailed
from raydl.scheduler.plan import SMALLEST_PART
from raydl.scheduler.throttle import Throttle, Throttles
from raydl.settings.options import Options
from tests.conftest import random_bytes
from tests.download.test_download import ALONE
from tests.scripted import status


def asked_for(throttle, seconds, size):
    """Bytes of the requests that may start in so many seconds."""
    total, now = 0, 0.0
    while now < seconds:
        while throttle.allows(now):
            throttle.took(size)
            total += size
        now += 0.01
    return total


def test_no_limits():
    throttle = Throttle(None)
    assert throttle.allows(0.0)
    assert throttle.next_at(5.0) <= 5.0
    assert throttle.piece(10**9) == 10**9
    assert not throttle.is_spent(0.0, 1e9)


@pytest.mark.parametrize("size", [1_000, 65_536, 3_000_000])
def test_the_rate_is_kept_whatever_the_parts(size):
    rate = 1_000_000
    assert asked_for(Throttle(rate), 20.0, size) == pytest.approx(20 * rate, abs=size + rate)


def test_what_was_not_used_is_not_saved_up_for_long():
    throttle = Throttle(1_000_000)
    assert throttle.next_at(0.0) > 0.0
    assert throttle.allows(100.0)
    throttle.took(600_000)
    assert not throttle.allows(100.0)
    assert throttle.is_spent(100.0, 0.0)
    assert throttle.next_at(100.0) == pytest.approx(100.1, abs=0.01)


def test_what_did_not_come_is_paid_back():
    throttle = Throttle(1_000_000)
    throttle.allows(0.0)
    throttle.took(10_000_000)
    throttle.spared(9_990_000)
    assert throttle.allows(0.1)


def test_pieces():
    assert Throttle(8_000_000).piece(64 << 20) == 2_000_000
    assert Throttle(1000).piece(64 << 20) == SMALLEST_PART


def test_downloads_with_the_same_rate_share_one_budget():
    throttles = Throttles()
    one, same, other = throttles.at(1000), throttles.at(1000), throttles.at(2000)
    for throttle in (one, other):
        throttle.allows(0.0)
    one.took(400)
    assert one is same
    assert not same.allows(0.1)
    assert other.allows(0.1)
    assert throttles.at(None).allows(0.0)


@pytest.mark.parametrize(("text", "rate"), [("1MB/s", 10**6), ("64K", 65536), (500, 500)])
def test_rates(text, rate):
    assert Options.of({"limit_rate": text}).limit_rate == rate


def test_no_rates():
    for value in (0, "fast", "1MB/m", None):
        if value is not None:
            with pytest.raises(UsageError, match="lowest_speed"):
                Options.of({"lowest_speed": value})


@pytest.mark.parametrize("ranges", [True, False])
def test_limit_rate(make_origin, in_tmp, ranges):
    origin = make_origin(random_bytes(2_000_000), ranges=ranges)
    began = time.monotonic()
    report = raydl.fetch(origin.url(), limit_rate="1MB/s", **ALONE)
    assert 1.4 < time.monotonic() - began < 4.0
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert "--limit-rate is the limit" in report.limit


def busiest(origin, seconds=0.03):
    """Watch how many part requests are under way at once; a list with the number."""
    most, now = [0], [0]

    def behave(handler, seen):
        with origin.lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        try:
            origin.release.wait(seconds)
            handler.serve(seen)
        finally:
            with origin.lock:
                now[0] -= 1
        return True

    origin.on(behave, None)
    return most


def test_max_connections_per_origin(origin, in_tmp):
    most = busiest(origin)
    raydl.fetch(
        origin.url(), connections=16, max_connections_per_origin=3, part_size=25_000, **ALONE
    )
    assert most == [3]


@pytest.mark.slow
@pytest.mark.cluster
def test_max_connections_of_all_nodes_together(warm_nodes, make_origin, in_tmp):
    origin = make_origin(random_bytes(20_000_000))
    most = busiest(origin, 0.2)
    options = {**ALONE, "address": warm_nodes.address, "part_size": 200_000, "connections": 4}
    report = raydl.fetch(origin.url(), max_connections_per_origin=5, **options)
    assert len(report.nodes) == 2
    assert most == [5]


def refuse(origin, after, seconds=0.05, lasts=0.0):
    """One 429 that wants two seconds, or all for a while; a list of when parts were asked for."""
    times = []

    def note(handler, seen):
        times.append(time.monotonic())
        if len(times) >= after and times[-1] - times[after - 1] <= lasts:
            return status(429, Retry_After="2")(handler, seen)
        origin.release.wait(seconds)
        return False

    origin.on(note, None)
    return times


def pause(times):
    """The longest time without a request."""
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def test_who_asks_for_a_pause_gets_it_from_all_lanes(origin, in_tmp):
    times = refuse(origin, 10)
    events = []
    raydl.fetch(origin.url(), connections=4, part_size=25_000, on_event=events.append, **ALONE)
    assert pause(times) > 1.8
    assert len([event for event in events if isinstance(event, PartFailed)]) == 1


@pytest.mark.slow
@pytest.mark.cluster
def test_who_asks_for_a_pause_gets_it_from_all_nodes(warm_nodes, make_origin, in_tmp):
    origin = make_origin(random_bytes(20_000_000))
    times = refuse(origin, 60, 0.2, lasts=0.5)
    options = {**ALONE, "address": warm_nodes.address, "part_size": 200_000, "connections": 4}
    report = raydl.fetch(origin.url(), **options)
    assert len(report.nodes) == 2
    assert pause(times) > 1.8
    assert (in_tmp / "file.bin").read_bytes() == origin.data


def test_a_connection_that_crawls_is_given_up(origin, in_tmp, monkeypatch):
    monkeypatch.setattr("raydl.scheduler.flights.CRAWL_SECONDS", 0.5)

    def crawl(handler, seen):
        handler.start(206, {
            **origin.headers,
            "Content-Length": str(seen.range[1] + 1 - seen.range[0]),
            "Content-Range": f"bytes {seen.range[0]}-{seen.range[1]}/{len(origin.data)}",
        })  # fmt: skip
        for position in range(seen.range[0], seen.range[1], 1000):
            handler.wfile.write(origin.data[position : position + 1000])
            if origin.release.wait(0.1):
                break
        handler.close_connection = True
        return True

    origin.on(crawl, 1)
    events = []
    options = {**ALONE, "timeout": 60}
    raydl.fetch(
        origin.url(), connections=1, part_size="1MiB", lowest_speed="100KB",
        on_event=events.append, **options,
    )  # fmt: skip
    (failed,) = [event for event in events if isinstance(event, PartFailed)]
    assert "slower than" in failed.reason
    assert failed.start > 0  # what had come stays
    assert (in_tmp / "file.bin").read_bytes() == origin.data
