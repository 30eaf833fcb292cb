"""The one owner of what this process has of Ray, and of what is changed for Ray."""

import os
import threading

from raydl.cluster.address import ClusterChoice
from raydl.cluster.process import RayProcess

CHOICE = ClusterChoice("cluster", "h:1", "")


def test_a_connection_that_raydl_made_is_kept_until_it_is_given_away():
    process = RayProcess()
    assert not process.is_kept("")
    process.made(CHOICE, "one")
    assert process.is_kept("one")
    assert not process.is_kept("two")
    process.given()
    assert not process.is_kept("one")


def test_a_session_that_somebody_else_made_is_not_raydls_to_end():
    process = RayProcess()
    process.made(CHOICE, "one")
    process.connected("theirs")
    assert process.choice is None
    assert not process.is_kept("theirs")


def test_workers_rest_on_their_connection_alone():
    process, actor = RayProcess(), object()
    process.made(CHOICE, "one")
    process.is_lost = True
    process.rest("node", actor)
    process.connected("one")
    assert process.has_idle
    assert process.is_lost
    assert process.wake("node") is actor
    assert process.wake("node") is None
    process.rest("node", actor)
    process.connected("two")
    assert process.wake("node") is None
    assert not process.is_lost
    process.rest("node", actor)
    assert process.dismiss_idle() == [actor]
    assert not process.has_idle


def test_variables_are_as_they_were_afterwards(monkeypatch):
    process = RayProcess()
    monkeypatch.setenv("RAY_ONE", "theirs")
    monkeypatch.delenv("RAY_TWO", raising=False)
    with process.variables(RAY_ONE="ours", RAY_TWO="ours"):
        assert (os.environ["RAY_ONE"], os.environ["RAY_TWO"]) == ("ours", "ours")
        process.set_variables(RAY_ONE="again")
    assert os.environ["RAY_ONE"] == "theirs"
    assert "RAY_TWO" not in os.environ
    monkeypatch.setenv("RAY_TWO", "theirs")
    process.restore_variables("RAY_TWO")
    assert os.environ["RAY_TWO"] == "theirs"


def test_only_the_last_call_that_is_put_off_is_made():
    process, called, calls = RayProcess(), threading.Event(), []
    process.call_later(60, lambda: calls.append("first"))
    process.call_later(60, lambda: calls.append("second"))
    process.stop_waiting()
    assert not process.is_waiting
    process.call_later(0, called.set)
    assert called.wait(10)
    assert not calls
