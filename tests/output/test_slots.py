"""Ranges of a file that requests write into: whose they are, and what is there in the end."""

import errno
import os
import threading
from contextlib import closing, nullcontext

import pytest

from raydl.model.coverage import Coverage
from raydl.model.errors import BusyError, DiskError
from raydl.model.remote import Remote
from raydl.origin import OriginFailure
from raydl.origin.identity import Identity
from raydl.output import slots as module
from raydl.output.filesink import FileSink
from raydl.output.journal import Journal
from raydl.output.slots import Slots
from tests.openfiles import open_fds

DATA = bytes(range(1, 251)) * 40
SIZE = len(DATA)
REMOTE = Remote("http://h/f", "http://h/f", SIZE, True, '"v1"', None, "f")
DEADLINE = 20


class Body:
    """What an answer brings of ``data``: ``ahead`` bytes with its header, others by ``most``."""

    def __init__(self, data, *, splices=True, has_length=True, ahead=0, most=SIZE):
        self.left, self.ahead, self.most = data, ahead, most
        self.has_length, self.can_splice = has_length, splices and has_length

    def _next(self, amount):
        data, self.left = self.left[:amount], self.left[amount:]
        return data

    def read(self, amount):
        return self._next(min(amount, self.most))

    def read_ahead(self, amount):
        data = self._next(min(amount, self.ahead))
        self.ahead -= len(data)
        return data

    def receive(self, view):
        data = self._next(min(view.nbytes, self.most))
        view[: len(data)] = data
        return len(data)

    def wait(self):
        pass

    def splice(self, pipe, amount):
        data = self._next(min(amount, self.most, 4096))
        return os.write(pipe, data) if data else 0


WAYS = {
    "spliced": {},
    "some came ahead": {"ahead": 99},
    "all came ahead": {"ahead": SIZE},
    "copied": {"splices": False},
    "held": {"has_length": False},
}


def bring(slot, body, stop=None):
    """Have all of the body written, or as far as ``stop``."""
    at, stop = 0, slot.stop - slot.start if stop is None else stop
    while at < stop:
        at += slot.take(body, at, stop - at, nullcontext)
    return at


def body_of(slot, **how):
    return Body(DATA[slot.start : slot.stop], most=70, **how)


class File:
    """A file, the slots of it, and what they told."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT)
        self.begun, self.failures = 0, []
        self.slots = Slots(self.begin, self.failures.append)

    def begin(self):
        self.begun += 1
        return self.fd

    @property
    def data(self):
        return os.pread(self.fd, 2 * SIZE, 0)

    def close(self):
        self.slots.close()
        os.close(self.fd)


@pytest.fixture
def file(tmp_path):
    with closing(File(tmp_path / "f")) as file:
        yield file


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
class TestEveryWay:
    def test_all_comes_where_it_belongs(self, file, how):
        for start, stop in ((600, SIZE), (0, 600)):
            slot = file.slots.take(start, stop)
            bring(slot, body_of(slot, **how))
            assert slot.settle(stop - start) == stop - start
            slot.leave()
        assert file.data == DATA
        assert file.slots.landed == Coverage([(0, SIZE)])

    def test_an_end_before_its_end(self, file, how):
        slot = file.slots.take(100, 1000)
        got = bring(slot, body_of(slot, **how), 500)
        assert slot.settle(got) == 500
        assert file.slots.landed == Coverage([(100, 600)])
        assert file.data == bytes(100) + DATA[100:600]

    def test_nothing_at_all_begins_nothing(self, file, how):
        """What is there of another version stays until something comes in its place."""
        slot = file.slots.take(0, 100)
        assert slot.take(Body(b"", **{**how, "ahead": 0}), 0, 100, nullcontext) == 0
        assert slot.settle(0) == 0
        assert file.begun == 0

    def test_nothing_is_written_once_it_is_revoked(self, file, how):
        slot, body = file.slots.take(0, 1000), None
        body = body_of(slot, **how)
        got = bring(slot, body, 300)
        file.slots.clear(999, 2000)
        before = file.data
        if how.get("has_length", True):
            with pytest.raises(OriginFailure) as caught:
                bring(slot, body)
            assert caught.value.failure.kind == "cancelled"
            assert slot.settle(got) == got
        else:
            assert slot.settle(got) == 0
        assert file.data == before
        assert file.failures == []

    def test_the_file_refuses_bytes(self, file, how, monkeypatch):
        def full(*args, **kwargs):
            raise OSError(errno.ENOSPC, "full")

        slot = file.slots.take(0, 1000)
        monkeypatch.setattr(os, "pwrite", full)
        monkeypatch.setattr(os, "splice", full, raising=False)
        if how.get("has_length", True):
            with pytest.raises(OriginFailure) as caught:
                bring(slot, body_of(slot, **how))
            assert caught.value.failure.kind == "cancelled"
        else:
            bring(slot, body_of(slot, **how))
        assert slot.settle(1000) == 0
        assert [error.errno for error in file.failures] == [errno.ENOSPC]
        assert file.slots.landed.size == 0

    def test_the_file_cannot_be_begun(self, file, how):
        busy = BusyError("another raydl is writing")

        def refused():
            raise busy

        file.slots.begin = refused
        slot = file.slots.take(0, 1000)
        with pytest.raises(OriginFailure) if how.get("has_length", True) else nullcontext():
            bring(slot, body_of(slot, **how))
        assert slot.settle(1000) == 0
        assert file.failures == [busy]


def test_each_range_is_one_requests_own(file):
    first, last = file.slots.take(0, 100), file.slots.take(200, 300)
    for start, stop in ((0, 100), (99, 101), (50, 60), (0, 300), (150, 201), (299, 400)):
        assert file.slots.take(start, stop) is None
    middle = file.slots.take(100, 200)
    first.leave()
    again = file.slots.take(0, 100)
    assert None not in (first, middle, last, again)
    assert file.slots.take(0, 100) is None


def test_what_an_ended_request_lacks_is_for_another_one(file):
    """Its bytes may wait long for whoever takes them over."""
    first = file.slots.take(0, 1000)
    first.settle(bring(first, body_of(first), 400))
    assert file.slots.take(399, 1000) is None
    rest = file.slots.take(400, 1000)
    bring(rest, body_of(rest))
    assert file.data == DATA[:1000]


def test_what_is_in_flight_has_landed_and_what_was_left(file):
    left, flying, held = (file.slots.take(*r) for r in ((0, 300), (300, 600), (600, 900)))
    left.settle(bring(left, body_of(left), 200))
    left.leave()
    bring(flying, body_of(flying), 150)
    bring(held, body_of(held, has_length=False))
    assert file.slots.landed == Coverage([(0, 200), (300, 450)])
    file.slots.close()
    assert file.slots.landed == Coverage([(0, 200), (300, 450)])


def test_what_may_turn_out_wrong_is_not_written_before_its_end(file):
    slot = file.slots.take(0, 500)
    bring(slot, body_of(slot, has_length=False))
    assert (file.data, file.begun) == (b"", 0)
    assert slot.settle(0) == 0
    assert (file.data, file.begun) == (b"", 0)


@pytest.mark.skipif(not hasattr(os, "splice"), reason="there is no splice")
class TestPipes:
    def test_a_file_that_takes_nothing_from_a_pipe(self, file, monkeypatch):
        """What is in the pipe by then comes all the same, and later on there is none."""
        calls = []

        def splice(*args, **kwargs):
            calls.append(args)
            raise OSError(errno.EINVAL, "Invalid argument")

        monkeypatch.setattr(os, "splice", splice)
        slot = file.slots.take(0, SIZE)
        bring(slot, body_of(slot))
        assert (file.data, len(calls), file.slots.pipes.works) == (DATA, 1, False)

    def test_a_file_that_takes_little_at_once(self, file, monkeypatch):
        real = os.splice

        def splice(source, fd, count, **kwargs):
            return real(source, fd, min(count, 7), **kwargs)

        monkeypatch.setattr(os, "splice", splice)
        slot = file.slots.take(0, 1000)
        bring(slot, body_of(slot))
        assert file.data == DATA[:1000]

    def test_a_system_that_has_no_more_of_them(self, file, monkeypatch):
        def refused():
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(os, "pipe", refused)
        slot = file.slots.take(0, SIZE)
        bring(slot, body_of(slot))
        assert (file.data, file.failures) == (DATA, [])

    def test_they_are_used_again_and_none_is_left(self, file, monkeypatch):
        before = open_fds()
        slot = file.slots.take(0, 1000)
        for at in range(0, 500, 50):
            slot.take(Body(DATA[at : at + 50]), at, 50, nullcontext)
            assert len(open_fds() - before) == 2
        broken = Body(b"")
        broken.splice = lambda pipe, amount: os.write(pipe, b"xyz") and 1 // 0
        with pytest.raises(ZeroDivisionError):
            slot.take(broken, 500, 500, nullcontext)
        assert open_fds() <= before  # it has something in it
        bring(slot, Body(DATA[500:]), 500)
        file.slots.close()
        assert open_fds() <= before
        with file.slots.pipes.lent():
            assert len(open_fds() - before) == 2
        assert open_fds() <= before


class Hanging:
    """A disk that writes nothing until ``go_on``."""

    def __init__(self, monkeypatch):
        self.busy, self.go_on, real = threading.Event(), threading.Event(), module.write_at

        def write_at(*args):
            self.busy.set()
            assert self.go_on.wait(DEADLINE)
            real(*args)

        monkeypatch.setattr(module, "write_at", write_at)


def start(call, *args):
    thread = threading.Thread(target=call, args=args)
    thread.start()
    return thread


@pytest.mark.parametrize("end", ["clear", "close"])
def test_whoever_ends_it_waits_for_what_is_being_written_and_nothing_else(file, monkeypatch, end):
    disk, after, ended = Hanging(monkeypatch), [], threading.Event()
    first, second = file.slots.take(0, 1000), file.slots.take(1000, 2000)

    def write(slot):
        try:
            slot.take(Body(DATA[slot.start : slot.stop], splices=False), 0, 1000, nullcontext)
        except OriginFailure:
            after.append(slot)

    writing = [start(write, first)]
    assert disk.busy.wait(DEADLINE)
    writing.append(start(write, second))
    while not second._lock.locked():  # it waits for its turn
        pass

    def finish():
        file.slots.clear(0, 2000) if end == "clear" else file.slots.close()
        ended.set()

    ending = start(finish)
    while not (first._is_revoked and second._is_revoked):
        pass
    assert not ended.is_set()
    disk.go_on.set()
    for thread in (ending, *writing):
        thread.join(DEADLINE)
    assert ended.is_set()
    assert after == [second]
    assert file.slots.landed == Coverage([(0, 1000)])


def test_nothing_is_given_out_once_it_is_closed(file):
    file.slots.close()
    assert file.slots.take(0, 10) is None


# --- in a file that becomes a target ---


def opened(path, **kwargs):
    usual = {"proof": None, "resume": True, "overwrite": False, "check": lambda: None}
    return FileSink(path, REMOTE, Identity.of(REMOTE.url), **{**usual, **kwargs})


def test_two_requests_for_one_range_leave_no_mixture(tmp_path):
    """The first is late, and goes on while what another one brought is written over it."""
    with closing(opened(tmp_path / "f")) as sink:
        late = sink.slots.take(0, 1000)
        body = Body(b"x" * 1000, most=300)
        late.take(body, 0, 1000, nullcontext)
        assert sink.slots.take(0, 1000) is None  # so that the other one needs memory
        sink.write(memoryview(DATA)[:1000], 0)
        with pytest.raises(OriginFailure):
            late.take(body, 300, 700, nullcontext)
        late.settle(300)
        late.leave()
        sink.write(memoryview(DATA)[1000:], 1000)
        sink.finish()
    assert (tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
def test_whoever_is_late_writes_into_no_finished_file(tmp_path, how):
    before = open_fds()
    sink = opened(tmp_path / "f")
    late = sink.slots.take(0, 1000)
    body = Body(b"x" * 1000, most=300, **{**how, "ahead": 0})
    late.take(body, 0, 1000, nullcontext)
    # As a sink that is told so by a scheduler that lost count would have it.
    sink._took(0, 1000)
    for start in range(1000, SIZE, 1000):
        slot = sink.slots.take(start, start + 1000)
        bring(slot, body_of(slot))
        sink.placed(start, start + slot.settle(1000))
        slot.leave()
    sink.finish()
    there = (tmp_path / "f").read_bytes()
    sink.close()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)  # has the number of the part file
    try:
        if how.get("has_length", True):
            with pytest.raises(OriginFailure):
                late.take(body, 300, 700, nullcontext)
        else:
            late.take(body, 300, 700, nullcontext)
        assert late.settle(1000) <= 300
        assert sink.slots.take(0, 1000) is None
    finally:
        os.close(other)
    assert (tmp_path / "f").read_bytes() == there
    assert (tmp_path / "other").read_bytes() == b""
    assert open_fds() <= before


def test_what_was_in_flight_at_the_end_is_kept(tmp_path):
    with closing(opened(tmp_path / "f")) as sink:
        flying = sink.slots.take(5000, 9000)
        bring(flying, body_of(flying), 1500)
        sink._syncer.note()
        journal = Journal.load(tmp_path / "f.part.journal")
        assert journal.kept(SIZE) == Coverage([(5000, 6500)])  # what a kill leaves
    assert sink.left == 1500
    with closing(opened(tmp_path / "f")) as again:
        assert again.kept == Coverage([(5000, 6500)])
        for start, stop in again.kept.missing(SIZE):
            again.write(memoryview(DATA)[start:stop], start)
        again.finish()
    assert (tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
def test_a_file_that_refuses_bytes_tells_whoever_downloads(tmp_path, monkeypatch, how):
    told = []
    with closing(opened(tmp_path / "f")) as sink:
        sink.on_error = told.append
        slot = sink.slots.take(0, 100)

        def full(*args, **kwargs):
            raise OSError(errno.ENOSPC, "full")

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            patch.setattr(os, "splice", full, raising=False)
            with pytest.raises(OriginFailure) if how.get("has_length", True) else nullcontext():
                bring(slot, body_of(slot, **how))
            slot.settle(100)
    assert [type(error) for error in told] == [DiskError]
    assert "the disk is full; free some space" in str(told[0])
    assert sink.left == 0


def test_a_file_that_refuses_bytes_is_not_tried_again():
    """Else every lane would ask the origin for more, again and again."""
    told = []

    def full():
        raise OSError(28, "No space left on device")

    slots = Slots(full, told.append)
    slot = slots.take(0, 10)
    with pytest.raises(OriginFailure):
        slot.take(Body(b"x" * 10), 0, 10, nullcontext)
    assert slots.take(20, 30) is None
    assert [error.errno for error in told] == [28]
