"""A head's sign of life, over one connection that stays open."""

import contextlib
import socket
import threading

import pytest

from raydl.cluster import head
from raydl.cluster.head import HeadLink

SETTINGS = bytes([0, 0, 6, 4, 0, 0, 0, 0, 0]) + bytes(6)
ACK = bytes([0, 0, 0, 4, 1, 0, 0, 0, 0])
PING = bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + b"whatever"
PONG = bytes([0, 0, 8, 6, 1, 0, 0, 0, 0]) + b"whatever"
GOAWAY = bytes([0, 0, 8, 7, 0, 0, 0, 0, 0]) + bytes(8)
PREFACE = 24


class FakeHead:
    """Acknowledges each SETTINGS frame, after ``before``, unless it is ``mute``."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.links, self.heard, self.before, self.mute = [], [], b"", False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                link, _ = self.server.accept()
                self.links.append(link)
                with contextlib.suppress(OSError):
                    self.talk(link)
                link.close()

    def talk(self, link):
        with link.makefile("rb") as file:
            file.read(PREFACE)
            link.sendall(SETTINGS)
            while frame := file.read(9):
                self.heard.append(frame + file.read(int.from_bytes(frame[:3], "big")))
                if frame[3] == 4 and not frame[4] and not self.mute:
                    link.sendall(self.before + ACK)

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for link in self.links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self.thread.join()


@pytest.fixture
def fake():
    fake = FakeHead()
    yield fake
    if fake.server.fileno() >= 0:
        fake.close()


@pytest.fixture
def link(fake):
    link = HeadLink("127.0.0.1", fake.port)
    yield link
    link.close()


def test_one_connection_for_all_signs_of_life(fake, link):
    for _ in range(5):
        assert link.knock() == (None, False)
    assert len(fake.links) == 1


def test_what_the_head_wants_answered_is_answered(fake, link):
    fake.before = PING + SETTINGS
    for _ in range(3):
        assert link.knock() == (None, False)
    assert PONG in fake.heard
    assert fake.heard.count(ACK) > 1


def test_a_connection_that_breaks_is_made_again(fake, link):
    assert link.knock() == (None, False)
    fake.links[0].shutdown(socket.SHUT_RDWR)
    assert link.knock() == (None, False)
    fake.before = GOAWAY
    problem, is_silent = link.knock()
    assert problem is not None
    assert not is_silent
    fake.before = b""
    assert link.knock() == (None, False)


def test_a_head_that_is_gone_is_refused_at_once(fake, link):
    assert link.knock() == (None, False)
    fake.close()
    problem, is_silent = link.knock()
    assert "nothing listens" in problem.message
    assert not is_silent


def test_a_head_that_says_nothing_is_silent(fake, link, monkeypatch):
    assert link.knock() == (None, False)
    monkeypatch.setattr(head, "CONNECT_SECONDS", 0.1)
    fake.mute = True
    problem, is_silent = link.knock()
    assert "no answer" in problem.message
    assert is_silent


def test_under_tls_a_connection_is_all_that_is_asked_for(fake, link, monkeypatch):
    monkeypatch.setenv("RAY_USE_TLS", "1")
    fake.mute = True
    assert link.knock() == (None, False)
    assert link.knock() == (None, False)


@pytest.mark.cluster
def test_rays_own_head_answers_for_as_long_as_it_is_asked(two_nodes):
    """More often than gRPC bears to be pinged."""
    host, _, port = two_nodes.address.rpartition(":")
    link = HeadLink(host, int(port))
    assert link.knock() == (None, False)
    (first, seen) = link._link, 0
    for _ in range(200):
        assert link.knock() == (None, False)
        seen += link._link is first
    assert seen == 200
    link.close()
