"""When a worker goes back to its head; tests/test_roles.py does it with real ones."""

import time
from types import SimpleNamespace

import pytest

from raydl.cluster.preflight import HeadAnswer
from raydl.model.errors import ClusterError
from raydl.node import membership
from raydl.node.membership import Membership
from raydl.node.raynode import RayNode


@pytest.fixture
def world(monkeypatch):
    """A head and the nodes that are started, as a test wants them."""
    world = SimpleNamespace(listens=True, answer=HeadAnswer(True, None, "first"), nodes=[], asked=0)
    world.refusals = []

    class Node:
        address, last_words = "10.0.0.2", "all went dark"

        def __init__(self, args, environment):
            if world.refusals:
                raise world.refusals.pop()
            self.environment, self.is_running = environment, True
            world.nodes.append(self)

        def wait_ready(self, cancelled):
            assert not cancelled()

        def stop(self):
            self.is_running = False

    def check(host, port, start=""):
        if not world.listens:
            raise ClusterError("nothing listens there")

    def examine(address, token):
        world.asked += 1
        return world.answer

    monkeypatch.setattr("raydl.node.membership.RayNode", Node)
    monkeypatch.setattr("raydl.node.membership.check_listener", check)
    monkeypatch.setattr("raydl.node.membership.examine", examine)
    monkeypatch.setattr("raydl.node.membership.Membership.HEAD_SECONDS", 0.01)
    monkeypatch.setattr("raydl.node.membership.Membership.REFUSED_SECONDS", 0.02)
    world.joined = Membership("10.0.0.1:6379", "secret", token_given=True)
    world.joined.enter(lambda: False)
    yield world
    world.joined.leave()
    assert not any(node.is_running for node in world.nodes)


def wait_until(state):
    end = time.monotonic() + 10
    while not state():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_head_that_was_started_again(world):
    world.listens = False
    wait_until(lambda: world.joined.silence)
    assert world.joined.trouble == "nothing listens there"
    assert world.joined.is_running
    world.answer = HeadAnswer(True, None, "second")
    world.listens = True
    wait_until(lambda: not world.joined.silence)
    assert not world.joined.trouble
    before, now = world.nodes
    assert not before.is_running
    assert now.environment == before.environment
    assert now.environment["RAY_AUTH_TOKEN"] == "secret"


def test_a_head_that_was_only_cut_off(world):
    world.listens = False
    wait_until(lambda: world.joined.silence)
    world.listens = True
    wait_until(lambda: not world.joined.silence)
    assert len(world.nodes) == 1


def test_a_node_that_the_silence_ended(world):
    world.listens = False
    wait_until(lambda: world.joined.trouble)
    world.nodes[0].is_running = False
    world.listens = True
    wait_until(lambda: not world.joined.trouble)
    assert len(world.nodes) == 2


def test_a_head_that_was_started_again_between_two_looks(world):
    """Ray gives such a node up after a minute."""
    world.answer = HeadAnswer(True, None, "second")
    world.nodes[0].is_running = False
    wait_until(lambda: len(world.nodes) == 2)
    assert world.joined.is_running


def test_a_node_that_somebody_ended_stays_ended(world):
    world.nodes[0].is_running = False
    wait_until(lambda: not world.joined.is_running)
    assert world.joined.why_ended == "Ray said: all went dark"
    assert len(world.nodes) == 1


def test_a_head_that_refuses_now_is_asked_on(world):
    world.listens = False
    wait_until(lambda: world.joined.trouble)
    world.answer = HeadAnswer(True, ClusterError("it refuses this machine's token"), "")
    world.listens = True
    wait_until(lambda: world.joined.trouble == "it refuses this machine's token")
    asked = world.asked
    wait_until(lambda: world.asked > asked)
    world.answer = HeadAnswer(True, None, "second")
    wait_until(lambda: not world.joined.trouble)
    assert len(world.nodes) == 2
    assert world.joined.is_running


@pytest.mark.parametrize("refusal", [ClusterError("no more processes"), ZeroDivisionError("oh")])
def test_a_node_that_cannot_be_started_is_tried_again(world, refusal):
    world.listens = False
    wait_until(lambda: world.joined.trouble)
    world.refusals.append(refusal)
    world.answer = HeadAnswer(True, None, "second")
    world.listens = True
    wait_until(lambda: len(world.nodes) == 2 and not world.joined.trouble)
    assert not world.refusals
    assert world.joined.is_running


def test_a_look_that_fails_for_another_reason_is_taken_again(world, monkeypatch):
    def broken(host, port, start=""):
        raise OSError(24, "Too many open files")

    fine = membership.check_listener
    monkeypatch.setattr(membership, "check_listener", broken)
    wait_until(lambda: "Too many open files" in world.joined.trouble)
    monkeypatch.setattr(membership, "check_listener", fine)
    wait_until(lambda: not world.joined.trouble)


def test_a_process_that_the_system_refuses(monkeypatch):
    def refuse(*args, **kwargs):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", refuse)
    with pytest.raises(ClusterError, match="did not start: Resource temporarily unavailable"):
        RayNode([], {})


def test_the_address_that_ray_leaves_goes_with_the_worker(world, monkeypatch, tmp_path):
    """A worker's machine names its head, which a later ray.init() would look for."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    left = tmp_path / "ray" / "ray_current_cluster"
    left.parent.mkdir()
    left.write_text("192.0.2.249:6379")
    Membership("10.0.0.1:6379", None, token_given=False).leave()
    assert left.exists()
    for address, stays in (("192.0.2.250:6379", False), ("127.0.0.1:6379", True)):
        left.unlink(missing_ok=True)
        joined = Membership(address, None, token_given=False)
        left.write_text(address)
        joined.leave()
        assert left.exists() == stays  # that of a head on this machine is the head's
    left.write_text("192.0.2.250:6379")
    Membership("192.0.2.250:6379", None, token_given=False).leave()
    assert left.exists()  # it was there before
