"""Fleets that downloads share: begun with the first, closed with the last."""

import os
import subprocess
import sys

import pytest

from raydl.cluster.address import ClusterChoice
from raydl.download import machines as module
from raydl.download.machines import Machines
from raydl.model.errors import ClusterError
from raydl.workers.protocol import ConnectFailed, Fetched
from tests.conftest import random_bytes

HERE, THERE = ClusterChoice("cluster", "here:1", ""), ClusterChoice("cluster", "there:1", "")


class Fleet:
    made = ()

    def __init__(self, choice, post, *, memory, here, pays):
        self.choice, self.post, self.here, self.pays = choice, post, here, pays
        self.closed = None
        type(self).made += (self,)

    def close(self, *, hurry):
        self.closed = hurry


@pytest.fixture
def fleets(monkeypatch):
    monkeypatch.setattr(module, "ClusterFleet", Fleet)
    monkeypatch.setattr(Fleet, "made", ())
    return lambda: Fleet.made


def yes():
    return True


def no():
    return False


def test_downloads_from_one_cluster_share_a_fleet(fleets, no_leaks):
    machines = Machines()
    with machines.cluster(HERE, False, no) as first:
        with (
            machines.cluster(HERE, True, yes) as second,
            machines.cluster(THERE, False, no) as other,
        ):
            assert first == second != other
            (one, far) = fleets()
            assert (one.here(), one.pays()) == (True, True)
            assert (far.here(), far.pays()) == (False, False)
        assert far.closed is False
        assert one.closed is None
        assert (one.here(), one.pays()) == (False, False)
    assert one.closed is False


def test_who_is_interrupted_hurries(fleets, no_leaks):
    with pytest.raises(KeyboardInterrupt), Machines().cluster(HERE, False, no):
        raise KeyboardInterrupt
    assert fleets()[0].closed is True


def test_a_cluster_that_could_not_be_used_is_tried_again(fleets, no_leaks):
    machines = Machines()
    with machines.cluster(HERE, False, no) as first:
        fleets()[0].post(ConnectFailed(ClusterError("no token")))
        with machines.cluster(HERE, False, no) as second:
            assert first != second
            assert len(fleets()) == 2


def test_what_comes_from_a_fleet_that_is_closed_is_let_go(fleets, no_leaks):
    released = []

    class Payload:
        def release(self):
            released.append(self)

    machines = Machines()
    with machines.cluster(HERE, False, no):
        pass
    fleets()[0].post(Fetched(1, 10, Payload(), None, 0.1))
    assert len(released) == 1
    assert machines.scheduler.inbox.queue.empty()


def test_buffers_are_for_whoever_wants_most(no_leaks):
    machines = Machines()
    with machines.threads(100):
        team = machines._local[0]
        with machines.threads(300):
            assert machines._local[0] is team
            assert team.memory.limit == 300
        assert team.memory.limit == 100
    assert machines._local is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_is_forked_off_amid_a_download(make_origin, tmp_path):
    """It has none of the threads, and downloads all the same."""
    origin = make_origin(random_bytes(2_000_000))
    code = f"""
import os, sys, raydl
options = dict(address="none", progress="none", part_size=50_000)
download = raydl.start({origin.url()!r}, "first", **options)
next(e for e in download.events() if type(e).__name__ == "PartWritten")
child = os.fork()
if child == 0:
    os._exit(0 if raydl.fetch({origin.url()!r}, "second", **options).size == 2_000_000 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
download.result(30)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60, check=True)
    for name in ("first", "second"):
        assert (tmp_path / name).read_bytes() == origin.data
