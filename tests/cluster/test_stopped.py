"""The nodes of a driver that was stopped for a while (Ctrl-Z) and goes on."""

import threading
import time
from types import SimpleNamespace

from raydl.cluster.address import Choice
from raydl.cluster.session import Node
from raydl.workers import actor as actorteam
from raydl.workers import fleet as module
from raydl.workers.fleet import ClusterFleet
from raydl.workers.lane import Joined, Left

NODE = Node("id", "w", "192.0.2.1", False, False, 1.0, 1 << 30)


class Actor:
    """Answers at once, but from ``mute`` on."""

    mute = False

    def pulse(self, done):
        if not self.mute:
            done((0.0, 0, {}, None))

    def kill(self):
        pass


class Session:
    address = "h:1"

    def __init__(self):
        self.actor = Actor()

    def head_problem(self):
        return None

    def nodes(self):
        return [NODE]

    def hire(self, node, worker):
        return self.actor, False

    def dismiss(self, node, actor):
        pass

    def close(self, keep=True):
        pass


class Clock(threading.Event):
    """What a fleet waits on; after some turns, a minute passes during one of the waits."""

    def __init__(self, jump):
        super().__init__()
        self.turns, self.passed, self.jump = 0, 0.0, jump
        self.done = threading.Event()

    def now(self):
        return time.monotonic() + self.passed

    def wait(self, timeout=None):
        self.turns += 1
        if self.turns == 3:
            self.jump()
        if self.turns == 6:
            self.done.set()
        self.passed += timeout
        return self.is_set()


def posted(monkeypatch, jump):
    """What a fleet of one node says during a few turns; ``jump`` is called after some."""
    session, said, ready = Session(), [], threading.Event()
    clock = Clock(lambda: jump(clock, session.actor))
    monkeypatch.setattr(module, "connect", lambda choice, wanted: wanted() and session)
    for place in (module, actorteam):
        monkeypatch.setattr(place, "time", SimpleNamespace(monotonic=clock.now))
    choice = Choice("cluster", "h:1", "")
    fleet = ClusterFleet(choice, said.append, here=False, pays=lambda: ready.wait(10))
    fleet._stop = clock
    ready.set()
    assert clock.done.wait(10)
    fleet.close()
    return [type(message) for message in said if isinstance(message, Joined | Left)]


def test_a_minute_that_was_not_lived_does_not_count(monkeypatch):
    def jump(clock, actor):
        clock.passed += 60.0

    assert posted(monkeypatch, jump) == [Joined]


def test_a_node_that_is_silent_for_long_is_given_up_all_the_same(monkeypatch):
    def jump(clock, actor):
        actor.mute = True
        monkeypatch.setattr(ClusterFleet, "GIVE_UP_SECONDS", 0.3)

    assert posted(monkeypatch, jump)[:2] == [Joined, Left]
