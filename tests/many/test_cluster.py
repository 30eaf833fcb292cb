"""Many files with the nodes of a real cluster."""

import random

import pytest

import raydl
from raydl.workers.smallfiles import LARGEST
from tests.many.killer import Killer
from tests.many.test_run import failures, only, there
from tests.scripted import status

pytestmark = pytest.mark.cluster

COUNT = 300


@pytest.fixture
def library(make_origin):
    dice = random.Random(2)
    origin = make_origin(b"")
    origin.files = {f"/{n:03}": dice.randbytes(dice.randint(0, 30_000)) for n in range(COUNT)}
    return origin


@pytest.fixture
def cluster(warm_nodes, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", warm_nodes.address)


def fetch(library, directory, **options):
    items = [library.url(path) for path in library.files]
    return raydl.fetch_many(items, directory, progress="none", **options)


def test_nodes_fetch_and_the_files_are_here(cluster, library, tmp_path):
    report = fetch(library, tmp_path, fetch_here=False)
    assert report.failed == 0
    assert there(tmp_path) == {path[1:]: data for path, data in library.files.items()}
    assert len(report.nodes) >= 1
    assert fetch(library, tmp_path).skipped == COUNT


def test_failures_and_digests_over_nodes(cluster, library, tmp_path):
    library.on(status(404), None, only("/007"))
    items = [
        library.url("/007"),
        {"url": library.url("/008"), "digest": "md5:" + "0" * 32},
        library.url("/009"),
    ]
    report = raydl.fetch_many(items, tmp_path, fetch_here=False, progress="none")
    assert there(tmp_path) == {"009": library.files["/009"]}
    assert {path: kind for path, (kind, _) in failures(report).items()} == {
        "007": "HttpError",
        "008": "ChecksumError",
    }


def test_a_batch_of_nothing(cluster, library, tmp_path):
    library.files = {"/empty": b""}
    assert fetch(library, tmp_path, fetch_here=False).done == 1
    assert there(tmp_path) == {"empty": b""}


def test_large_and_small(cluster, library, tmp_path):
    library.files["/large"] = random.Random(3).randbytes(2 * LARGEST)
    report = fetch(library, tmp_path, fetch_here=False)
    assert (report.done, report.failed) == (COUNT + 1, 0)
    assert there(tmp_path)["large"] == library.files["/large"]


@pytest.mark.slow  # a cluster of its own
def test_a_worker_that_is_killed(own_nodes, library, tmp_path):
    nodes = own_nodes(2)
    killer = Killer()
    report = fetch(library, tmp_path, address=nodes.address, on_event=killer)
    assert report.failed == 0
    assert there(tmp_path) == {path[1:]: data for path, data in library.files.items()}


def test_nobody_is_left_to_fetch(library, tmp_path):
    with pytest.raises(raydl.UsageError, match="no machine is left to fetch"):
        fetch(library, tmp_path, address="none", fetch_here=False)


def test_nobody_comes(cluster, library, tmp_path, monkeypatch):
    monkeypatch.setattr("raydl.many.crew.START_SECONDS", 0.5)
    with pytest.raises(raydl.ClusterError, match="no node has been there to fetch with"):
        fetch(library, tmp_path, fetch_nodes=["pool=none"], timeout=0.5)
