"""A real worker's copy of a file: bytes out of the object store, and back into it."""

import hashlib

import pytest

import raydl
from raydl.cluster.address import ClusterChoice
from raydl.cluster.session import connect
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.workers.nodefiles import open_spec
from raydl.workers.worker import NodeWorker
from tests.cluster.test_session import outcome, source, worker_node

pytestmark = pytest.mark.cluster


@pytest.fixture
def actor(two_nodes):
    """A worker on the other node, to which raydl is shipped by value."""
    raydl.disconnect()  # workers of other tests may still be warm
    session = connect(ClusterChoice("cluster", two_nodes.address, ""))
    actor, _ = session.hire(worker_node(session), NodeWorker)
    yield actor
    actor.kill()
    session.close()


def disk(actor, *args):
    """What a worker's copy answers, where nothing is wrong."""
    (answer,) = outcome(lambda done: actor.disk(*args, done=done))
    assert answer[0] is None, answer
    return answer[1]


def test_a_worker_lands_an_object_and_gives_it_back(actor, origin, tmp_path):
    size, target = len(origin.data), tmp_path / "f"
    remote = Remote(origin.url(), origin.url(), size, True, '"v1"', None, "f")
    spec = open_spec(
        str(target), remote, Identity.of(remote.url), proof=None, algorithm="sha256",
        resume=True, overwrite=False, skip_existing=False, verify=False, compare=False,
    )  # fmt: skip
    assert disk(actor, "open", "k", spec)[:2] == ("open", "")
    payloads = []
    for ticket, (start, stop) in enumerate([(size // 2, size), (0, size // 2)]):
        (got, _, failure), payload = outcome(
            lambda done: actor.fetch(source(origin), ticket, start, stop, done)  # noqa: B023
        )
        assert (got, failure) == (stop - start, None)
        assert disk(actor, "land", "k", start, stop, [payload.ref], 30) >= 0
        payloads.append(payload)
    answer, read = outcome(lambda done: actor.read("k", 1000, size - 1, done))
    assert answer == (None, None)
    assert outcome(read.pull) == [""]
    assert bytes(read.view()) == origin.data[1000 : size - 1]
    assert disk(actor, "digest", "k") == hashlib.sha256(origin.data).hexdigest()
    disk(actor, "publish", "k")
    disk(actor, "close", "k")
    assert target.read_bytes() == origin.data
    assert disk(actor, "open", "again", spec)[0] == "have"
    (problem, _), _ = outcome(lambda done: actor.read("gone", 0, 10, done))
    assert problem[0] == "LookupError"
    for payload in (*payloads, read):
        payload.release()
