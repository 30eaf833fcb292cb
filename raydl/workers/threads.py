"""The embedded fleet: one team, whose lanes are threads of this process."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from mmap import mmap
from types import MappingProxyType

from raydl.model.errors import THREADS_HINT, RaydlError
from raydl.model.failure import Failure
from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.workers.protocol import HERE, Fetched, Joined, Payload, Post, Pulse, Slot, Slots
from raydl.workers.worker import Worker

MOST_THREADS = 256


class BufferPool:
    """Buffers, used again and again, up to ``limit`` bytes of them in all of this process.

    They are mappings, which go back to the system once nobody has them: an allocator keeps what
    is freed, in a heap for every few threads, and each download has threads of its own.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._free: list[mmap] = []
        self._bytes = 0
        self._out = 0

    @property
    def limit(self) -> int:
        """Bytes of buffers that there may be."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        with self._lock:
            self._limit = limit
            self._make_room()

    def has_room(self, size: int, now: float) -> bool:  # noqa: ARG002 - as Memory has it
        """Whether ``size`` more bytes stay within the limit."""
        return self._out + size <= self._limit

    def took(self, size: int) -> None:
        """Nothing: what counts are the buffers."""

    def spared(self, size: int) -> None:
        """Nothing: the same."""

    def released(self, size: int, now: float) -> None:
        """Nothing: the same."""

    def take(self, size: int) -> mmap:
        """A buffer of at least ``size`` bytes; whether it fits is for the caller to ask first."""
        with self._lock:
            fitting = [b for b in self._free if size <= len(b) <= 2 * size]
            if fitting:
                buffer = min(fitting, key=len)
                self._remove(buffer)
            else:
                buffer = mmap(-1, size)
            self._out += len(buffer)
            return buffer

    def give(self, buffer: mmap) -> None:
        """The buffer is free again; the oldest free ones make room for it."""
        with self._lock:
            self._out -= len(buffer)
            self._free.append(buffer)
            self._bytes += len(buffer)
            self._make_room()

    def _make_room(self) -> None:
        while self._free and self._out + self._bytes > self._limit:
            self._remove(self._free[0])

    def _remove(self, buffer: mmap) -> None:
        index = next(i for i, b in enumerate(self._free) if b is buffer)
        self._bytes -= len(self._free.pop(index))


class BufferPayload:
    """The first ``size`` bytes of a buffer from the pool."""

    here = True
    placed = False
    ref = None

    def __init__(self, buffer: mmap, size: int, pool: BufferPool) -> None:
        self._buffer: mmap | None = buffer
        self._size, self._pool = size, pool

    def pull(self, done: Callable[[str], None]) -> None:
        """The bytes are here already."""
        done("")

    def view(self) -> memoryview:
        """The bytes."""
        if self._buffer is None:
            raise LookupError("the bytes were released")
        return memoryview(self._buffer)[: self._size]

    def release(self) -> None:
        """The buffer goes back to the pool, once."""
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            self._pool.give(buffer)


class SlotPayload:
    """The bytes that were put into a slot."""

    here = placed = True
    ref = None

    def __init__(self, slot: Slot) -> None:
        self._slot: Slot | None = slot

    def pull(self, done: Callable[[str], None]) -> None:
        """The bytes are there already."""
        done("")

    def view(self) -> memoryview:
        """Raises LookupError."""
        raise LookupError("the bytes are where they belong")

    def release(self) -> None:
        """The slot is left, once."""
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.leave()


class LocalTeam:
    """The lanes of this process; there are as many threads as requests were in flight at once."""

    node = HERE
    labels: Mapping[str, str] = MappingProxyType({})
    most = MOST_THREADS
    reports, period = False, 0.0

    def __init__(self, memory: BufferPool, post: Post) -> None:
        self.memory, self._post = memory, post
        self._worker = Worker()
        self._tasks: queue.SimpleQueue[tuple[int, Part, Source, mmap | Slot] | None] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._idle = 0
        """Threads without a part; below 0, parts without a thread."""
        self._threads: list[threading.Thread] = []
        post(Joined(self))

    def start(self, ticket: int, part: Part, source: Source, slots: Slots | None) -> None:
        """Hand the part to a thread; where there can be no more, to the first that is free.

        Raises RaydlError where there can be none at all.
        """
        with self._lock:
            if self._idle > 0 or not self._add_thread():
                self._idle -= 1
        slot = None
        if slots is not None and source.pieces is None:  # pieces are compared in a buffer
            slot = slots.take(part.start, part.stop)
        self._tasks.put((ticket, part, source, slot or self.memory.take(part.size)))

    def cancel(self, ticket: int) -> None:
        """Cut that request off."""
        self._worker.cancel(ticket)

    def look(self) -> Pulse:
        """How it is now."""
        pulse = self._worker.pulse()
        return Pulse(pulse[0], *pulse)

    def close(self) -> None:
        """End the threads; what they were reading is cut off."""
        for _ in self._threads:
            self._tasks.put(None)
        self._worker.close()
        # A thread inside a name look-up or a connect cannot be woken: it is a daemon and ends on
        # its own, with the timeout.
        deadline = time.monotonic() + 0.5
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.memory.limit = 0  # whoever still has this team keeps no buffers

    def _add_thread(self) -> bool:
        """Start one more; False where the system refuses it, or did so before."""
        count = len(self._threads)
        if count >= self.most:
            return False
        thread = threading.Thread(target=self._run, name=f"raydl-lane-{count}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self._threads:
                raise RaydlError(
                    "the system starts no thread to fetch with",
                    THREADS_HINT,
                ) from error
            self.most = count
            return False
        self._threads.append(thread)
        return True

    def _run(self) -> None:
        while (item := self._tasks.get()) is not None:
            ticket, part, source, room = item
            into = memoryview(room) if isinstance(room, mmap) else room
            began = time.monotonic()
            try:
                got, failure = self._worker.fetch(source, ticket, part.start, part.stop, into)
            except Exception as error:  # a bug must end the download, not hang it
                got, failure = 0, Failure("wrong", f"unexpected {type(error).__name__}: {error}")
            if not isinstance(room, mmap):
                got = room.settle(got)
            payload = self._payload(room, got)
            with self._lock:
                self._idle += 1
            self._post(Fetched(ticket, got, payload, failure, time.monotonic() - began))

    def _payload(self, room: mmap | Slot, got: int) -> Payload | None:
        """What came, None for nothing."""
        payload: Payload
        if isinstance(room, mmap):
            payload = BufferPayload(room, got, self.memory)
        else:
            payload = SlotPayload(room)
        if got:
            return payload
        payload.release()
        return None
