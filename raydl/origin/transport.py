"""The transport adapter below requests: another thread can abort its connections at any time."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from typing import IO, Any

from requests.adapters import HTTPAdapter
from urllib3 import PoolManager

from raydl.origin.wire import Answer


class Transport(HTTPAdapter):
    """An adapter for one thread, but for ``cut``, which any thread may call."""

    def __init__(self, insecure: bool = False) -> None:
        self.is_cut = False
        self._insecure = insecure
        self._sockets: list[Any] = []
        self._latest: tuple[Any, Any] = (None, None)
        super().__init__()

    def cut(self) -> None:
        """End every connection, and let none begin; a wait for an answer ends with an OSError."""
        self.is_cut = True
        for opened in self._sockets:
            _shut(opened)

    def close(self) -> None:
        """Close every connection."""
        super().close()
        # urllib3 closes what is in a pool once nobody knows the pool any more; but connections know
        # who watches them, and so this.
        self._latest = (None, None)
        for opened in self._sockets:
            opened.close()
        self._sockets = []

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Called by HTTPAdapter as it begins."""
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager)

    def get_connection_with_tls_context(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Called by HTTPAdapter for each request; what comes to one host comes to one pool."""
        key = (request.url.split("/", 3)[:3], args, kwargs)
        known, pool = self._latest
        if known != key or pool.pool is None:
            pool = super().get_connection_with_tls_context(request, *args, **kwargs)
            self._latest = key, pool
        return pool

    @property
    def pool(self) -> Any:
        """What the last request was made with."""
        return self._latest[1]

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
            scheme: _telling(pool, self._opened, self._insecure) for scheme, pool in pools.items()
        }

    def _opened(self, new: Any) -> None:
        new = getattr(new, "socket", new)  # under TLS within a proxy's TLS
        # A response goes on reading from a socket that its connection has forgotten.
        self._sockets = [*(s for s in self._sockets if s.fileno() >= 0), new]
        if self.is_cut:  # and ``cut`` may have come too early to see it
            _shut(new)


def _telling(pool: Any, opened: Callable[[Any], None], insecure: bool) -> Any:
    """The pool class, with connections that report their sockets to ``opened``."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc]
        def _new_conn(self) -> Any:
            # TLS takes the socket over before anybody else sees it: what can be cut while they
            # shake hands is a second one for the same connection.
            new = super()._new_conn()
            self._twin = new.dup()
            opened(self._twin)
            return new

        def connect(self) -> None:
            try:
                super().connect()
                opened(self.sock)
            finally:
                if (twin := getattr(self, "_twin", None)) is not None:
                    twin.close()
            # Then an end that TLS did not announce is an error, which Answer makes a note of.
            if hasattr(self.sock, "suppress_ragged_eofs"):
                self.sock.suppress_ragged_eofs = False
            if insecure:
                # The user asked for it and was warned; urllib3 would warn at every request.
                self.is_verified = self.proxy_is_verified = True

    # Not in the class, where it would not be seen by what ships this to the nodes by value.
    Connection.response_class = Answer

    class Pool(pool):  # type: ignore[misc]
        ConnectionCls = Connection

        def ask(
            self, method: str, target: str, headers: Mapping[str, str], timeout: float
        ) -> tuple[Any, Callable[[], None], Callable[[], None]] | None:
            """The answer over a connection that is open, what gives that back and what closes it;
            None where none is.

            As http.client asks: what urllib3 does around that costs twice as much again.
            """
            if self.pool is None:  # closed, for there were others since
                return None
            used = self._get_conn()

            def release() -> None:
                nonlocal used
                idle, used = used, None
                if idle is not None:
                    self._put_conn(idle)

            def close() -> None:
                if used is not None:
                    answer.close()
                    used.close()

            if used.sock is None:
                release()
                return None
            try:
                if used.sock.gettimeout() != timeout:
                    used.sock.settimeout(timeout)
                HTTPConnection.request(used, method, target, headers=headers)
                answer = HTTPConnection.getresponse(used)
            except ConnectionError:  # the server may close what is idle, just then
                used.close()
                return None
            except BaseException:
                used.close()
                raise
            return answer, release, close

    return Pool


def _shut(opened: Any) -> None:
    # The way of plain sockets: that of a TLS socket would leave a reader in another thread
    # without TLS, and what is read next would be ciphertext.
    with contextlib.suppress(OSError, TypeError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)


@contextlib.contextmanager
def as_file(text: str) -> Iterator[str]:
    """The name of a file with that text, for libraries that take nothing else.

    Where the system can, it is one in memory: a process that is killed leaves no key behind.
    """
    with _in_memory() or tempfile.NamedTemporaryFile("w", prefix="raydl") as file:
        file.write(text)
        file.flush()
        yield file.name if isinstance(file.name, str) else _path_of(file.fileno())


def _in_memory() -> IO[str] | None:
    try:
        number = os.memfd_create("raydl")
    except (AttributeError, OSError):  # Linux alone has it
        return None
    if os.access(_path_of(number), os.R_OK):
        return os.fdopen(number, "w")
    os.close(number)
    return None


def _path_of(number: int) -> str:
    return f"/proc/self/fd/{number}"
