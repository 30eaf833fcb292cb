"""What is counted of downloads over the nodes of a real cluster, wherever the bytes go."""

import os
import random

import pytest
import ray

import raydl
from raydl.landing import bucket
from raydl.model.metrics import FETCHED
from raydl.workers.smallfiles import LARGEST
from tests.conftest import random_bytes
from tests.landing.conftest import s3_server as s3_server  # fixtures
from tests.landing.conftest import service as service
from tests.landing.means import make_means
from tests.landing.rooted import NODE, rooted
from tests.recorded import Recorded

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SIZE = 9_000_000


@pytest.fixture
def recorded(two_nodes, monkeypatch):
    raydl.disconnect()
    monkeypatch.setenv("RAY_ADDRESS", two_nodes.address)
    yield Recorded(monkeypatch)
    raydl.disconnect()
    ray.shutdown()


@pytest.fixture
def source(make_origin):
    return make_origin(random_bytes(SIZE), headers={"ETag": '"v1"'})


def by_node(report):
    return {share.node: share.bytes for share in report.nodes if share.bytes}


@pytest.mark.parametrize("to", ["here", "shared"])
def test_to_a_directory(recorded, source, tmp_path, to):
    report = raydl.fetch(source.url(), tmp_path / "f", to=to, fetch_here=False, progress="none")
    assert recorded.sums("node") == by_node(report)
    assert recorded.sums("destination") == {to: report.fetched} == {to: SIZE}
    assert "this machine" not in recorded.sums("node")
    assert recorded.is_at_rest


def test_to_every_node(recorded, source, tmp_path, monkeypatch):
    rooted(monkeypatch, tmp_path)
    report = raydl.fetch(source.url(), "/d/f", to="every-node", progress="none")
    assert recorded.sums("node") == by_node(report)
    assert recorded.sums("destination") == {"every-node": report.fetched} == {"every-node": SIZE}
    assert recorded.is_at_rest


def test_into_a_bucket(recorded, source, service, two_nodes):
    means = make_means(source.url(), [], two_nodes.address)
    report = bucket.run(means, service.target("f"))
    assert recorded.sums("node") == by_node(report)
    assert recorded.sums("destination") == {"bucket": report.fetched}
    assert recorded.is_at_rest


def test_as_objects(recorded, source):
    parts = [(start, stop) for _, start, stop in raydl.refs(source.url())]
    assert recorded.sums("destination") == {"refs": sum(stop - start for start, stop in parts)}
    assert recorded.is_at_rest


@pytest.mark.parametrize("to", ["here", "shared", "every-node"])
def test_many_files(recorded, make_origin, tmp_path, monkeypatch, to):
    dice = random.Random(2)
    origin = make_origin(b"")
    origin.files = {f"/{n:03}": dice.randbytes(dice.randint(1, 30_000)) for n in range(50)}
    origin.files["/large"] = dice.randbytes(LARGEST + 1)
    urls = [origin.url(path) for path in origin.files]
    directory = tmp_path
    if to == "every-node":
        rooted(monkeypatch, tmp_path)
        directory = tmp_path / NODE / "d"
    report = raydl.fetch_many(urls, directory, to=to, progress="none")
    assert report.done == 51
    assert recorded.sums("destination") == {to: report.size}
    assert len(recorded.sums("origin")) == 1
    assert recorded.is_at_rest
    again = raydl.fetch_many(urls, directory, to=to, progress="none")
    assert again.skipped == 51
    assert sum(recorded.sums("node").values()) == report.size


def test_in_a_task(recorded, source, tmp_path, two_nodes):
    """A task's process is connected to Ray, and may have metrics: what it hands on is taken."""
    env = {"PYTHONPATH": os.getcwd(), "RAYDL_DEBUG": ""}
    ray.init(two_nodes.address, runtime_env={"env_vars": env}, log_to_driver=False)

    @ray.remote(num_cpus=0)
    def fetch(url, path):
        import raydl
        from raydl.cluster.metrics import RAY_METRICS

        report = raydl.fetch(url, path, progress="none")
        return report.fetched, bool(RAY_METRICS._made), RAY_METRICS._is_broken

    told = ray.get(fetch.remote(source.url(), str(tmp_path / "f")))
    assert told == (SIZE, True, False)
    assert not recorded.sums("node", FETCHED)
