"""One stream: for origins that serve no byte ranges, or do not tell the size."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator

from raydl.download.pace import SMALLEST, Pace
from raydl.model import backoff
from raydl.model.errors import CancelledError, RaydlError
from raydl.model.events import Continued, Emit, PartFailed, Paused, Progress
from raydl.model.failure import Failure
from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.model.units import format_size
from raydl.origin import Origin
from raydl.scheduler.bottleneck import MOSTLY, Holdup
from raydl.scheduler.flights import CRAWL_SECONDS
from raydl.scheduler.inbox import Held
from raydl.scheduler.meter import Meter
from raydl.scheduler.throttle import Throttle
from raydl.workers.protocol import HERE

BUFFER_SIZE = 4 << 20
BUFFERS = 4

PROGRESS_SECONDS = 0.1
WATCH_SECONDS = 0.5


class OneStream:
    """The file's bytes through one connection, in order; the counterpart of ``Transfer``.

    A thread reads ahead by a few buffers, ``memory`` bytes at most. When the connection breaks,
    the file is asked for again and what was there already is passed over, provided that the
    validator proves it to be the same file; else the download fails. ``lowest`` is the speed in
    bytes a second below which the connection is given up.
    """

    def __init__(
        self,
        source: Source,
        emit: Emit,
        *,
        retries: int,
        memory: int,
        throttle: Throttle | None = None,
        lowest: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._emit, self._retries = source, emit, retries
        self._throttle = throttle or Throttle(None)
        self._clock = clock
        self._buffer_size = max(SMALLEST, min(BUFFER_SIZE, memory // BUFFERS))
        self._lowest = lowest or 0
        self._pace = Pace(self._buffer_size, lowest)
        self._given_up: Failure | None = None
        self._began = clock()
        self._waited = 0.0
        self._origin = Origin(source.access, source.timeout)
        self._free: queue.SimpleQueue[bytearray | None] = queue.SimpleQueue()
        self._out: queue.SimpleQueue[tuple[bytearray, int, int] | Held | RaydlError | None] = (
            queue.SimpleQueue()
        )
        self._taken: bytearray = bytearray()
        self._delivered = 0
        self._position = 0
        self._stop = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self.parts = 1
        self.meter = Meter(0, source.size or 0)
        self.meter.joined(HERE, 1)
        self._thread = threading.Thread(target=self._run, name="raydl-stream", daemon=True)

    def chunks(self) -> Iterator[tuple[Part, memoryview]]:
        """The bytes, in order. A view is good until the next one is asked for."""
        for _ in range(BUFFERS):
            self._free.put(bytearray(self._buffer_size))
        self._thread.start()
        written, shown, index = 0, 0.0, 0
        while (item := self._next()) is not None:
            if isinstance(item, RaydlError):
                raise item
            if isinstance(item, Held):
                self._emit(Paused() if item.paused else Continued())
                continue
            buffer, start, stop = item
            yield Part(index, written, written + stop - start), memoryview(buffer)[start:stop]
            written += stop - start
            index += 1
            self._free.put(buffer)
            if self._clock() - shown >= PROGRESS_SECONDS:
                shown = self._clock()
                self._show(written)
        self._show(written)

    @property
    def limit(self) -> str:
        """A line that says which limit was met; empty where that is not known."""
        is_spent = self._waited > MOSTLY * (self._clock() - self._began)
        return str(Holdup.RATE.value) if is_spent else ""

    def _next(self) -> tuple[bytearray, int, int] | Held | RaydlError | None:
        """The next thing to do, however long it takes; meanwhile the connection is watched."""
        while True:
            self._give_up_slow()
            with contextlib.suppress(queue.Empty):
                return self._out.get(timeout=WATCH_SECONDS)

    def _give_up_slow(self) -> None:
        """Cut the connection off where it is slower than the user wants to bear."""
        if self._pace.crawls(self._clock()):
            text = f"slower than {format_size(self._lowest)}/s for {CRAWL_SECONDS:g}s"
            origin = self._origin  # once it is given up, the reader may go over to the next one
            self._given_up = Failure("broken", text)
            origin.abort()

    def cancel(self) -> None:
        """Let ``chunks`` raise CancelledError; from any thread."""
        self._out.put(CancelledError("the download was cancelled", "start it again"))

    def hold(self, paused: bool) -> None:
        """Read nothing more, or go on; from any thread."""
        self._out.put(Held(paused))
        if paused:
            self._going.clear()
        else:
            self._going.set()

    def close(self) -> None:
        """End the connection and the thread."""
        self._stop.set()
        self._going.set()
        self._origin.abort()
        self._free.put(None)
        if self._thread.is_alive():
            self._thread.join(0.3)

    def _show(self, written: int) -> None:
        self._emit(Progress(written, written, self._source.size, 1, 1, self.meter.retried))

    def _run(self) -> None:
        try:
            self._read()
        except Exception as error:  # a bug must end the download, not hang it
            self._out.put(
                Failure("wrong", f"unexpected {type(error).__name__}: {error}").to_error()
            )

    def _read(self) -> None:
        tries = 0
        while not self._stop.is_set():
            before = self._delivered
            self._position = 0
            failure = self._origin.read_whole(self._source, self._take, self._give)
            self._pace.stop()
            if failure is not None and self._given_up is not None:
                failure, self._given_up = self._given_up, None
                self._origin.close()
                self._origin = Origin(self._source.access, self._source.timeout)
            if failure is None and self._position < self._delivered:
                failure = Failure("changed", "the file on the origin has become shorter")
            if failure is None:
                self._out.put(None)
                return
            tries = 1 if self._delivered > before else tries + 1
            if self._stop.is_set():
                return
            provable = bool(self._source.etag or self._source.last_modified)
            if not failure.retryable or tries > self._retries or (self._delivered and not provable):
                self._out.put(self._error(failure, tries))
                return
            delay = backoff.delay(tries, failure.retry_after)
            self.meter.retried += 1
            self._emit(
                PartFailed(
                    0, self._delivered, self._source.size or 0, HERE, failure.message, tries, delay
                )
            )
            if self._taken:
                self._free.put(self._taken)
                self._taken = bytearray()
            self._stop.wait(delay)

    def _error(self, failure: Failure, tries: int) -> RaydlError:
        error = failure.to_error(f" ({tries} tries)" if tries > 1 else "")
        if failure.retryable:
            error.hint = "the origin serves no byte ranges: running it again starts over"
        return error

    def _take(self) -> memoryview:
        now = self._clock()
        wait = max(0.0, self._throttle.next_at(now) - now)
        self._waited += wait
        self._stop.wait(wait)
        self._going.wait()
        buffer = self._free.get()
        if buffer is None or self._stop.is_set():
            self._origin.abort()
            buffer = bytearray(self._buffer_size)
        self._taken = buffer
        self._pace.begin(self._clock())
        return memoryview(buffer)[: self._throttle.piece(self._pace.amount)]

    def _give(self, count: int) -> None:
        self._throttle.took(count)
        self._pace.end(self._clock(), count)
        start = min(count, max(0, self._delivered - self._position))
        self._position += count
        if start == count:
            self._free.put(self._taken)
        else:
            self._delivered += count - start
            self.meter.arrived(HERE, count - start)
            self._out.put((self._taken, start, count))
        self._taken = bytearray()
