"""A file that several machines write into one directory."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import subprocess
import sys
import threading
import time
import types
from functools import partial
from pathlib import Path

import pytest

import raydl
from raydl.download import landingchoice
from raydl.landing import shared
from raydl.landing.sighting import Sighting
from raydl.landing.writer import Item, Writer
from raydl.model.control import Control
from raydl.model.errors import ChecksumError, NetworkError, OutputError, TargetError
from raydl.model.events import Notice, PartFetched, Resumed
from raydl.model.parts import Part
from raydl.origin.resolver import resolve
from raydl.output import placedfile
from raydl.output.journal import Journal
from raydl.output.sharedfile import SharedFile
from raydl.settings.options import Options
from raydl.workers.protocol import HERE
from raydl.workers.sharedfiles import FAULT, SharedFiles
from tests.conftest import random_bytes
from tests.landing.means import make_means
from tests.landing.test_writer import Hand
from tests.scripted import cut_off, ignore_range
from tests.workers.test_fleet import actors

HOME = Path(__file__).parent.parent.parent
LARGE = random_bytes(12_000_000, seed=3)


def fetch(url, path, address="none", *, events=None, **options):
    """With the machines of a cluster alone where there is one."""
    base = {"to": "shared", "address": address, "progress": "none", "retries": 2}
    base["fetch_here"] = address == "none"
    on_event = None if events is None else events.append
    return raydl.fetch(url, path, on_event=on_event, **{**base, **options})


def digest_of(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def notices(events):
    return [event.text for event in events if isinstance(event, Notice)]


class TestAlone:
    def test_it_is_simply_a_file(self, origin, tmp_path):
        report = fetch(origin.url(), tmp_path / "f", part_size=100_000)
        assert (tmp_path / "f").read_bytes() == origin.data
        assert names(tmp_path) == ["f"]
        assert (report.size, report.fetched, report.resumed) == (1_000_003, 1_000_003, 0)
        assert report.path == str(tmp_path / "f")
        assert report.digests == {}
        assert report.parts == 11

    def test_the_digest_is_held_against_the_digest(self, origin, tmp_path):
        digest = digest_of(origin.data)
        report = fetch(origin.url(), tmp_path / "f", checksum=digest, part_size=100_000)
        assert report.digests == {"sha256": digest.removeprefix("sha256:")}

    def test_another_digest(self, origin, tmp_path):
        with pytest.raises(ChecksumError, match="discarded"):
            fetch(origin.url(), tmp_path / "f", checksum=digest_of(b""))
        assert names(tmp_path) == []

    def test_what_is_wrong_can_be_kept(self, origin, tmp_path):
        with pytest.raises(ChecksumError, match=r"f\.bad"):
            fetch(origin.url(), tmp_path / "f", checksum=digest_of(b""), keep_bad=True)
        assert names(tmp_path) == ["f.bad"]

    def test_an_empty_file(self, make_origin, tmp_path):
        origin = make_origin(b"")
        fetch(origin.url(), tmp_path / "f", checksum=digest_of(b""))
        assert (tmp_path / "f").read_bytes() == b""

    def test_an_origin_that_ignores_ranges_is_read_in_one_stream(self, origin, tmp_path):
        origin.on(ignore_range, None, lambda seen: seen.is_part)
        fetch(origin.url(), tmp_path / "f", checksum=digest_of(origin.data), part_size=100_000)
        assert (tmp_path / "f").read_bytes() == origin.data
        assert names(tmp_path) == ["f"]

    def test_what_is_there_stays(self, origin, tmp_path):
        (tmp_path / "f").write_bytes(b"mine")
        with pytest.raises(TargetError, match="exists already"):
            fetch(origin.url(), tmp_path / "f")
        assert fetch(origin.url(), tmp_path / "f", skip_existing=True).skipped
        assert (tmp_path / "f").read_bytes() == b"mine"
        fetch(origin.url(), tmp_path / "f", overwrite=True)
        assert (tmp_path / "f").read_bytes() == origin.data

    def test_what_was_safe_is_not_fetched_again(self, make_origin, tmp_path):
        origin = make_origin(LARGE)
        origin.on(cut_off(10, reset=True), None, lambda seen: (seen.range or (0,))[0] >= 6_000_000)
        with pytest.raises(NetworkError):
            fetch(origin.url(), tmp_path / "f", part_size=1_000_000, connections=2)
        assert names(tmp_path) == ["f.part", "f.part.journal"]
        journal = Journal.load(tmp_path / "f.part.journal")
        assert journal.owner is None
        assert journal.synced.size >= 6_000_000
        origin.rules.clear()
        origin.requests.clear()
        events = []
        report = fetch(origin.url(), tmp_path / "f", checksum=digest_of(LARGE), events=events)
        assert (tmp_path / "f").read_bytes() == LARGE
        assert report.resumed == journal.synced.size
        assert sum(len(range(*seen.range)) + 1 for seen in origin.parts) == report.fetched
        assert any(isinstance(event, Resumed) for event in events)
        assert names(tmp_path) == ["f"]

    def test_a_plain_download_goes_on_from_it(self, make_origin, tmp_path):
        origin = make_origin(LARGE)
        origin.on(cut_off(10, reset=True), None, lambda seen: (seen.range or (0,))[0] >= 6_000_000)
        with pytest.raises(NetworkError):
            fetch(origin.url(), tmp_path / "f", part_size=1_000_000, connections=2)
        origin.rules.clear()
        report = raydl.fetch(origin.url(), tmp_path / "f", address="none", progress="none")
        assert (tmp_path / "f").read_bytes() == LARGE
        assert report.resumed >= 5_000_000

    def test_wrong_bytes_on_the_disk_are_fetched_again(self, origin, tmp_path, monkeypatch):
        spoil(monkeypatch, tmp_path / "f.part", times=1)
        events = []
        report = fetch(origin.url(), tmp_path / "f", events=events, part_size=100_000)
        assert (tmp_path / "f").read_bytes() == origin.data
        [notice] = notices(events)
        assert "are not what was written there: they are fetched again" in notice
        assert report.wasted == 100_000

    def test_wrong_bytes_go_into_no_digest(self, origin, tmp_path, monkeypatch):
        spoil(monkeypatch, tmp_path / "f.part", times=1)
        fetch(origin.url(), tmp_path / "f", checksum=digest_of(origin.data), part_size=100_000)
        assert (tmp_path / "f").read_bytes() == origin.data

    def test_a_disk_that_gives_wrong_bytes_again(self, origin, tmp_path, monkeypatch):
        spoil(monkeypatch, tmp_path / "f.part", times=2)
        with pytest.raises(OutputError, match="are not what was written, again"):
            fetch(origin.url(), tmp_path / "f", part_size=100_000)
        journal = Journal.load(tmp_path / "f.part.journal")
        assert journal.synced.size < 1_000_003

    def test_another_coordinator(self, origin, tmp_path):
        """On a host whose locks nobody here sees."""
        (tmp_path / "f.part").write_bytes(b"x" * 10)
        found = resolve(origin.url(), Options(), id, Control())
        journal = Journal.of(found.remote, found.identity)
        owner = "elsewhere/boot/pids 7 0123456789abcdef"
        dataclasses.replace(journal.doubted(), owner=owner).save(tmp_path / "f.part.journal")
        for download in (fetch, partial(raydl.fetch, address="none", progress="none")):
            with pytest.raises(TargetError, match="another raydl is writing"):
                download(origin.url(), tmp_path / "f")
        old = time.time() - 60
        os.utime(tmp_path / "f.part.journal", (old, old))
        (tmp_path / "f.part.01234567").write_bytes(b"left by it")
        fetch(origin.url(), tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == origin.data
        assert names(tmp_path) == ["f"]

    def test_what_another_coordinator_took_over_is_not_touched(self, origin, tmp_path):
        started = threading.Event()

        def wait(handler, seen):
            started.set()
            handler.origin.release.wait(30)
            return False

        origin.on(wait, None, lambda seen: seen.is_part)

        def take():
            started.wait(10)
            path = tmp_path / "f.part.journal"
            journal = dataclasses.replace(Journal.load(path), owner="elsewhere/b/p 7 0123456789")
            journal.save(path)

        thread = threading.Thread(target=take)
        thread.start()
        with pytest.raises(TargetError, match="another raydl is writing"):
            fetch(origin.url(), tmp_path / "f")
        thread.join()
        assert names(tmp_path) == ["f.part", "f.part.journal"]
        assert Journal.load(tmp_path / "f.part.journal").owner == "elsewhere/b/p 7 0123456789"


def spoil(monkeypatch, path, times):
    """What is synced first, and once more that often, is another byte on the disk."""
    sync, left = SharedFiles.sync, [times]

    def spoiling(self, key):
        answer = sync(self, key)
        if left[0]:
            left[0] -= 1
            with path.open("r+b") as file:
                file.seek(10)
                byte = file.read(1)[0]
                file.seek(10)
                file.write(bytes([byte ^ 1]))
        return answer

    monkeypatch.setattr(SharedFiles, "sync", spoiling)


@pytest.fixture
def small_disk(tmp_path):
    """A file system with 8 MB."""
    where = tmp_path / "small"
    where.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", where], check=False
    ).returncode:
        pytest.skip("no file system can be mounted here")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


class TestFullDisk:
    def test_it_is_told_before(self, make_origin, small_disk):
        with pytest.raises(OutputError, match=r"MiB free, 11\.4 MiB are needed"):
            fetch(make_origin(LARGE).url(), small_disk / "f")
        assert names(small_disk) == []

    def test_it_ends_the_download_which_goes_on_once_there_is_room(
        self, make_origin, small_disk, monkeypatch
    ):
        """Where nothing could be reserved."""
        monkeypatch.setattr(placedfile, "reserve", os.ftruncate)
        origin = make_origin(LARGE)
        with pytest.raises(OutputError, match="the disk is full"):
            fetch(origin.url(), small_disk / "f", part_size=500_000, connections=1)
        kept = Journal.load(small_disk / "f.part.journal").synced.size
        subprocess.run(["mount", "-o", "remount,size=40m", small_disk], check=True)
        report = fetch(origin.url(), small_disk / "f", part_size=500_000)
        assert report.resumed == kept
        assert (small_disk / "f").read_bytes() == LARGE
        assert names(small_disk) == ["f"]


@pytest.fixture
def slow_origin(make_origin):
    """12 MB in parts that take a while."""
    origin = make_origin(LARGE)

    def wait(handler, seen):
        handler.origin.release.wait(0.2)
        return False

    origin.on(wait, None, lambda seen: seen.is_part)
    return origin


def broken(self, key, start, stop, ref):
    return (FAULT, "Input/output error", ""), None


def full(self, key, start, stop, ref):
    return ("OutputError", "cannot write f.part: the disk is full", "free some space"), None


@pytest.mark.cluster
class TestOnNodes:
    def test_each_writes_what_it_fetched(
        self, two_nodes, make_origin, tmp_path, monkeypatch, no_leaks
    ):
        origin = make_origin(LARGE)
        digest, events = digest_of(LARGE), []
        monkeypatch.setattr(shared._Shared, "_pull", None)  # no byte comes here
        report = fetch(
            origin.url(), tmp_path / "f", two_nodes.address,
            checksum=digest, events=events, part_size=1_000_000,
        )  # fmt: skip
        assert (tmp_path / "f").read_bytes() == LARGE
        assert names(tmp_path) == ["f"]
        assert report.digests == {"sha256": digest.removeprefix("sha256:")}
        assert sum(share.bytes for share in report.nodes) == len(LARGE)
        assert notices(events) == []

    def test_who_does_not_see_the_directory_fetches_all_the_same(
        self, warm_nodes, slow_origin, tmp_path, monkeypatch
    ):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()

        def seen_by(self, node, path):
            return str(path if node == HERE else elsewhere / path.name)

        monkeypatch.setattr(shared._Shared, "_seen_by", seen_by)
        events, out = [], tmp_path / "out"
        out.mkdir()
        report = fetch(
            slow_origin.url(), out / "f", warm_nodes.address,
            checksum=digest_of(LARGE), events=events, part_size=250_000, connections=2,
            fetch_here=True,
        )  # fmt: skip
        assert (out / "f").read_bytes() == LARGE
        [notice] = notices(events)
        assert f"does not see {out} (No such file or directory)" in notice
        assert {share.node for share in report.nodes} > {HERE}
        assert names(out) == ["f"]
        assert names(elsewhere) == []

    @pytest.mark.patient
    def test_whose_disk_is_broken_fetches_all_the_same(
        self, two_nodes, slow_origin, tmp_path, monkeypatch
    ):
        """What it has is written by this machine, and fetched by nobody again."""
        raydl.disconnect()  # new workers get what is broken
        monkeypatch.setattr(SharedFiles, "write", broken)
        events = []
        report = fetch(
            slow_origin.url(), tmp_path / "f", two_nodes.address,
            checksum=digest_of(LARGE), events=events, part_size=250_000, connections=2,
        )  # fmt: skip
        raydl.disconnect()
        assert (tmp_path / "f").read_bytes() == LARGE
        [notice] = notices(events)
        assert "f.part: Input/output error: what it fetches is written by this machine" in notice
        assert report.wasted == 0

    def test_a_disk_that_is_full_for_a_node_is_full_for_all(
        self, two_nodes, slow_origin, tmp_path, monkeypatch
    ):
        raydl.disconnect()
        monkeypatch.setattr(SharedFiles, "write", full)
        with pytest.raises(OutputError, match="the disk is full"):
            fetch(slow_origin.url(), tmp_path / "f", two_nodes.address, part_size=250_000)
        raydl.disconnect()
        assert names(tmp_path) == []

    @pytest.mark.patient
    def test_a_worker_is_killed(self, two_nodes, slow_origin, tmp_path):
        events, killed = [], []

        def told(event):
            events.append(event)
            if isinstance(event, PartFetched) and not killed:
                killed.extend(actors()[:1])
                killed[0].kill()

        report = fetch(
            slow_origin.url(), tmp_path / "f", two_nodes.address,
            checksum=digest_of(LARGE), events=types.SimpleNamespace(append=told),
            part_size=250_000, connections=2,
        )  # fmt: skip
        assert killed
        assert (tmp_path / "f").read_bytes() == LARGE
        assert report.wasted <= 16 * 250_000
        assert names(tmp_path) == ["f"]

    @pytest.mark.patient
    def test_the_driver_is_killed(self, two_nodes, slow_origin, tmp_path):
        code = (
            "import sys; from tests.landing.test_shared import fetch\n"
            "fetch(sys.argv[1], sys.argv[2], sys.argv[3], part_size=250_000, connections=2)"
        )
        command = [sys.executable, "-c", code, slow_origin.url(), tmp_path / "f", two_nodes.address]
        journal = tmp_path / "f.part.journal"
        with subprocess.Popen(command, cwd=HOME) as process:
            deadline = time.monotonic() + 60
            while not (journal.exists() and Journal.load(journal).synced.size > 2_000_000):
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.01)
            process.kill()
        kept = Journal.load(journal).synced.size
        assert Journal.load(journal).owner
        report = fetch(
            slow_origin.url(), tmp_path / "f", two_nodes.address,
            checksum=digest_of(LARGE), part_size=250_000,
        )  # fmt: skip
        assert report.resumed >= kept
        assert (tmp_path / "f").read_bytes() == LARGE
        assert names(tmp_path) == ["f"]

    def test_this_processs_lanes_write_here(self, warm_nodes, slow_origin, tmp_path):
        options = {"fetch_here": True, "part_size": 250_000, "connections": 2}
        report = fetch(slow_origin.url(), tmp_path / "f", warm_nodes.address, **options)
        assert (tmp_path / "f").read_bytes() == LARGE
        assert len(report.nodes) > 1


class TestASickNode:
    """One whose file system fails once, and does not answer any more then."""

    def test_what_it_does_not_bring_to_the_disk_is_brought_here(self, origin, tmp_path):
        events, now, pulled = [], [0.0], []
        means = make_means(origin.url(), events, to="shared")
        found = means.found
        file = SharedFile(
            tmp_path / "f", found.remote, found.identity,
            resume=True, overwrite=False, proven=False,
        )  # fmt: skip
        with contextlib.closing(file), contextlib.closing(shared._Shared(means, file)) as landing:
            hand = Hand()
            writer = Writer(hand, landing._is_safe, landing._failed, lambda: now[0])
            landing._writers["n"] = writer
            landing._pull = lambda item, node: pulled.append(item)
            writer.open()
            payload = types.SimpleNamespace(release=lambda: None)
            items = [Item(Part(i, i * 10, i * 10 + 10), payload, lambda _: None) for i in range(2)]
            for item in items:
                writer.write(item)
            hand.answer((FAULT, "Input/output error", ""))
            assert pulled == items[:1]
            now[0] = 1000.0
            landing._desk.clock = lambda: now[0]
            landing._turn()
            assert pulled == items
        assert len(notices(events)) == 1


class TestSighting:
    """A plain download to where nodes could write themselves."""

    @pytest.fixture(autouse=True)
    def worth_it(self, monkeypatch):
        monkeypatch.setattr(landingchoice, "WORTH_BYTES", 1)

    @pytest.mark.cluster
    def test_it_is_told_once(self, warm_nodes, slow_origin, tmp_path):
        events = []
        options = {"to": "here", "fetch_here": True, "part_size": 250_000, "connections": 2}
        fetch(slow_origin.url(), tmp_path / "f", warm_nodes.address, events=events, **options)
        [notice] = notices(events)
        assert f"sees {tmp_path}, too: with --to shared" in notice

    @pytest.mark.parametrize("number", [1, None])
    def test_another_file_is_not_ours(self, tmp_path, number):
        (tmp_path / "f.part").touch()
        told = []
        sighting = Sighting(tmp_path / "f.part", told.append)
        sighting._seen("n", (None, number))
        sighting._seen("n", (None, (tmp_path / "f.part").stat().st_ino))
        assert len(told) == 1
