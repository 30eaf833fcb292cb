import threading
import time

import pytest

from raydl.download.onestream import BUFFER_SIZE, OneStream
from raydl.model import backoff
from raydl.model.errors import CancelledError, NetworkError, OriginChangedError, WrongAnswerError
from raydl.model.events import PartFailed, Progress
from raydl.model.failure import Failure
from raydl.model.remote import Source
from raydl.scheduler.throttle import Throttle
from tests import scripted
from tests.conftest import random_bytes
from tests.scripted import begin, cut_off, get


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(backoff, "FIRST", 0.001)


@pytest.fixture
def large(make_origin):
    return make_origin(random_bytes(3 * BUFFER_SIZE + 17), ranges=False)


def stream(origin, *, retries=3, lowest=None, **changes):
    fields = {"size": len(origin.data), "etag": '"v1"', "last_modified": None}
    events = []
    source = Source(origin.url(), **{**fields, **changes}, timeout=5.0)
    one = OneStream(source, events.append, retries=retries, memory=64 << 20, lowest=lowest)
    out, failure = bytearray(), None
    try:
        for part, view in one.chunks():
            assert part.start == len(out)
            out += view
    except (NetworkError, OriginChangedError) as error:
        failure = error
    one.close()
    return bytes(out), failure, events


def test_the_bytes_in_order(large, no_leaks):
    out, failure, events = stream(large)
    assert failure is None
    assert out == large.data
    assert isinstance(events[-1], Progress)
    assert events[-1].written == len(large.data)


def test_after_a_broken_connection_it_goes_on_where_it_was(large, no_leaks):
    large.on(cut_off(2 * BUFFER_SIZE + 5), when=get)
    large.on(cut_off(BUFFER_SIZE + 5), when=get)
    out, failure, events = stream(large)
    assert failure is None
    assert out == large.data
    assert len([e for e in events if isinstance(e, PartFailed)]) == 2


def test_without_a_validator_nothing_is_pieced_together(large):
    large.on(cut_off(2 * BUFFER_SIZE), when=get)
    out, failure, _ = stream(large, etag=None)
    assert isinstance(failure, NetworkError)
    assert out == large.data[: len(out)]


def test_a_changed_file_is_never_mixed(large):
    large.on(cut_off(2 * BUFFER_SIZE), when=get)
    large.on(scripted.changed(headers={"ETag": '"v2"'}), when=get)
    out, failure, _ = stream(large)
    assert isinstance(failure, OriginChangedError)
    assert out == large.data[: len(out)]


def test_retries_run_out(large):
    large.on(cut_off(0), None, get)
    out, failure, _ = stream(large, retries=2)
    assert "(3 tries)" in str(failure)
    assert out == b""


def test_leaving_early_ends_the_thread(large, no_leaks):
    source = Source(large.url(), len(large.data), '"v1"', None)
    one = OneStream(source, lambda event: None, retries=0, memory=64 << 20)
    next(one.chunks())
    one.close()


def test_cancel(large, no_leaks):
    large.on(scripted.stall(10), None, get)
    source = Source(large.url(), len(large.data), '"v1"', None, timeout=60)
    one = OneStream(source, lambda event: None, retries=0, memory=64 << 20)
    one.cancel()
    with pytest.raises(CancelledError):
        next(one.chunks())
    one.close()


def test_a_second_answer_that_is_shorter_is_not_the_whole(origin, no_leaks):
    """Without lengths, an early end looks like the end."""
    origin.on(cut_off(700_000, reset=True), when=get)

    def short(handler, seen):
        handler.start(200, {"ETag": '"v1"', "Connection": "close"})
        handler.wfile.write(origin.data[:1000])
        handler.close_connection = True
        return True

    origin.on(short, when=get)
    out, failure, _ = stream(origin, size=None)
    if len(out) > 1000:
        assert isinstance(failure, OriginChangedError)


def test_a_bug_ends_the_stream(large, no_leaks, monkeypatch):
    source = Source(large.url(), len(large.data), '"v1"', None)
    one = OneStream(source, lambda event: None, retries=0, memory=1 << 20)

    def broken(*args):
        raise ZeroDivisionError

    monkeypatch.setattr(one._origin, "read_whole", broken)
    with pytest.raises(WrongAnswerError, match="ZeroDivisionError"):
        list(one.chunks())
    one.close()


def test_a_connection_that_crawls_is_given_up(large, no_leaks, monkeypatch):
    """What had come is passed over in the next answer."""
    monkeypatch.setattr("raydl.download.pace.CRAWL_SECONDS", 0.3)
    monkeypatch.setattr("raydl.download.onestream.WATCH_SECONDS", 0.05)

    def crawl(handler, seen):
        begin(handler, seen, 100_000)
        for position in range(100_000, 200_000, 100):
            handler.wfile.write(large.data[position : position + 100])
            if large.release.wait(0.02):
                break
        handler.close_connection = True
        return True

    large.on(crawl, 1, get)
    out, failure, events = stream(large, lowest=100_000)
    assert failure is None
    assert out == large.data
    (failed,) = [event for event in events if isinstance(event, PartFailed)]
    assert "slower than" in failed.reason
    assert failed.start >= 50_000


class Connection:
    """An origin that does as it is told, once it has begun."""

    def __init__(self, outcome):
        self.outcome, self.aborted = outcome, False

    def read_whole(self, source, take, give):
        if self.aborted:
            return Failure("cancelled", "cancelled")
        return self.outcome(take, give)

    def abort(self):
        self.aborted = True

    def close(self):
        pass


def brings(take, give):
    take()[:3] = b"abc"
    give(3)


def test_who_is_given_up_is_cut_off_and_not_who_comes_next(monkeypatch, no_leaks):
    """The connection ends by itself just when it is given up, and the next one is made."""
    monkeypatch.setattr("raydl.download.pace.CRAWL_SECONDS", 0.01)
    monkeypatch.setattr("raydl.download.onestream.WATCH_SECONDS", 0.01)
    renewed, made = threading.Event(), []

    class Watched(OneStream):
        """Between a connection's being given up and its being cut off, the next one is there."""

        @property
        def _origin(self):
            if threading.current_thread() is not self._thread and self._given_up is not None:
                renewed.wait(10)
            return made[-1]

        @_origin.setter
        def _origin(self, origin):
            made.append(origin)
            if len(made) > 1:
                renewed.set()

    def breaks(take, give):
        take()
        while one._given_up is None:
            pass
        return Failure("broken", "the connection broke")

    outcomes = iter([breaks, brings])
    monkeypatch.setattr("raydl.download.onestream.Origin", lambda *args: Connection(next(outcomes)))
    one = Watched(
        Source("http://h/f", None, '"v1"', None), lambda event: None,
        retries=3, memory=1 << 20, lowest=1000,
    )  # fmt: skip
    assert b"".join(bytes(view) for _, view in one.chunks()) == b"abc"
    assert [connection.aborted for connection in made] == [True, False]
    one.close()


def test_a_connection_that_nobody_cut_off_and_that_says_so_is_a_failure(monkeypatch, no_leaks):
    outcome = Failure("cancelled", "cancelled")
    monkeypatch.setattr(
        "raydl.download.onestream.Origin", lambda *args: Connection(lambda take, give: outcome)
    )
    one = OneStream(
        Source("http://h/f", None, '"v1"', None), lambda event: None, retries=3, memory=1 << 20
    )
    with pytest.raises(NetworkError, match="cancelled"):
        list(one.chunks())
    one.close()


def test_a_reader_that_takes_its_time_is_not_taken_for_a_slow_connection(large, monkeypatch):
    monkeypatch.setattr("raydl.download.pace.CRAWL_SECONDS", 0.01)
    source = Source(large.url(), len(large.data), '"v1"', None)
    events = []
    one = OneStream(source, events.append, retries=0, memory=1 << 20, lowest=1000)
    out = b""
    for _, view in one.chunks():
        out += view
        large.release.wait(0.02)
    one.close()
    assert out == large.data


def test_downloads_of_a_process_share_the_rate(make_origin):
    """Those that set the same one."""
    origin = make_origin(random_bytes(600_000), ranges=False)
    source = Source(origin.url(), 600_000, '"v1"', None)

    def read(throttle):
        one = OneStream(source, lambda event: None, retries=0, memory=1 << 20, throttle=throttle)
        assert sum(len(view) for _, view in one.chunks()) == 600_000
        one.close()

    def seconds(downloads):
        throttle, began = Throttle(1_000_000), time.monotonic()
        threads = [threading.Thread(target=read, args=(throttle,)) for _ in range(downloads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - began

    assert seconds(3) > 2 * seconds(1)
