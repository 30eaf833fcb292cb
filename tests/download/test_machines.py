"""Fleets that downloads share: begun with the first, closed with the last."""

import os
import subprocess
import sys

import pytest

from raydl.cluster.address import ClusterChoice
from raydl.download import machines as module
from raydl.download.machines import Machines
from raydl.model.errors import ClusterError
from raydl.workers.protocol import Connected, ConnectFailed, Disconnected, Fetched, Joined, Left
from tests.conftest import random_bytes

HERE, THERE = ClusterChoice("cluster", "here:1", ""), ClusterChoice("cluster", "there:1", "")


class Fleet:
    made = ()

    def __init__(self, choice, post, *, memory, here, pays, on_turn):
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


class Team:
    most, reports, labels = 1, False, {}

    def __init__(self, node):
        self.node, self.memory = node, None


def test_a_listener_that_comes_late_hears_who_is_there(fleets, no_leaks):
    machines, early, late = Machines(), [], []
    connected = Connected("here:1", 3, 3, 0)
    stays, goes, old, new = Team("stays"), Team("goes"), Team("again"), Team("again")
    with machines.cluster(HERE, False, no, early.append):
        post = fleets()[0].post
        said = [connected, *(Joined(team) for team in (stays, goes, old, new))]
        said += [Left("goes", goes, "killed"), Left("again", old, "late news of the first")]
        for message in said:
            post(message)
        with machines.cluster(HERE, False, no, late.append):
            assert late == [connected, Joined(stays), Joined(new)]
            post(Left("again", None, "its node has gone"))
        with machines.cluster(HERE, False, no, late.append):
            assert late[3:] == [Left("again", None, "its node has gone"), connected, Joined(stays)]
    assert early == [*said, Left("again", None, "its node has gone")]


def test_who_has_left_hears_nothing(fleets, no_leaks):
    machines, heard = Machines(), []
    with machines.cluster(HERE, False, no):
        with machines.cluster(HERE, False, no, heard.append):
            pass
        fleets()[0].post(Connected("here:1", 1, 1, 0))
        assert heard == []


@pytest.mark.parametrize("message", [ConnectFailed, Disconnected])
def test_a_cluster_that_fails_at_once_is_heard_of(fleets, monkeypatch, no_leaks, message):
    """Before anybody could listen: who waits for nodes would wait for ever."""
    failed, heard = message(ClusterError("no token")), []

    class FailsAtOnce(Fleet):
        def __init__(self, choice, post, **kwargs):
            super().__init__(choice, post, **kwargs)
            post(failed)

    monkeypatch.setattr(module, "ClusterFleet", FailsAtOnce)
    with Machines().cluster(HERE, False, no, heard.append):
        assert heard == [failed]


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
