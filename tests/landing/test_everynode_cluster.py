"""Every node gets the file, on a real cluster whose nodes have a disk each."""

import hashlib

import pytest

import raydl
from raydl.model.errors import ChecksumError, IncompleteError, RangesIgnoredError, UsageError
from raydl.model.events import Notice
from tests.conftest import random_bytes
from tests.landing.rooted import rooted
from tests.scripted import ignore_range

pytestmark = pytest.mark.cluster

OPTIONS = {"to": "every-node", "progress": "none"}


@pytest.fixture
def disks(two_nodes, tmp_path, monkeypatch):
    """Where the disks of the nodes are; the workers that come to use them."""
    raydl.disconnect()  # workers of other tests may still be warm
    rooted(monkeypatch, tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", two_nodes.address)
    yield tmp_path
    raydl.disconnect()


def copies(disks, name):
    return sorted(disks.glob(f"*/d/{name}"))


def test_both_have_it_and_the_second_time_nothing_is_fetched(disks, make_origin):
    data = random_bytes(9_000_000)
    origin = make_origin(data)
    report = raydl.fetch(origin.url(), "/d/f", **OPTIONS)
    assert [path.read_bytes() == data for path in copies(disks, "f")] == [True, True]
    assert sorted(share.state for share in report.nodes) == ["done", "done"]
    assert report.nodes["this machine"].digest.startswith("sha256:")
    assert report.fetched == len(data)
    lost = copies(disks, "f")[0]
    lost.unlink()
    asked = len(origin.parts)
    again = raydl.fetch(origin.url(), "/d/f", **OPTIONS)
    assert sorted(share.state for share in again.nodes) == ["done", "had"]
    assert [path.read_bytes() == data for path in copies(disks, "f")] == [True, True]
    assert again.fetched == 0
    assert len(origin.parts) == asked
    assert raydl.fetch(origin.url(), "/d/f", **OPTIONS).skipped


def test_wrong_bytes_get_no_name(disks, make_origin):
    origin = make_origin(random_bytes(3_000_000))
    with pytest.raises(ChecksumError, match="every node"):
        raydl.fetch(origin.url(), "/d/wrong", checksum="sha256:" + "0" * 64, **OPTIONS)
    assert list(disks.glob("*/d/*")) == []


def test_ranges_that_are_ignored_once_are_asked_for_again(disks, make_origin):
    data = random_bytes(3_000_000)
    origin = make_origin(data)
    origin.on(ignore_range, 1, lambda seen: seen.is_part and seen.range[0])
    raydl.fetch(origin.url(), "/d/again", part_size=500_000, **OPTIONS)
    assert [path.read_bytes() == data for path in copies(disks, "again")] == [True, True]


def test_an_origin_without_ranges_is_refused_once(disks, make_origin):
    origin, told = make_origin(random_bytes(3_000_000), ranges=False), []
    with pytest.raises(RangesIgnoredError, match="the nodes cannot share the work"):
        raydl.fetch(origin.url(), "/d/refused", on_event=told.append, **OPTIONS)
    assert [event for event in told if isinstance(event, Notice)] == []


def test_who_has_another_file_there_is_named(disks, make_origin):
    data = random_bytes(2_000_000)
    origin = make_origin(data)
    raydl.fetch(origin.url(), "/d/g", **OPTIONS)
    first, second = copies(disks, "g")
    first.write_bytes(b"mine")
    with pytest.raises(
        IncompleteError, match=r"1 of 2 nodes do not have /d/g: .*exists already"
    ) as lacks:
        raydl.fetch(
            origin.url(), "/d/g", checksum=f"sha256:{hashlib.sha256(data).hexdigest()}", **OPTIONS
        )
    assert lacks.value.report.proof
    assert first.read_bytes() == b"mine"
    raydl.fetch(origin.url(), "/d/g", overwrite=True, **OPTIONS)
    assert first.read_bytes() == second.read_bytes() == data


@pytest.mark.parametrize(
    ("output", "what"),
    [("f", "absolute"), (None, "absolute"), ("-", "needs a file")],
)
def test_what_means_no_place_on_every_node(origin, output, what):
    with pytest.raises(UsageError, match=what):
        raydl.fetch(origin.url(), output, address="none", **OPTIONS)
    assert origin.requests == []


def test_without_a_cluster_it_says_what_to_do(origin, tmp_path):
    with pytest.raises(UsageError, match=r"needs a Ray cluster.*ray start --head"):
        raydl.fetch(origin.url(), tmp_path / "f", address="none", **OPTIONS)
