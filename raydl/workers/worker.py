"""Downloads parts into buffers: the same code for threads here and in an actor on a node.

Ray ships this module and what it uses to the nodes by value, so machines that only have ray
installed can run it. That works as long as nothing in here imports raydl inside a function.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import socket
import threading
import time
import urllib.parse
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from raydl.cluster.objects import bring, get_object, get_objects
from raydl.model.failure import Failure
from raydl.model.remote import Access, Source
from raydl.origin import Origin
from raydl.origin.body import Place
from raydl.origin.upload import Uploader
from raydl.workers.buffers import Buffers
from raydl.workers.nodefiles import NodeFiles
from raydl.workers.pieceread import read_pieces
from raydl.workers.puts import Puts, Uploaders
from raydl.workers.sharedfiles import SharedFiles
from raydl.workers.shelves import Shelves
from raydl.workers.smallfiles import Outcome, SmallFiles, Wish

MOST_IDLE = 64
"""Origins that are kept for the next request, of all hosts and credentials together."""


class Request:
    """A request in flight, or several after each other, in the thread that makes it. ``got`` are
    bytes.

    Any thread may ``abort`` it, and what is sent elsewhere meanwhile.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.got = 0
        # Taken by the thread itself: a later read of it may fail, and harms nobody.
        self._clock = _clock_of_this_thread()
        self._began = self._cpu()
        self._lock = threading.Lock()
        self._uploader: Uploader | None = None

    def tally(self, count: int) -> None:
        """So many bytes more came."""
        self.got += count

    def cpu_seconds(self) -> float | None:
        """What its thread has used since; None where the system does not tell."""
        now = self._cpu()
        return None if now is None or self._began is None else now - self._began

    def _cpu(self) -> float | None:
        if self._clock is not None:
            with contextlib.suppress(OSError):
                return time.clock_gettime(self._clock)
        return None

    @contextlib.contextmanager
    def sending(self, uploader: Uploader) -> Iterator[None]:
        """Meanwhile that is ended with it."""
        with self._lock:
            self._uploader = uploader
            if self.origin.aborted:
                uploader.abort()
        try:
            yield
        finally:
            with self._lock:  # from now on it is somebody else's
                self._uploader = None

    def abort(self) -> None:
        """End it, from any thread."""
        with self._lock:
            self.origin.abort()
            if self._uploader is not None:
                self._uploader.abort()


class Worker:
    """Fetches parts, as many at once as there are threads that call it.

    Connections are kept from one part to the next, those that were used last. A ticket names a
    request; no two requests of a process have the same, and later ones have higher tickets.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[int, Request] = {}
        self._idle: OrderedDict[tuple[Access, float], list[Origin]] = OrderedDict()
        self._received = self._most = 0
        self._fetching: float | None = 0.0
        """Processor seconds of the requests that have ended; None once one is not known."""
        self._cancelled: set[int] = set()
        self._over = -1
        self._closed = False

    def fetch(
        self, source: Source, ticket: int, start: int, stop: int, into: memoryview | Place
    ) -> tuple[int, Failure | None]:
        """Read ``[start, stop)`` into ``into``; see ``Origin.read_part``."""
        with self.lent(source.access, source.timeout, ticket) as request:
            if request is None:
                return 0, Failure("cancelled", "cancelled")
            if source.pieces is not None and isinstance(into, memoryview):
                return read_pieces(request, source, start, stop, into)
            return request.origin.read_part(source, start, stop, into, request.tally)

    @contextlib.contextmanager
    def lent(self, access: Access, timeout: float, ticket: int) -> Iterator[Request | None]:
        """A connection for what has this ticket, kept for the next; None where that is over."""
        kind = (access, timeout)
        with self._lock:
            is_over = self._closed or ticket <= self._over or ticket in self._cancelled
            self._cancelled.discard(ticket)
            if not is_over:
                origin = self._kept(kind) or Origin(*kind)
                request = self._requests[ticket] = Request(origin)
                self._most = max(self._most, len(self._requests))
        if is_over:
            yield None
            return
        try:
            yield request
        finally:
            with self._lock:
                del self._requests[ticket]
                self._received += request.got
                self._fetching = _sum(self._fetching, request.cpu_seconds())
                over = origin if origin.aborted else self._keep(kind, origin)
            if over is not None:
                over.close()

    def _kept(self, kind: tuple[Access, float]) -> Origin | None:
        origins = self._idle.get(kind)
        if origins is None:
            return None
        origin = origins.pop()
        if not origins:
            del self._idle[kind]
        return origin

    def _keep(self, kind: tuple[Access, float], origin: Origin) -> Origin | None:
        """Have it for the next request; returns what is not kept for that, the oldest one."""
        self._idle.setdefault(kind, []).append(origin)
        self._idle.move_to_end(kind)
        if sum(map(len, self._idle.values())) <= MOST_IDLE:
            return None
        oldest, origins = next(iter(self._idle.items()))
        over = origins.pop(0)
        if not origins:
            del self._idle[oldest]
        return over

    def cancel(self, ticket: int) -> None:
        """End that request, from any thread; one that has not begun will not."""
        with self._lock:
            request = self._requests.get(ticket)
            if request is None and ticket > self._over:
                self._cancelled.add(ticket)
        if request is not None:
            request.abort()

    def pulse(
        self,
    ) -> tuple[float, int, dict[int, int], tuple[float, float] | None, float | None]:
        """The fields of a Pulse, but for when it is heard."""
        with self._lock:
            flights = {ticket: request.got for ticket, request in self._requests.items()}
            received = self._received + sum(flights.values())
            fetching = self._fetching
            for request in self._requests.values():
                fetching = _sum(fetching, request.cpu_seconds())
            now = time.monotonic()
        return now, received, flights, cpu_seconds(), fetching

    def most_at_once(self) -> int:
        """The most requests that were in flight together since this was last asked."""
        with self._lock:
            most, self._most = self._most, len(self._requests)
            return most

    def rest(self, last: int) -> None:
        """End every request up to ticket ``last``, and forget the origins and credentials."""
        with self._lock:
            self._over = max(self._over, last)
            for ticket, request in self._requests.items():
                if ticket <= last:  # this may come late, when the next download has begun
                    request.abort()  # before it can be put back
            idle = [origin for origins in self._idle.values() for origin in origins]
            self._idle.clear()
            self._cancelled.clear()
        for origin in idle:
            origin.close()

    def close(self) -> None:
        """End every request, for good."""
        with self._lock:
            self._closed = True
            last = max(self._requests, default=0)
        self.rest(max(last, self._over))


class NodeWorker:
    """The actor: what runs on a node. Arguments and results are plain data."""

    def __init__(self, copy: bool) -> None:
        self._worker = Worker()
        self._files = NodeFiles(get_object, bring)
        uploaders = Uploaders()
        self._puts = Puts(get_objects, uploaders)
        self._shared = SharedFiles(get_object)
        self._buffers = Buffers()
        self._small = SmallFiles(self._worker.lent, uploaders)
        self._shelves = Shelves(get_object)
        self._copy = copy
        self._monitor = os.environ.get("_RAYDL_MONITOR")

    def fetch(
        self, source: tuple[Any, ...], ca: str | None, ticket: int, start: int, stop: int
    ) -> tuple[tuple[Any, ...], Any]:
        """Fetch ``[start, stop)``; returns what happened and the bytes, as two objects.

        The first is small, ``(got, seconds, failure or None)``: it reaches the driver at
        once, while the bytes go to this node's object store.
        """
        began = time.monotonic()
        view = self._buffers.take(stop - start)
        got, failure = self._worker.fetch(Source.unpack(source, ca), ticket, start, stop, view)
        what = (
            (failure.kind, failure.message, failure.status, failure.retry_after)
            if failure
            else None
        )
        meta = (got, time.monotonic() - began, what)
        if not got:
            return meta, None
        return meta, self._sent(view[:got])

    def small(
        self,
        source: tuple[Any, ...],
        ca: str | None,
        ticket: int,
        wishes: list[tuple[Any, ...]],
        pace: float,
        put_ca: str | None,
    ) -> tuple[list[Outcome], Any]:
        """Fetch small files: see ``SmallFiles.fetch``. What became of them, and their bytes."""
        kept = bytearray()
        files = [Wish(*wish) for wish in wishes]
        asked = Source.unpack(source, ca)
        outcomes = self._small.fetch(asked, ticket, files, pace, kept, put_ca)
        return outcomes, self._sent(memoryview(kept)) if kept else None

    def _sent(self, data: memoryview) -> Any:
        # PickleBuffer goes to the object store and back without a copy by pickle; a Ray Client
        # driver cannot read it and gets bytes.
        return bytes(data) if self._copy else pickle.PickleBuffer(data)

    def pulse(self) -> tuple[Any, ...]:
        """The fields of a Pulse, but for when it is heard."""
        pulse = self._worker.pulse()
        if self._monitor:
            self._tell(self._worker.most_at_once(), pulse[1])
        return pulse

    def _tell(self, lanes: int, received: int) -> None:
        """Report to what started this node (see raydl/node/monitor.py); lost if nobody listens."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.setblocking(False)
            to.sendto(json.dumps((os.getpid(), lanes, received)).encode(), str(self._monitor))

    def cancel(self, tickets: Iterable[int]) -> None:
        """End these requests."""
        for ticket in tickets:
            self._worker.cancel(ticket)

    def disk(self, method: str, *args: Any) -> Any:
        """Do something with this node's copies of files: see ``NodeFiles``."""
        return getattr(self._files, method)(*args)

    def send(self, method: str, *args: Any) -> Any:
        """Do something for a bucket with bytes in the object store: see ``Puts``."""
        return getattr(self._puts, method)(*args)

    def shared(self, method: str, *args: Any) -> Any:
        """Do something with a file that several nodes write: see ``SharedFiles``."""
        return getattr(self._shared, method)(*args)

    def shelf(self, method: str, *args: Any) -> Any:
        """Do something with this node's directories of small files: see ``Shelves``."""
        return getattr(self._shelves, method)(*args)

    def read_shelf(self, key: str, places: list[tuple[Any, ...]]) -> tuple[Any, Any]:
        """Give small files of such a directory: what happened, and the bytes, as two objects."""
        answer, data = self._shelves.read(key, places)
        return answer, data if data is None else self._sent(memoryview(data))

    def read(self, key: str, start: int, stop: int) -> tuple[Any, Any]:
        """Give bytes of a copy: what happened, and the bytes, as two objects."""
        answer, data = self._files.read(key, start, stop)
        return answer, data if data is None else self._sent(memoryview(data))

    def rest(self, last: int) -> None:
        """End all requests up to ticket ``last``, keep nothing of them, wait for a download."""
        self._worker.rest(last)
        self._buffers.forget()
        self._files.close_all()
        self._puts.rest()
        self._shared.close_all()
        self._shelves.close_all()
        urllib.parse.clear_cache()  # type: ignore[attr-defined] # of URLs, signed ones too


def _clock_of_this_thread() -> int | None:
    """The clock of its processor time, for any thread to read; None where there is none."""
    if hasattr(time, "pthread_getcpuclockid"):
        with contextlib.suppress(OSError):
            return time.pthread_getcpuclockid(threading.get_ident())
    return None


def _sum(total: float | None, more: float | None) -> float | None:
    return None if total is None or more is None else total + more


def cpu_seconds() -> tuple[float, float] | None:
    """(busy, all) seconds of this machine's processors since it started; None where unknown."""
    try:
        with open("/proc/stat") as file:  # noqa: PTH123 - Path is not among what is shipped
            fields = [int(word) for word in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    idle = fields[3] + fields[4]  # idle and iowait, see proc_stat(5)
    return (sum(fields) - idle) / ticks, sum(fields) / ticks
