"""Pieces of a Metalink, compared on the nodes of a real cluster."""

import pytest

import raydl
from raydl.many.lists import read_list
from raydl.model.events import Notice
from raydl.workers.smallfiles import LARGEST
from tests.conftest import random_bytes
from tests.metalinks import file_of, metalink
from tests.scripted import lying

pytestmark = pytest.mark.cluster

MIB = 1 << 20
DATA = random_bytes(2 * LARGEST + 7)


def test_nodes_find_a_lying_mirror_out(warm_nodes, make_origin, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", warm_nodes.address)
    liar, good = make_origin(DATA), make_origin(DATA)
    liar.on(lying(*range(5, len(DATA), MIB)), None)
    (tmp_path / "l.meta4").write_bytes(
        metalink(file_of(DATA, [liar.url(), good.url()], length=MIB, whole=False))
    )
    events = []
    report = raydl.fetch_many(
        read_list(str(tmp_path / "l.meta4")), tmp_path / "d",
        progress="none", fetch_here=False, on_event=events.append,
    )  # fmt: skip
    assert report.failed == 0
    assert (tmp_path / "d" / "f.iso").read_bytes() == DATA
    told = [str(event) for event in events if isinstance(event, Notice)]
    assert any("is left out from here: piece" in text for text in told)
