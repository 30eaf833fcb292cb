"""Many files to every node, on a real cluster whose nodes have a disk each."""

import hashlib
import random
import threading

import pytest

import raydl
from raydl.model.errors import UsageError
from raydl.workers.smallfiles import LARGEST
from tests.landing.rooted import NODE, rooted
from tests.many.conftest import COUNT
from tests.many.hub import NAME, there_below
from tests.many.killer import Killer
from tests.many.test_run import failures, only
from tests.scripted import chunked, ignore_range, status
from tests.workers.test_fleet import actors, until

pytestmark = pytest.mark.cluster


@pytest.fixture
def disks(two_nodes, tmp_path, monkeypatch):
    """Where the disks of the nodes are; the workers that come use them."""
    raydl.disconnect()
    rooted(monkeypatch, tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", two_nodes.address)
    yield tmp_path
    raydl.disconnect()


def fetch(library, disks, items=None, **options):
    items = [library.url(path) for path in library.files] if items is None else items
    return raydl.fetch_many(items, disks / NODE / "d", to="every-node", progress="none", **options)


def digests(directory):
    return {
        path.name: hashlib.md5(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def on_disks(disks):
    """What each node has."""
    return {disk.name: digests(disk / "d") for disk in disks.iterdir()}


def wanted(library):
    return {path[1:]: hashlib.md5(data).hexdigest() for path, data in library.files.items()}


def test_every_node_has_all_and_the_origin_is_asked_once(disks, library):
    library.files["/large"] = random.Random(3).randbytes(LARGEST + 1)
    report = fetch(library, disks)
    assert (report.failed, report.done) == (0, COUNT + 2)
    assert list(report.copies.values()) == ["", ""]
    assert list(on_disks(disks).values()) == [wanted(library)] * 2
    small = [seen.path for seen in library.requests if seen.path not in ("/large", "/middle")]
    assert len(small) == len(set(small)) == COUNT
    asked = len(small)
    again = fetch(library, disks)
    assert again.skipped == COUNT + 2
    small = [seen.path for seen in library.requests if seen.path not in ("/large", "/middle")]
    assert len(small) == asked


def test_a_node_that_lacks_some_gets_them_from_the_other(disks, library):
    fetch(library, disks)
    first, second = (disk / "d" for disk in disks.iterdir())
    (first / "003").unlink()
    (second / "middle").unlink()
    (second / "004").write_bytes(b"changed here")
    asked = len(library.requests)
    report = fetch(library, disks, overwrite=True)
    assert report.failed == 0
    assert list(report.copies.values()) == ["", ""]
    assert len(library.requests) == asked
    assert list(on_disks(disks).values()) == [wanted(library)] * 2


def test_what_is_there_and_not_ours_fails_that_file(disks, library):
    fetch(library, disks, [library.url("/000")])
    first = next(iter(disks.iterdir())) / "d"
    (first / "001").write_bytes(b"mine")
    report = fetch(library, disks)
    ((path, (error, problem)),) = failures(report).items()
    assert (path, error) == ("001", "TargetError")
    assert "exists already" in problem
    assert (first / "001").read_bytes() == b"mine"


def test_failures_and_digests(disks, library):
    library.on(status(404), None, only("/007"))
    items = [
        library.url("/007"),
        {"url": library.url("/008"), "digest": "md5:" + "0" * 32},
        {"url": library.url("/009"), "digest": hashlib.sha256(library.files["/009"]).hexdigest()},
    ]
    report = fetch(library, disks, items)
    assert {path: kind for path, (kind, _) in failures(report).items()} == {
        "007": "HttpError",
        "008": "ChecksumError",
    }
    assert list(on_disks(disks).values()) == [{"009": wanted(library)["009"]}] * 2


def test_files_without_ranges_and_of_no_known_size(disks, library):
    library.on(ignore_range, None, only("/middle"))
    library.data = library.files["/001"]
    library.on(chunked, None, only("/001"))
    assert list(fetch(library, disks)) == []
    for found in on_disks(disks).values():
        assert {n for n, digest in found.items() if wanted(library)[n] != digest} == set()
        assert set(found) == set(wanted(library))


def test_this_machine_does_not_fetch_where_that_is_not_wanted(disks, library):
    report = fetch(library, disks, fetch_here=False)
    assert "this machine" not in report.nodes
    assert list(on_disks(disks).values()) == [wanted(library)] * 2


def test_if_changed(disks, library):
    fetch(library, disks)
    library.files["/005"] = b"new"
    report = fetch(library, disks, if_changed=True)
    assert report.failed == 0
    assert list(on_disks(disks).values()) == [wanted(library)] * 2


@pytest.mark.slow  # a cluster of its own
def test_a_killed_worker_comes_back_and_catches_up(own_nodes, library, tmp_path, monkeypatch):
    raydl.disconnect()
    rooted(monkeypatch, tmp_path)
    nodes = own_nodes(2)
    killer = Killer()
    report = fetch(library, tmp_path, address=nodes.address, on_event=killer)
    assert killer.killed
    assert report.failed == 0
    assert list(report.copies.values()) == ["", ""]
    assert list(on_disks(tmp_path).values()) == [wanted(library)] * 2


def test_a_node_that_comes_late_catches_up(own_nodes, library, tmp_path, monkeypatch):
    raydl.disconnect()
    rooted(monkeypatch, tmp_path)
    nodes = own_nodes(1)
    library.files["/large"] = random.Random(3).randbytes(LARGEST + 1)
    came = threading.Event()
    # The last one waits until the second node is there: before that there was only one.
    library.on(lambda handler, seen: came.wait(60) and False, None, only("/middle"))
    asked_before = []

    def heard(event):
        if event.kind() == "file_ended" and event.report.path == "000":
            asked_before.append(len(library.requests))
            nodes.add()
            threading.Thread(target=lambda: until(lambda: len(actors()) == 2) or came.set()).start()

    report = fetch(library, tmp_path, address=nodes.address, on_event=heard)
    assert (report.failed, list(report.copies.values())) == (0, ["", ""])
    assert list(on_disks(tmp_path).values()) == [wanted(library)] * 2
    small = [seen.path for seen in library.requests if seen.path not in ("/large", "/middle")]
    assert len(small) == COUNT


def test_a_repository_in_the_hubs_cache_of_each(disks, hub, files, monkeypatch):
    hf = pytest.importorskip("huggingface_hub")
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(disks / NODE / "cache"))
    report = raydl.fetch_many([f"hf://{NAME}"], to="every-node", progress="none")
    assert (report.failed, list(report.copies.values())) == (0, ["", ""])
    found = list(disks.iterdir())
    assert len(found) == 2
    for disk in found:
        folder = hf.snapshot_download(NAME, cache_dir=disk / "cache", local_files_only=True)
        assert there_below(folder) == files
    asked = len(hub.requests)
    blob = next((found[0] / "cache").glob("models--*/blobs/*"))
    blob.unlink()
    again = raydl.fetch_many([f"hf://{NAME}"], to="every-node", progress="none")
    assert (again.failed, list(again.copies.values())) == (0, ["", ""])
    assert blob.exists()
    again = [seen for seen in hub.requests[asked:] if "/resolve/" in seen.path]
    assert [seen.path for seen in again if seen.method == "GET"] == []


def test_what_cannot_be(disks, library):
    with pytest.raises(UsageError, match="absolute path"):
        raydl.fetch_many([library.url("/000")], "d", to="every-node")
    with pytest.raises(UsageError, match="needs a Ray cluster"):
        fetch(library, disks, address="none")
    with pytest.raises(UsageError, match="no node has the label pool=none"):
        fetch(library, disks, nodes=["pool=none"])
