"""A file into a bucket, from the nodes of a cluster."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import zlib

import psutil
import pytest

from raydl.landing import bucket
from tests.conftest import random_bytes
from tests.landing.means import make_means
from tests.landing.service import refuse, reset_after

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


@pytest.mark.parametrize(
    "answer", [reset_after, refuse(503, "SlowDown"), refuse(403, "AccessDenied")]
)
def test_a_part_that_was_refused_is_sent_again(service, source, two_nodes, answer):
    service.on(answer, times=2)
    report, _ = fetch(service, source, two_nodes.address)
    assert service.get("f") == DATA
    assert report.retries == 0, "nothing is fetched again for that"


def kill_after(killed):
    """Do what is asked, and kill the worker that asked before it is told."""

    def answer(handler, call):
        handler.forward(call)
        port = handler.client_address[1]
        for connection in psutil.net_connections("tcp"):
            is_its = connection.laddr and connection.laddr.port == port
            if is_its and connection.pid not in (None, os.getpid()):
                killed.append(connection.pid)
                with contextlib.suppress(OSError):
                    os.kill(connection.pid, signal.SIGKILL)
        handler.reset()
        return True

    return answer


@pytest.mark.patient
def test_a_worker_that_dies_between_put_and_receipt(service, source, own_nodes):
    killed = []
    service.on(kill_after(killed))
    fetch(service, source, own_nodes(2).address)
    assert service.get("f") == DATA
    assert len(killed) == 1
    assert not service.unfinished()


@pytest.mark.patient
def test_a_digest_whose_worker_dies_is_computed_anew(service, source, own_nodes):
    killed = []
    service.on(kill_after(killed), lambda call: call.number == 5, times=1)
    service.on(kill_after(killed), lambda call: call.number > 0 and bool(killed), times=1)
    digest = hashlib.sha256(DATA).hexdigest()
    report, _ = fetch(service, source, own_nodes(2).address, checksum=f"sha256:{digest}")
    assert report.digests == {"sha256": digest}
    assert service.get("f") == DATA
    assert killed
    assert not service.unfinished()


@pytest.mark.patient
def test_a_node_that_dies_with_what_it_fetched(service, source, own_nodes):
    nodes = own_nodes(3)

    def remove(handler, call):
        nodes.cluster.remove_node(nodes.workers[0], allow_graceful=False)
        return False

    service.on(remove)
    report, _ = fetch(service, source, nodes.address, checksum=f"crc32:{zlib.crc32(DATA):08x}")
    assert service.get("f") == DATA
    assert report.digests
