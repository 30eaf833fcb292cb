"""A part file's life, ended at every step: the next run ends right, whatever is there."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os

import pytest

from raydl.model.digests import Checksum, Proof
from raydl.model.errors import ChecksumError, OutputError
from raydl.model.remote import Remote
from raydl.origin import OriginFailure
from raydl.origin.identity import Identity
from raydl.output import journal, placedfile
from raydl.output.filesink import FileSink
from raydl.output.journal import Journal
from raydl.output.placedfile import PlacedFile
from raydl.output.ranges import stamp_of
from raydl.output.record import Record, record_path
from raydl.output.syncer import Syncer
from tests.filesteps import Killed, Steps

pytestmark = pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="the model looks at open files there"
)

OLD, NEW = bytes(range(1, 251)) * 4, bytes(range(250, 0, -1)) * 4
SIZE = len(OLD)
SAFE, WRITTEN, HALF = 300, 500, 600
PIECES = (HALF, SIZE), (0, 100), (300, HALF), (100, 300)
WRONG = Proof(Checksum("md5", "0" * 32), "given")


@pytest.fixture(autouse=True)
def disk(monkeypatch):
    """The disk is ``Steps``: nothing waits for another."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)
    monkeypatch.setattr(placedfile, "SYNC_SECONDS", 0)
    monkeypatch.setattr(Syncer, "begin", lambda syncer: None)


def sink_at(folder, data, *, ranges=True, **kwargs):
    etag = '"old"' if data is OLD else '"new"'
    remote = Remote("http://h/f", "http://h/f", SIZE, ranges, etag, None, "f")
    usual = {"proof": None, "resume": True, "overwrite": False, "check": lambda: None}
    return FileSink(folder / "f", remote, Identity.of(remote.url), **{**usual, **kwargs})


def download(folder, data, **kwargs):
    """A run whose bytes come in order, and go to the disk after each write, as the background
    does by the clock."""
    with contextlib.closing(sink_at(folder, data, **kwargs)) as sink:
        for start, stop in gaps(sink.kept, (0, HALF), (HALF, SIZE)):
            sink.write(memoryview(data)[start:stop], start)
            sink._syncer.bring()
        sink.finish()


class Body:
    """What an answer brings of ``data``, 120 bytes at a time."""

    has_length, can_splice = True, False

    def __init__(self, data):
        self._left = data

    def receive(self, view):
        data, self._left = self._left[: min(120, len(view))], self._left[min(120, len(view)) :]
        view[: len(data)] = data
        return len(data)


def place_in_slots(folder, data, **kwargs):
    """A run whose bytes come out of order through slots, of which some are in flight while what
    is written goes to the disk; all is noted, as another part of the background does."""
    with contextlib.closing(sink_at(folder, data, **kwargs)) as sink:
        flying = []
        for start, stop in gaps(sink.kept, *PIECES):
            slot, body = sink.slots.take(start, stop), Body(data[start:stop])
            got = take(slot, body, 0)
            sink._syncer.note()
            flying.append((slot, body, got))
            if len(flying) == 3:
                sink._syncer.bring()
        for slot, body, got in reversed(flying):
            while slot.start + got < slot.stop:
                got += take(slot, body, got)
            start, stop = slot.start, slot.stop
            assert slot.settle(got) == stop - start
            sink._syncer.note()
            sink.placed(start, stop)
            slot.leave()
        sink.finish()


def take(slot, body, at):
    try:
        return slot.take(body, at, SIZE, contextlib.nullcontext)
    except OriginFailure:
        raise OutputError("the file refuses bytes") from None


def gaps(there, *pieces):
    """What is missing, divided as the pieces are, in their order."""
    for piece in pieces:
        for start, stop in there.missing(SIZE):
            if max(start, piece[0]) < min(stop, piece[1]):
                yield max(start, piece[0]), min(stop, piece[1])


class Placed(PlacedFile):
    """Its threads' work is done by ``bring``, one step after the other."""

    def _start(self):
        self._threads = []

    def bring(self):
        if self._is_behind():
            self._sync_once()
        while self._hashed < self._written.prefix:
            self._compute_once()


def placed_at(folder, data, *, proof=None, **kwargs):
    etag = '"old"' if data is OLD else '"new"'
    remote = Remote("http://h/f", "http://h/f", SIZE, True, etag, None, "f")
    usual = {"algorithm": "md5", "resume": True, "overwrite": False, "proven": proof is not None}
    return Placed(folder / "f", remote, Identity.of(remote.url), **{**usual, **kwargs})


def place(folder, data, **kwargs):
    """The same run of a file whose bytes come out of order."""
    with contextlib.closing(placed_at(folder, data, **kwargs)) as file:
        for start, stop in gaps(file.written, *PIECES):
            file.write(start, memoryview(data)[start:stop])
            file.bring()
        file.bring()  # nothing may be missing
        if kwargs.get("proof") is WRONG:
            file.drop()
        else:
            file.publish()


def begin_sink(folder):
    sink = sink_at(folder, OLD, overwrite=True)
    sink.write(memoryview(OLD)[:SAFE], 0)
    sink._syncer.bring()
    sink.write(memoryview(OLD)[SAFE:WRITTEN], SAFE)
    sink._syncer.note()
    os.close(sink._part.fd)


def begin_slots(folder):
    """One with a gap: of 900 bytes 200 and 100 are safe, and 100 more were noted."""
    sink = sink_at(folder, OLD, overwrite=True)
    for start, stop in ((0, 200), (800, 900)):
        sink.write(memoryview(OLD)[start:stop], start)
    sink._syncer.bring()
    take(sink.slots.take(400, WRITTEN), Body(OLD[400:WRITTEN]), 0)
    sink._syncer.note()
    os.close(sink._part.fd)


def begin_placed(folder):
    file = placed_at(folder, OLD, overwrite=True)
    for start, stop in ((0, 200), (700, 800)):
        file.write(start, memoryview(OLD)[start:stop])
    file.bring()
    file.write(400, memoryview(OLD)[400:WRITTEN])
    os.close(file._part.fd)


class Scene:
    """Folders in which a run of ``data`` is to be killed, and what the next run makes of that.

    Where it has ``begun``, a run of the old version was killed before, which that began: 300 bytes
    are safe, 500 were written. With ``backup`` that run's part file has another name as well.
    """

    def __init__(
        self, tmp_path, begun, data, *, backup=False, run=download, begin=begin_sink, **kwargs
    ):
        self.backup, self.begin, self.go = backup, begin, run
        self.root, self.begun, self.data, self.kwargs = tmp_path, begun, data, kwargs
        self.overwrite = kwargs.get("overwrite", False)
        self.next = tmp_path / "next"
        self.next.mkdir()
        self.tried = set()

    def run(self, name, cut, fail_sync=None):
        """Let a run be killed, or end; returns its steps, and whether it was killed."""
        folder = self.root / str(name)
        folder.mkdir()
        if self.overwrite:
            (folder / "f").write_bytes(OLD)
        if self.begun:
            self.begin(folder)
        if self.backup:
            os.link(folder / "f.part", folder / "backup")
        # The model knows no intervals: what was placed and not synced is safe as well, by luck.
        safe = {"f.part": SAFE, "backup": SAFE} if self.begin is begin_sink else {}
        steps, killed = Steps(folder, cut, fail_sync, safe), False
        with pytest.MonkeyPatch.context() as patch, contextlib.closing(steps):
            steps.watch(patch)
            try:
                self.go(folder, self.data, **self.kwargs)
            except Killed:
                killed = True
            except ChecksumError:
                assert self.kwargs["proof"] is WRONG
            except (OSError, OutputError):
                assert fail_sync is not None
        return steps, killed

    def try_with(self, files):
        """The next run, of either version, ends right; what was tried before is not again."""
        if (state := frozenset(files.items())) in self.tried:
            return
        self.tried.add(state)
        assert files.get("f", OLD) in (OLD, NEW)
        self.must_be_true(files)
        if "f" in files and not self.overwrite:
            return
        for data, go in itertools.product((OLD, NEW), (place_in_slots, place)):
            for path in self.next.iterdir():
                path.unlink()
            for name, content in files.items():
                (self.next / name).write_bytes(content)
            go(self.next, data, overwrite=self.overwrite)
            assert (self.next / "f").read_bytes() == data

    def must_be_true(self, files):
        """What the journal vouches for is there, and of the version that it names."""
        path = self.next / "journal"
        path.write_bytes(files.get("f.part.journal", b""))
        found, there = Journal.load(path), files.get("f.part", b"")
        path.unlink()
        if found is not None:
            data = OLD if found.etag == '"old"' else NEW
            for start, stop in found.kept(len(there)):
                assert there[start:stop] == data[start:stop]

    def kill(self, first=0, fail_sync=None):
        """End it before every step from ``first`` on."""
        for cut in itertools.count(first):
            steps, killed = self.run(cut, cut, fail_sync)
            files = {path.name: path.read_bytes() for path in steps.folder.iterdir()}
            if self.begin is begin_sink:
                assert files.get("backup", OLD)[:WRITTEN] == OLD[:WRITTEN]
            may_lack_record = fail_sync is not None  # which is done without where it finds no room
            if self.go is place and "f" in files and not (self.overwrite or may_lack_record):
                assert is_known(steps.folder / "f")  # else the next run would refuse it
            self.try_with(files)
            if not killed:
                return

    def cut_power(self):
        """End it, and all that was not brought to the disk, before every step."""
        for cut in itertools.count():
            steps, killed = self.run(cut, cut)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(journal, "boot_id", lambda: "another")
                for files in steps.after_a_power_cut:
                    self.try_with(files)
            if not killed:
                return


def is_known(path):
    with path.open("rb") as file:
        return Record.load(record_path(path)).stamp == stamp_of(file.fileno())


def no_link(*args):
    raise OSError(errno.EPERM, "no links here")


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("data", [OLD, NEW], ids=["same", "changed"])
class TestEveryStep:
    @pytest.mark.parametrize(
        "kwargs",
        [{}, {"overwrite": True}, {"ranges": False}, {"proof": WRONG},
         {"proof": WRONG, "keep_bad": True}],
    )  # fmt: skip
    def test_killed(self, tmp_path, begun, data, kwargs):
        Scene(tmp_path, begun, data, **kwargs).kill()

    def test_killed_where_there_are_no_links(self, tmp_path, monkeypatch, begun, data):
        monkeypatch.setattr(os, "link", no_link)
        Scene(tmp_path, begun, data).kill()

    @pytest.mark.parametrize("fail_sync", range(10))
    def test_killed_after_bytes_were_lost(self, tmp_path, begun, data, fail_sync):
        scene = Scene(tmp_path, begun, data)
        steps, _ = scene.run("before", None, fail_sync)
        if steps.failed_at is not None:  # not every run syncs that often
            scene.kill(steps.failed_at, fail_sync)

    def test_the_power_goes(self, tmp_path, begun, data):
        Scene(tmp_path, begun, data).cut_power()


BACKED_UP = [(begin_sink, download), (begin_sink, place), (begin_slots, place_in_slots)]


@pytest.mark.parametrize(("begin", "run"), BACKED_UP, ids=["in order", "placed", "slots"])
@pytest.mark.parametrize("data", [OLD, NEW], ids=["same", "changed"])
def test_killed_where_there_is_a_backup(tmp_path, begin, run, data):
    Scene(tmp_path, True, data, run=run, begin=begin, backup=True).kill()


PAIRS = {
    "placed": (begin_placed, place),
    "taken over": (begin_sink, place),
    "given up": (begin_placed, download),
    "slots": (begin_slots, place_in_slots),
}


@pytest.mark.parametrize(("begin", "run"), PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("data", [OLD, NEW], ids=["same", "changed"])
class TestEveryStepOutOfOrder:
    """The same of bytes that come in any order, and of a run of one kind after the other's."""

    @pytest.mark.parametrize("begun", [False, True])
    @pytest.mark.parametrize(
        "kwargs",
        [
            {},
            pytest.param({"overwrite": True}, marks=pytest.mark.patient),
            pytest.param({"proof": WRONG}, marks=pytest.mark.patient),
        ],
    )
    def test_killed(self, tmp_path, begin, run, data, begun, kwargs):
        Scene(tmp_path, begun, data, begin=begin, run=run, **kwargs).kill()

    @pytest.mark.patient
    @pytest.mark.parametrize("fail_sync", range(12))
    def test_killed_after_bytes_were_lost(self, tmp_path, begin, run, data, fail_sync):
        scene = Scene(tmp_path, True, data, begin=begin, run=run)
        steps, _ = scene.run("before", None, fail_sync)
        if steps.failed_at is not None:
            scene.kill(steps.failed_at, fail_sync)

    @pytest.mark.patient
    @pytest.mark.parametrize("begun", [False, True])
    def test_the_power_goes(self, tmp_path, begin, run, data, begun):
        Scene(tmp_path, begun, data, begin=begin, run=run).cut_power()


@pytest.mark.parametrize("data", [OLD, pytest.param(NEW, marks=pytest.mark.patient)])
def test_the_power_goes_while_slots_are_filled(tmp_path, data):
    Scene(tmp_path, True, data, begin=begin_slots, run=place_in_slots).cut_power()


@pytest.mark.parametrize("fail_sync", range(5))
def test_bytes_of_slots_are_lost(tmp_path, fail_sync):
    scene = Scene(tmp_path, True, OLD, begin=begin_slots, run=place_in_slots)
    steps, _ = scene.run("before", None, fail_sync)
    if steps.failed_at is not None:
        scene.kill(steps.failed_at, fail_sync)
