"""A file into a bucket, from the nodes of a cluster."""

from __future__ import annotations

import hashlib

import pytest

from raydl.landing import bucket
from tests.conftest import random_bytes
from tests.landing.means import make_means
from tests.landing.service import reset_after

pytestmark = pytest.mark.cluster

SIZE = 36 * (1 << 20) + 12_345
DATA = random_bytes(SIZE)


@pytest.fixture
def source(make_origin):
    return make_origin(DATA, headers={"ETag": '"v1"'})


def fetch(service, origin, address, **values):
    events = []
    report = bucket.run(make_means(origin.url(), events, address, **values), service.target("f"))
    return report, events


def test_nodes_send_what_they_fetched(service, source, two_nodes):
    report, _ = fetch(service, source, two_nodes.address)
    assert service.get("f") == DATA
    assert sum(share.bytes for share in report.nodes) == SIZE
    assert not service.unfinished()
    for put in service.puts():
        shown = (put.path, *put.headers.values())
        assert not any("very-secret" in text for text in shown)
        assert "x-amz-checksum-crc32" in put.headers


def test_a_digest_is_computed_by_a_node(service, source, two_nodes):
    digest = hashlib.sha256(DATA).hexdigest()
    report, _ = fetch(service, source, two_nodes.address, checksum=f"sha256:{digest}")
    assert report.digests == {"sha256": digest}
    assert service.get("f") == DATA


def test_a_receipt_that_is_lost_has_the_part_sent_again(service, source, two_nodes):
    service.on(reset_after, times=2)
    fetch(service, source, two_nodes.address)
    assert service.get("f") == DATA
