"""Downloads one part into a buffer: the same code in a thread here and in an actor on a node.

Ray ships this module and what it uses to the nodes by value, so machines that only have ray
installed can run it. That works as long as nothing in here imports raydl inside a function.
"""

from __future__ import annotations

import pickle
import threading
import time
from typing import Any

from raydl.models import Failure, Source
from raydl.origin import Origin, Tally


class Worker:
    """Fetches parts of one source; each thread that calls it has its own connection."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._origins: list[Origin] = []
        self._closed = False

    def fetch(
        self, start: int, stop: int, into: memoryview, tally: Tally
    ) -> tuple[int, Failure | None]:
        """Read ``[start, stop)`` into ``into``; see ``Origin.read_part``."""
        return self._origin().read_part(self._source, start, stop, into, tally)

    def close(self) -> None:
        """End every request that is under way, from any thread."""
        with self._lock:
            self._closed = True
            origins = list(self._origins)
        for origin in origins:
            origin.abort()
            origin.close()

    def _origin(self) -> Origin:
        origin: Origin | None = getattr(self._mine, "origin", None)
        if origin is None:
            origin = Origin(self._source.auth, self._source.timeout)
            self._mine.origin = origin
            with self._lock:
                self._origins.append(origin)
                if self._closed:
                    origin.abort()
        return origin


class NodeWorker:
    """The actor: what runs on a node. Arguments and results are plain data."""

    def __init__(self, source: dict[str, Any], copy: bool) -> None:
        self._worker = Worker(Source(**source))
        self._copy = copy

    def ready(self) -> bool:
        """Answers once the actor has started."""
        return True

    def fetch(self, start: int, stop: int) -> tuple[tuple[Any, ...], Any]:
        """Fetch ``[start, stop)``; returns what happened and the bytes, as two objects.

        The first is small, ``(got, seconds, failure or None)``: it reaches the coordinator at
        once, while the bytes stay in this node's object store until their turn.
        """
        began = time.monotonic()
        buffer = bytearray(stop - start)
        got, failure = self._worker.fetch(start, stop, memoryview(buffer), _no_tally)
        what = (
            (failure.kind, failure.message, failure.status, failure.retry_after)
            if failure
            else None
        )
        meta = (got, time.monotonic() - began, what)
        if not got:
            return meta, None
        view = memoryview(buffer)[:got]
        # PickleBuffer goes to the object store and back without a copy by pickle; a Ray Client
        # driver cannot read it and gets bytes.
        return meta, bytes(view) if self._copy else pickle.PickleBuffer(view)


def _no_tally(count: int) -> None:
    """Nobody counts along on a node."""
