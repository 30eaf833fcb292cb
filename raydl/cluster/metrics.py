"""What is counted, handed to Ray's metrics: the node's agent has them for Prometheus to fetch."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from raydl.cluster.connection import disconnect
from raydl.cluster.importing import ray_module
from raydl.model.log import describe, log
from raydl.model.metrics import COUNTER, GAUGE, METRICS, Changes, Key


class RayMetrics:
    """The metrics of this process. Handing something on is a note in this process's memory, of
    some microseconds; Ray sends it to the agent by itself, every 10 s and when it is shut down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, Any] = {}
        self._is_broken = False

    @property
    def has_any(self) -> bool:
        """Whether anything was handed on."""
        return bool(self._made) and not self._is_broken

    def export(self, drain: Callable[[], Changes], here: str) -> None:
        """Hand on what ``drain`` gives, where this process is connected to Ray.

        A node that is called ``here`` is this machine: its address is shown. No error leaves this;
        after one nothing is handed on any more, as no download is to be the worse for it.
        """
        ray = _connected()
        if ray is None or self._is_broken:
            return
        with self._lock:
            try:
                self._hand_on(drain(), here, ray.util.get_node_ip_address())
            except Exception as error:
                self._is_broken = True
                log.debug("no metrics: %s", describe(error))

    def _hand_on(self, changes: Changes, here: str, address: str) -> None:
        if not self._made:
            self._make()

        def tags(key: Key) -> dict[str, str]:
            named = zip(key[0].labels, key[1], strict=True)
            return {
                label: address if (label, value) == ("node", here) else value
                for label, value in named
            }

        for key, value in changes.added.items():
            self._made[key[0].name].inc(value, tags(key))
        for key, value in changes.now.items():
            self._made[key[0].name].set(value, tags(key))
        for key, value in changes.seen:
            self._made[key[0].name].observe(value, tags(key))

    def _make(self) -> None:
        metrics = ray_module("util.metrics")
        for name, kind, labels, description, bounds in METRICS:
            if kind == COUNTER:
                self._made[name] = metrics.Counter(name, description, labels)
            elif kind == GAUGE:
                self._made[name] = metrics.Gauge(name, description, labels)
            else:
                self._made[name] = metrics.Histogram(name, description, list(bounds), labels)


def _connected() -> ModuleType | None:
    """Ray, where this process has a connection that carries metrics; Ray Client's does not."""
    ray = sys.modules.get("ray")
    try:
        # Another thread may be importing it right now, and not all of it is there.
        is_worker = ray is not None and ray.is_initialized() and not _is_client(ray)
    except Exception:
        return None
    return ray if is_worker else None


def _is_client(ray: ModuleType) -> bool:
    return bool(ray.util.client.ray.is_connected())


RAY_METRICS = RayMetrics()
"""Those of this process."""


def send_rest(seconds: float) -> None:
    """Have Ray send now what it would send in its time, before a process that ends at once.

    It does so when it is shut down, and in no other way; that is waited for, ``seconds`` at most.
    Where agents are not installed, which need ``prometheus_client``, nobody would get it.
    """
    if RAY_METRICS.has_any and importlib.util.find_spec("prometheus_client"):
        ending = threading.Thread(target=disconnect, name="raydl-metrics", daemon=True)
        ending.start()
        ending.join(seconds)
