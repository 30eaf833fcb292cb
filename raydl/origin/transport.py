"""The way under requests: connections that another thread can cut, whatever they wait for."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import PoolManager


class Transport(HTTPAdapter):
    """An adapter for one thread, but for ``cut``, which any thread may call."""

    def __init__(self) -> None:
        self.is_cut = False
        self._sockets: list[Any] = []
        super().__init__()

    def cut(self) -> None:
        """End every connection, and let none begin; who waits for an answer gets an OSError."""
        self.is_cut = True
        for opened in self._sockets:
            _shut(opened)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Called by HTTPAdapter as it begins."""
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        """Called by HTTPAdapter for each request through ``proxy``."""
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if is_new:
            self._watch(manager)
        return manager  # type: ignore[no-any-return]

    def _watch(self, manager: PoolManager) -> None:
        pools = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {
            scheme: _telling(pool, self._opened) for scheme, pool in pools.items()
        }

    def _opened(self, new: Any) -> None:
        # A response goes on reading from a socket that its connection has forgotten.
        self._sockets = [*(s for s in self._sockets if s.fileno() >= 0), new]
        if self.is_cut:  # and ``cut`` may have come too early to see it
            _shut(new)


def _telling(pool: Any, opened: Callable[[Any], None]) -> Any:
    """That class of pools, whose connections tell ``opened`` of their sockets."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            opened(self.sock)

    class Pool(pool):  # type: ignore[misc]
        ConnectionCls = Connection

    return Pool


def _shut(opened: Any) -> None:
    # The way of plain sockets: that of a TLS socket would leave a reader in another thread
    # without TLS, and what is read next would be ciphertext.
    with contextlib.suppress(OSError, TypeError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
