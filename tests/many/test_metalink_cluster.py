"""Metalinks on a real cluster: its nodes compare pieces, and mirrors serve every landing."""

import hashlib

import pytest

import raydl
from raydl.many.lists import read_list
from raydl.many.metalink import parse
from raydl.model.events import Notice
from raydl.workers.smallfiles import LARGEST
from tests.conftest import random_bytes
from tests.landing.rooted import NODE
from tests.many.test_everynode_cluster import digests, disks, on_disks  # noqa: F401 - a fixture
from tests.many.test_refs_cluster import cluster, data_of  # noqa: F401 - a fixture
from tests.metalinks import file_of, metalink
from tests.scripted import anything, lying, status

pytestmark = pytest.mark.cluster

MIB = 1 << 20
DATA = random_bytes(2 * LARGEST + 7)
SMALL = random_bytes(300_000, seed=3)
WANTED = {
    name: hashlib.md5(data).hexdigest() for name, data in [("large.iso", DATA), ("small", SMALL)]
}


def write(tmp_path, *files):
    path = tmp_path / "l.meta4"
    path.write_bytes(metalink(*files))
    return str(path)


@pytest.fixture
def both(make_origin):
    """A large and a small file: the first mirror of each is dead, the second lies or lacks it."""
    dead, gone = "http://127.0.0.1:1/f", make_origin(b"")
    gone.on(status(404), None, anything)
    liar, good, small = make_origin(DATA), make_origin(DATA), make_origin(SMALL)
    liar.on(lying(*range(5, len(DATA), MIB)), None)
    large = [dead, liar.url(), good.url()]
    return [
        file_of(DATA, large, name="large.iso", length=MIB),
        file_of(SMALL, [dead, gone.url(), small.url()], name="small", length=MIB),
    ]


def test_nodes_find_a_lying_mirror_out(warm_nodes, make_origin, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", warm_nodes.address)
    liar, good = make_origin(DATA), make_origin(DATA)
    liar.on(lying(*range(5, len(DATA), MIB)), None)
    path = write(tmp_path, file_of(DATA, [liar.url(), good.url()], length=MIB, whole=False))
    events = []
    report = raydl.fetch_many(
        read_list(path), tmp_path / "d",
        progress="none", fetch_here=False, on_event=events.append,
    )  # fmt: skip
    assert report.failed == 0
    assert (tmp_path / "d" / "f.iso").read_bytes() == DATA
    told = [str(event) for event in events if isinstance(event, Notice)]
    assert any("is left out from here: piece" in text for text in told)


def test_every_node_has_what_other_mirrors_have(disks, both, tmp_path_factory):  # noqa: F811
    path, events = write(tmp_path_factory.mktemp("list"), *both), []

    def fetch():
        return raydl.fetch_many(
            read_list(path), disks / NODE / "d",
            to="every-node", progress="none", on_event=events.append,
        )  # fmt: skip

    report = fetch()
    assert (report.done, list(report)) == (2, [])
    assert list(report.copies.values()) == ["", ""]
    assert list(on_disks(disks).values()) == [WANTED] * 2
    told = [str(event) for event in events if isinstance(event, Notice)]
    assert any("large.iso: " in text and "is left out from here: piece" in text for text in told)
    next(disks.iterdir()).joinpath("d", "small").unlink()
    again = fetch()
    assert (again.failed, list(again.copies.values())) == (0, ["", ""])
    assert list(on_disks(disks).values()) == [WANTED] * 2


def test_a_file_with_nothing_but_pieces_to_every_node(disks, make_origin, tmp_path_factory):  # noqa: F811
    origin = make_origin(SMALL)
    pieces = file_of(SMALL, [origin.url()], length=MIB, whole=False)
    path = write(tmp_path_factory.mktemp("list"), pieces)
    (failed,) = raydl.fetch_many(
        read_list(path), disks / NODE / "d", to="every-node", progress="none"
    )
    assert failed.problem.startswith("no digest of the whole file is known, and what is kept where")


def test_a_directory_that_nodes_share(two_nodes, both, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", two_nodes.address)
    report = raydl.fetch_many(
        read_list(write(tmp_path, *both)), tmp_path / "d", to="shared", progress="none"
    )
    assert (report.done, list(report)) == (2, [])
    assert digests(tmp_path / "d") == WANTED


def test_objects_are_of_pieces_that_were_compared(cluster, both):  # noqa: F811
    items = parse(metalink(*both)).files
    found = {item.path: data_of(p) for item, p in raydl.refs_many(items, address=cluster)}
    assert found == {"large.iso": DATA, "small": SMALL}


def test_objects_that_nothing_shows_to_be_right(cluster, make_origin):  # noqa: F811
    origin = make_origin(DATA, ranges=False)
    (item,) = parse(metalink(file_of(DATA, [origin.url()], length=MIB))).files
    with pytest.raises(raydl.FilesFailedError) as raised:
        list(raydl.refs_many([item], address=cluster))
    (failed,) = raised.value.report
    assert "no parts for the nodes" in failed.problem
