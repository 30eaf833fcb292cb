"""What is handed to Ray's metrics, with a Ray that is made up."""

import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest

from raydl.cluster import metrics as module
from raydl.cluster.metrics import RayMetrics, send_rest
from raydl.model.metrics import FETCHED, LANES, METRICS, SECONDS, Changes

HERE = "this machine"


class FakeMetric:
    def __init__(self, calls, name, description, *rest):
        self.calls, self.name = calls, name
        assert description

    def inc(self, value, tags):
        assert value > 0  # as Ray demands
        self.calls.append((self.name, value, tags))

    def set(self, value, tags):
        self.calls.append((self.name, value, tags))

    observe = set


@pytest.fixture
def calls(monkeypatch):
    """What a Ray to which this process is connected was told."""
    calls = []
    ray = ModuleType("ray")
    ray.is_initialized = lambda: True
    client = SimpleNamespace(ray=SimpleNamespace(is_connected=lambda: False))
    ray.util = SimpleNamespace(client=client, get_node_ip_address=lambda: "10.0.0.1")
    kinds = {
        kind: lambda *args: FakeMetric(calls, *args) for kind in ("Counter", "Gauge", "Histogram")
    }
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(module, "ray_module", lambda name: SimpleNamespace(**kinds))
    return calls


def changes():
    return Changes(
        {(FETCHED, (HERE, "h", "here")): 5.0, (FETCHED, ("10.0.0.2", HERE, "here")): 7.0},
        {(LANES, (HERE,)): 0.0},
        [((SECONDS, ("h",)), 0.5)],
    )


def test_this_machine_has_its_address(calls):
    RayMetrics().export(changes, HERE)
    assert calls == [
        (FETCHED.name, 5.0, {"node": "10.0.0.1", "origin": "h", "destination": "here"}),
        (FETCHED.name, 7.0, {"node": "10.0.0.2", "origin": HERE, "destination": "here"}),
        (LANES.name, 0.0, {"node": "10.0.0.1"}),
        (SECONDS.name, 0.5, {"origin": "h"}),
    ]


def never():
    raise AssertionError("nobody is there to take it")


def test_nothing_is_taken_where_nobody_is_there(calls, monkeypatch):
    metrics = RayMetrics()
    ray = sys.modules["ray"]
    ray.util.client.ray.is_connected = lambda: True
    metrics.export(never, HERE)
    ray.is_initialized = lambda: False
    metrics.export(never, HERE)
    del ray.is_initialized  # another thread is importing it
    metrics.export(never, HERE)
    monkeypatch.delitem(sys.modules, "ray")
    metrics.export(never, HERE)
    assert not calls


def test_an_error_ends_the_metrics_and_nothing_else(calls, monkeypatch):
    def fail(*args):
        raise RuntimeError("this Ray has other metrics")

    monkeypatch.setattr(module, "ray_module", fail)
    metrics = RayMetrics()
    metrics.export(changes, HERE)
    metrics.export(never, HERE)
    assert not calls


@pytest.mark.parametrize(
    ("told", "agents", "ended"), [(True, True, 1), (True, False, 0), (False, True, 0)]
)
def test_the_rest_is_sent_where_somebody_gets_it(calls, monkeypatch, told, agents, ended):
    metrics, ends = RayMetrics(), []
    monkeypatch.setattr(module, "RAY_METRICS", metrics)
    monkeypatch.setattr(module, "disconnect", lambda: ends.append(1))
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: agents or None)
    if told:
        metrics.export(changes, HERE)
    send_rest(5)
    assert len(ends) == ended


def test_what_does_not_end_is_not_waited_for(calls, monkeypatch):
    metrics, released = RayMetrics(), threading.Event()
    monkeypatch.setattr(module, "RAY_METRICS", metrics)
    monkeypatch.setattr(module, "disconnect", released.wait)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: True)
    metrics.export(changes, HERE)
    send_rest(0.01)
    assert not released.is_set()
    released.set()


def test_ray_has_what_is_made():
    """With the installed Ray, of which nothing is started."""
    metrics = RayMetrics()
    metrics._make()
    for metric in METRICS:
        info = metrics._made[metric.name].info
        assert info["tag_keys"] == metric.labels
        assert info["description"] == metric.description
