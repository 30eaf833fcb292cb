"""Many files to a directory that the nodes of a real cluster see."""

import threading

import pytest

import raydl
from raydl.model.events import Notice
from raydl.workers.shelves import Shelves
from tests.many.conftest import COUNT
from tests.many.killer import Killer
from tests.many.test_everynode_cluster import digests as there
from tests.many.test_everynode_cluster import wanted
from tests.workers.test_fleet import actors, until

pytestmark = pytest.mark.cluster


@pytest.fixture
def cluster(two_nodes, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", two_nodes.address)


def fetch(library, directory, **options):
    items = [library.url(path) for path in library.files]
    return raydl.fetch_many(items, directory, to="shared", progress="none", **options)


def test_nodes_write_there_themselves(cluster, library, tmp_path):
    report = fetch(library, tmp_path / "d", fetch_here=False)
    assert (report.failed, report.done) == (0, COUNT + 1)
    assert there(tmp_path / "d") == wanted(library)
    asked = len(library.requests)
    assert fetch(library, tmp_path / "d").skipped == COUNT + 1
    assert len(library.requests) == asked
    assert [path.name for path in (tmp_path / "d").iterdir() if path.name[0] == "."] == [
        ".raydl-files"
    ]


def test_a_node_that_does_not_see_it_is_told(cluster, library, tmp_path, monkeypatch):
    raydl.disconnect()
    monkeypatch.setattr("raydl.many.shared.Meeting.has_come", lambda *_: False)
    told = []
    report = fetch(library, tmp_path / "d", fetch_here=False, on_event=told.append)
    assert there(tmp_path / "d") == wanted(library)
    assert report.failed == 0
    assert any(isinstance(event, Notice) and "does not see" in event.text for event in told)


@pytest.mark.slow  # a cluster of its own
def test_a_killed_worker(own_nodes, library, tmp_path):
    nodes = own_nodes(2)
    killer = Killer()
    report = fetch(
        library, tmp_path / "d", address=nodes.address, on_event=killer, fetch_here=False
    )
    assert killer.killed
    assert report.failed == 0
    assert there(tmp_path / "d") == wanted(library)


def test_what_a_node_cannot_bring_to_the_disk_is_fetched_again(
    cluster,
    library,
    tmp_path,
    monkeypatch,
):
    raydl.disconnect()
    sync, failed = Shelves.sync, tmp_path / "failed"

    def fails_once(self, directory):
        from pathlib import Path

        if not Path(failed).exists():
            Path(failed).touch()
            return ("OSError", "Input/output error", ""), None
        return sync(self, directory)

    monkeypatch.setattr(Shelves, "sync", fails_once)
    report = fetch(library, tmp_path / "d", fetch_here=False)
    assert report.failed == 0
    assert there(tmp_path / "d") == wanted(library)
    assert len(library.requests) > COUNT + 1
    raydl.disconnect()


@pytest.mark.slow  # a cluster of its own
def test_what_a_killed_worker_had_written_is_no_strangers(own_nodes, library, tmp_path):
    """It was published, and nobody had heard of it."""
    library.files = {f"/{n:04}": b"x" * (n % 1000) for n in range(300)}
    nodes, held, let = own_nodes(2), threading.Event(), threading.Event()

    def hold(handler, seen):
        held.set()
        return not let.is_set() and let.wait(60) and False

    library.on(hold, None, lambda seen: seen.path >= "/0200" and seen.path[-1] == "2")

    def kill():
        held.wait(60)
        until(lambda: len(there(tmp_path / "d")) > 100)
        for process in actors():
            process.kill()
        let.set()

    threading.Thread(target=kill).start()
    options = {"address": nodes.address, "fetch_here": False}
    report = fetch(library, tmp_path / "d", **options)
    assert list(report) == []
    assert there(tmp_path / "d") == wanted(library)
