"""A part file's life, ended at every step: the next run ends right, whatever is there."""

from __future__ import annotations

import contextlib
import itertools
import os

import pytest

from raydl import journal
from raydl.errors import OutputError
from raydl.models import Remote
from raydl.sink import FileSink
from tests.filesteps import Killed, Steps

OLD, NEW = bytes(range(1, 251)) * 4, bytes(range(250, 0, -1)) * 4
SIZE = len(OLD)
SAFE, WRITTEN, HALF = 300, 500, 600


def remote(data, **changes):
    etag = '"old"' if data is OLD else '"new"'
    fields = {"size": SIZE, "ranges": True, "etag": etag, "last_modified": None, "name": "f"}
    return Remote("http://h/f", "http://h/f", **{**fields, **changes})


@pytest.fixture(autouse=True)
def disk(monkeypatch):
    """The disk is ``Steps``: nothing waits for another."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)


def sink_at(folder, data, **changes):
    return FileSink(folder / "f", remote(data, **changes), proof=None, resume=True, overwrite=False)


def download(folder, data, **changes):
    """A run whose bytes go to the disk after each write, as the background does by the clock."""
    with contextlib.closing(sink_at(folder, data, **changes)) as sink:
        while sink.written < SIZE:
            stop = HALF if sink.written < HALF else SIZE
            sink.write(memoryview(data)[sink.written : stop])
            sink._syncer._sync(sink.written)
        sink.finish()


def left_behind(folder):
    """A run of the old version was killed: 300 bytes are safe, 500 were written."""
    sink = sink_at(folder, OLD)
    sink.write(memoryview(OLD)[:SAFE])
    sink._syncer._sync(SAFE)
    sink.write(memoryview(OLD)[SAFE:WRITTEN])
    os.close(sink._part.fd)


class Outcomes:
    """What a run may leave behind, each tried once: the next run, of either version, ends right."""

    def __init__(self, folder):
        self.folder = folder
        self.tried = set()
        folder.mkdir()

    def try_all(self, files):
        if (state := frozenset(files.items())) not in self.tried:
            self.tried.add(state)
            self.try_with(files, OLD)
            self.try_with(files, NEW)

    def try_with(self, files, data):
        for path in self.folder.iterdir():
            path.unlink()
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        target = self.folder / "f"
        if target.exists():
            assert target.read_bytes() in (OLD, NEW)
            return
        download(self.folder, data)
        assert target.read_bytes() == data


def run_until(folder, cut, data, fail_sync=None):
    """Let a run be killed, or end; returns its steps, and whether it was killed."""
    steps, killed = Steps(folder, cut, fail_sync, {"f.part": SAFE}), False
    with pytest.MonkeyPatch.context() as patch, contextlib.closing(steps):
        steps.watch(patch)
        try:
            download(folder, data)
        except Killed:
            killed = True
        except (OSError, OutputError):
            assert fail_sync is not None
        return steps, killed


def begin(tmp_path, cut, begun):
    folder = tmp_path / str(cut)
    folder.mkdir()
    if begun:
        left_behind(folder)
    return folder


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("data", [OLD, NEW], ids=["same", "changed"])
class TestEveryStep:
    def test_killed(self, tmp_path, begun, data):
        self.kill(tmp_path, begun, data, 0, None)

    @pytest.mark.parametrize("fail_sync", range(10))
    def test_killed_after_bytes_were_lost(self, tmp_path, begun, data, fail_sync):
        folder = begin(tmp_path, "before", begun)
        steps, _ = run_until(folder, None, data, fail_sync)
        self.kill(tmp_path, begun, data, steps.failed_at, fail_sync)

    def kill(self, tmp_path, begun, data, first, fail_sync):
        outcomes = Outcomes(tmp_path / "next")
        for cut in itertools.count(first):
            folder = begin(tmp_path, cut, begun)
            _, killed = run_until(folder, cut, data, fail_sync)
            outcomes.try_all({path.name: path.read_bytes() for path in folder.iterdir()})
            if not killed:
                return

    def test_the_power_goes(self, tmp_path, monkeypatch, begun, data):
        outcomes = Outcomes(tmp_path / "next")
        for cut in itertools.count():
            folder = begin(tmp_path, cut, begun)
            steps, killed = run_until(folder, cut, data)
            with monkeypatch.context() as patch:
                patch.setattr(journal, "boot_id", lambda: "another")
                for files in steps.after_a_power_cut:
                    outcomes.try_all(files)
            if not killed:
                return
