"""The fleet over a made-up cluster: who joins and who does not, and how it ends."""

import threading
import time

import pytest

from raydl.cluster.actors import ActorLost
from raydl.cluster.address import ClusterChoice
from raydl.cluster.session import Node
from raydl.model.errors import ClusterError
from raydl.workers import fleet as module
from raydl.workers import supervisor
from raydl.workers.fleet import ClusterFleet
from raydl.workers.protocol import Connected, ConnectFailed, Disconnected, Heard, Joined, Left

CHOICE = ClusterChoice("cluster", "h:1", "")
PULSE = (1.0, 0, {}, None)


class FakeActor:
    """Keeps what it is asked; tests answer."""

    def __init__(self):
        self.asked, self.is_killed = [], False

    def pulse(self, done):
        self.asked.append(done)

    def kill(self):
        self.is_killed = True


class FakeSession:
    address = "h:1"

    def __init__(self):
        self.alive = [Node("n1", "node", "host", False, False, 1.0, 4000)]
        self.actors, self.dismissed, self.is_closed, self.is_kept = [], [], False, False

    def nodes(self):
        return list(self.alive)

    def head(self):
        return None

    def stillborn(self):
        return None

    def hire(self, node, worker):
        self.actors.append(FakeActor())
        return self.actors[-1], False

    def dismiss(self, node, actor):
        self.dismissed.append(actor)

    def abandon(self):
        pass

    def close(self, keep=True):
        self.is_closed, self.is_kept = True, keep


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name in ("LOOK_SECONDS", "VISIT_SECONDS", "TURN_SECONDS"):
        monkeypatch.setattr(module, name, 0.01)
    for name in ("PULSE_SECONDS", "NODES_SECONDS", "REHIRE_SECONDS"):
        monkeypatch.setattr(supervisor, name, 0.01)


@pytest.fixture
def session(monkeypatch):
    session = FakeSession()
    monkeypatch.setattr(module, "connect", lambda choice, wanted: wanted() and session)
    return session


@pytest.fixture
def begin(no_leaks):
    begun = []

    def start():
        posted = []
        fleet = ClusterFleet(
            CHOICE, posted.append, memory=None, here=lambda: start.here, pays=lambda: True
        )
        begun.append(fleet)
        return fleet, posted

    start.here = False
    yield start
    for fleet in begun:
        fleet.close()


def until(what, seconds=10.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.001)


def of(posted, kind):
    return [message for message in list(posted) if isinstance(message, kind)]


def test_a_worker_that_answers_joins_with_its_store(session, begin):
    fleet, posted = begin()
    until(lambda: session.actors and session.actors[0].asked)
    session.actors[0].asked[0](PULSE)
    (joined,) = of(posted, Joined)
    assert joined.store == 4000
    fleet.close()
    assert session.dismissed == session.actors
    assert session.is_closed
    assert session.is_kept


def test_while_it_is_connected_somebody_may_look(session, no_leaks, monkeypatch):
    monkeypatch.setattr(module, "TELL_SECONDS", 0.01)
    turns = []
    fleet = ClusterFleet(
        CHOICE,
        lambda message: None,
        memory=None,
        here=lambda: False,
        pays=lambda: True,
        on_turn=lambda: turns.append(session.is_closed),
    )
    until(lambda: len(turns) > 2)
    fleet.close()
    assert not any(turns)


def test_a_cluster_from_which_nobody_came_is_not_kept(session, begin):
    fleet, _ = begin()
    until(lambda: session.actors)
    fleet.close()
    assert session.is_closed
    assert not session.is_kept


def test_one_that_was_given_up_before_it_answered_does_not_join(session, begin):
    _, posted = begin()
    until(lambda: session.actors)
    node = session.alive.pop()
    until(lambda: of(posted, Left))
    until(lambda: session.actors[0].is_killed)
    session.actors[0].asked[0](PULSE)
    assert not of(posted, Joined)
    session.alive.append(node)
    until(lambda: len(session.actors) == 2)
    session.actors[1].asked[0](PULSE)
    (joined,) = of(posted, Joined)
    assert joined.team.actor is session.actors[1]


def test_one_that_never_lived_does_not_join(session, begin):
    _, posted = begin()
    until(lambda: session.actors)
    session.actors[0].asked[0](ActorLost("its process ended"))
    until(lambda: of(posted, Left))
    assert not of(posted, Joined)


def test_what_ray_throws_is_told(monkeypatch, begin):
    def fail(choice, wanted):
        raise AssertionError("deep inside")

    monkeypatch.setattr(module, "connect", fail)
    _, posted = begin()
    until(lambda: posted)
    (failed,) = posted
    assert isinstance(failed, ConnectFailed)
    assert isinstance(failed.error, ClusterError)
    assert "AssertionError" in failed.error.message


class Stuck:
    """A call of Ray's that returns when the test lets it."""

    def __init__(self, result=None):
        self.entered, self.release = threading.Event(), threading.Event()
        self._result = result

    def __call__(self, *args):
        self.entered.set()
        self.release.wait(20)
        return self._result


@pytest.mark.parametrize("hurry", [False, True])
def test_closing_waits_for_ray_but_not_for_ever(monkeypatch, session, begin, hurry):
    monkeypatch.setattr(module, "HURRY_SECONDS" if hurry else "CLOSE_SECONDS", 0.05)
    session.nodes = stuck = Stuck([])
    fleet, posted = begin()
    assert stuck.entered.wait(10)
    fleet.close(hurry=hurry)
    assert not session.is_closed
    stuck.release.set()
    until(lambda: session.is_closed)
    assert len(of(posted, Connected)) <= 1


def test_closing_does_not_wait_for_what_comes_before_ray_connects(monkeypatch, begin):
    stuck, told = Stuck(), []

    def connect(choice, wanted):
        stuck()
        told.append(wanted())
        raise ClusterError("not wanted")

    monkeypatch.setattr(module, "connect", connect)
    fleet, _ = begin()
    assert stuck.entered.wait(10)
    fleet.close()
    assert not told
    stuck.release.set()
    until(lambda: told)
    assert told == [False]


def test_closing_waits_for_a_connection_that_is_being_made(monkeypatch, session, begin):
    closing = threading.Event()

    def connect(choice, wanted):
        assert wanted()
        closing.wait(20)
        return session

    monkeypatch.setattr(module, "connect", connect)
    fleet, _ = begin()
    until(lambda: fleet._bound)
    threading.Timer(0, closing.set).start()
    fleet.close()
    assert session.is_closed


def test_what_an_answer_says_is_posted_after_the_worker_has_joined(session, begin):
    _, posted = begin()
    until(lambda: session.actors and session.actors[0].asked)
    actor = session.actors[0]
    actor.asked[0](PULSE)
    until(lambda: len(actor.asked) == 2)
    actor.asked[1]((2.0, 7, {}, None))
    until(lambda: len(of(posted, Heard)) == 2)
    assert [type(message) for message in posted][-3:] == [Joined, Heard, Heard]
    assert [message.pulse.received for message in of(posted, Heard)] == [0, 7]
    team = posted[-1].team
    assert team.reports
    assert team.look() is posted[-1].pulse


def test_the_drivers_node_gets_a_worker_once_that_is_wanted(session, begin):
    session.alive.append(Node("n2", "driver", "host", True, True, 1.0, 4000))
    session.hired = []
    hire = session.hire
    session.hire = lambda node, worker: session.hired.append(node.id) or hire(node, worker)
    _, posted = begin()
    until(lambda: session.hired)
    (connected,) = of(posted, Connected)
    assert (connected.nodes, connected.others) == (2, 1)
    begin.here = True
    until(lambda: session.hired == ["n1", "n2"])


class Head:
    """Answers until it is ``gone``."""

    gone, closed = False, False

    def knock(self):
        return (ClusterError("it is gone") if self.gone else None), False

    def close(self):
        self.closed = True


def test_a_head_that_is_gone_ends_it_also_while_ray_waits_for_it(monkeypatch, session, begin):
    """The thread that Ray holds is let go when Ray does."""
    head = Head()
    session.head = lambda: head
    session.abandoned = threading.Event()
    session.abandon = session.abandoned.set
    monkeypatch.setattr(module, "KNOCK_SECONDS", 0.01)
    monkeypatch.setattr("raydl.workers.headwatch.HEAD_SECONDS", 0.1)
    _, posted = begin()
    until(lambda: session.actors and session.actors[0].asked)
    session.actors[0].asked[0](PULSE)
    alive = session.alive
    session.nodes = stuck = Stuck(alive)
    assert stuck.entered.wait(10)
    head.gone = True
    until(lambda: of(posted, Disconnected))
    assert [message.unreachable for message in of(posted, Left)] == [True]
    assert not session.is_closed
    stuck.release.set()
    until(lambda: session.is_closed)
    assert session.abandoned.is_set()
    until(lambda: head.closed)


def test_a_ray_that_breaks_ends_it(session, begin):
    def fail():
        raise OSError("broken")

    _, posted = begin()
    until(lambda: session.actors)
    session.nodes = fail
    until(lambda: of(posted, Disconnected))
    assert "OSError" in of(posted, Disconnected)[0].error.message
    until(lambda: session.is_closed)
