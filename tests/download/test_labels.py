"""Which nodes fetch, by their labels."""

from __future__ import annotations

import pytest

import raydl
from raydl.model.errors import ClusterError, UsageError
from raydl.workers.actor import name_of
from tests.conftest import random_bytes

DATA = random_bytes(3_000_000)


def fetch(origin, path, address, **options):
    options = {"progress": "none", "fetch_nodes": "pool=cpu", "to": "here", **options}
    return raydl.fetch(origin.url(), path, address=address, **options)


@pytest.mark.parametrize("to", ["here", "shared"])
def test_labels_need_a_cluster(origin, tmp_path, to):
    with pytest.raises(UsageError, match="fetch_nodes= needs a Ray cluster"):
        fetch(origin, tmp_path / "f", "none", to=to)
    assert not origin.parts


@pytest.mark.cluster
class TestOnNodes:
    @pytest.mark.parametrize("to", ["here", "shared"])
    def test_who_lacks_the_label_asks_the_origin_for_nothing(
        self, two_nodes, make_origin, tmp_path, monkeypatch, to
    ):
        monkeypatch.setattr("raydl.download.transfer.START_SECONDS", 0.0)
        origin = make_origin(DATA)
        with pytest.raises(ClusterError, match="no node with the label pool=cpu has been there"):
            fetch(origin, tmp_path / "f", two_nodes.address, to=to, timeout="2s")
        assert not origin.parts

    def test_who_has_it_fetches(self, own_nodes, make_origin, tmp_path):
        nodes, origin = own_nodes(1), make_origin(DATA)
        nodes.add(labels={"pool": "cpu"})
        nodes.cluster.wait_for_nodes()
        report = fetch(origin, tmp_path / "f", nodes.address)
        # Of nodes with the same address some versions of Ray take any for the driver's.
        listed = raydl.nodes(nodes.address)
        raydl.disconnect()
        assert (tmp_path / "f").read_bytes() == DATA
        [share] = [share for share in report.nodes if share.bytes]
        assert [share.node] == [name_of(node) for node in listed if "pool" in node.labels]
