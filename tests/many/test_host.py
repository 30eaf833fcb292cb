"""How one host among many is doing: nodes that do not reach it."""

import pytest

from raydl.many.host import GONE_SECONDS, LONGEST_REST, Host
from raydl.many.tempo import Tempo
from raydl.model import backoff


@pytest.fixture
def host():
    return Host(None, Tempo(2, 100.0))


def test_what_was_under_way_together_is_one_strike(host):
    for _ in range(16):
        assert not host.unreached("a", 100.0)
    assert host.rests("a", 100.0)
    assert not host.rests("a", 100.0 + backoff.FIRST)
    assert not host.rests("b", 100.0)


def test_each_time_it_is_set_aside_for_longer(host):
    now = 100.0
    for _ in range(10):
        host.unreached("a", now)
        while host.rests("a", now):
            now += 0.01
    host.unreached("a", now)
    assert host.rests("a", now + LONGEST_REST / 2 - 0.01)
    assert not host.rests("a", now + LONGEST_REST)


def test_it_is_the_nodes_own_fault_where_others_could(host):
    host.unreached("a", 100.0)
    host.served("b", 1, 0.1, 101.0)
    assert host.unreached("a", 102.0)
    assert not host.is_gone(100.0 + GONE_SECONDS)


def test_what_it_brought_since_counts(host):
    """Not what a node could not reach before that."""
    host.unreached("a", 100.0)
    host.served("b", 1, 0.1, 499.0)
    host.unreached("b", 501.0)
    assert not host.is_gone(500.0 + GONE_SECONDS)
    assert host.is_gone(501.0 + GONE_SECONDS)


def test_time_in_which_nobody_asked_does_not_count(host):
    host.unreached("a", 100.0)
    host.unreached("a", 300.0)
    assert not host.is_gone(300.0)


def test_it_is_gone_once_nobody_reached_it_for_long(host):
    host.unreached("a", 100.0)
    host.unreached("b", 130.0)
    assert not host.is_gone(99.9 + GONE_SECONDS)
    assert host.is_gone(100.0 + GONE_SECONDS)
    host.served("a", 1, 0.1, 150.0)
    assert not host.is_gone(200.0)
