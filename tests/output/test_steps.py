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
from raydl.origin.identity import Identity
from raydl.output import journal, placedfile
from raydl.output.filesink import FileSink
from raydl.output.placedfile import PlacedFile
from raydl.output.ranges import stamp_of
from raydl.output.record import Record, record_path
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


def sink_at(folder, data, *, ranges=True, **kwargs):
    etag = '"old"' if data is OLD else '"new"'
    remote = Remote("http://h/f", "http://h/f", SIZE, ranges, etag, None, "f")
    usual = {"proof": None, "resume": True, "overwrite": False, "check": lambda: None}
    return FileSink(folder / "f", remote, Identity.of(remote.url), **{**usual, **kwargs})


def download(folder, data, **kwargs):
    """A run whose bytes go to the disk after each write, as the background does by the clock."""
    with contextlib.closing(sink_at(folder, data, **kwargs)) as sink:
        while sink.written < SIZE:
            stop = HALF if sink.written < HALF else SIZE
            sink.write(memoryview(data)[sink.written : stop])
            sink._syncer.bring(sink.written)
        sink.finish()


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
        for piece in PIECES:
            for start, stop in file.written.missing(SIZE):
                start, stop = max(start, piece[0]), min(stop, piece[1])
                if start < stop:
                    file.write(start, memoryview(data)[start:stop])
            file.bring()
        if kwargs.get("proof") is WRONG:
            file.drop()
        else:
            file.publish()


def begin_sink(folder):
    sink = sink_at(folder, OLD, overwrite=True)
    sink.write(memoryview(OLD)[:SAFE])
    sink._syncer.bring(SAFE)
    sink.write(memoryview(OLD)[SAFE:WRITTEN])
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
        if "f" in files and not self.overwrite:
            return
        for data, go in itertools.product((OLD, NEW), (download, place)):
            for path in self.next.iterdir():
                path.unlink()
            for name, content in files.items():
                (self.next / name).write_bytes(content)
            go(self.next, data, overwrite=self.overwrite)
            assert (self.next / "f").read_bytes() == data

    def kill(self, first=0, fail_sync=None):
        """End it before every step from ``first`` on."""
        for cut in itertools.count(first):
            steps, killed = self.run(cut, cut, fail_sync)
            files = {path.name: path.read_bytes() for path in steps.folder.iterdir()}
            assert files.get("backup", OLD)[:WRITTEN] == OLD[:WRITTEN]
            may_lack_record = fail_sync is not None  # which is done without where it finds no room
            if self.go is place and "f" in files and not (self.overwrite or may_lack_record):
                assert is_known(steps.folder / "f")  # else the next run would refuse it
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

    def test_the_power_goes(self, tmp_path, monkeypatch, begun, data):
        scene = Scene(tmp_path, begun, data)
        for cut in itertools.count():
            steps, killed = scene.run(cut, cut)
            with monkeypatch.context() as patch:
                patch.setattr(journal, "boot_id", lambda: "another")
                for files in steps.after_a_power_cut:
                    scene.try_with(files)
            if not killed:
                return


@pytest.mark.parametrize("run", [download, place])
@pytest.mark.parametrize("data", [OLD, NEW], ids=["same", "changed"])
def test_killed_where_there_is_a_backup(tmp_path, run, data):
    Scene(tmp_path, True, data, run=run, backup=True).kill()


PAIRS = [(begin_placed, place), (begin_sink, place), (begin_placed, download)]


@pytest.mark.parametrize(("begin", "run"), PAIRS, ids=["placed", "taken over", "given up"])
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
    def test_the_power_goes(self, tmp_path, monkeypatch, begin, run, data, begun):
        scene = Scene(tmp_path, begun, data, begin=begin, run=run)
        for cut in itertools.count():
            steps, killed = scene.run(cut, cut)
            with monkeypatch.context() as patch:
                patch.setattr(journal, "boot_id", lambda: "another")
                for files in steps.after_a_power_cut:
                    scene.try_with(files)
            if not killed:
                return
