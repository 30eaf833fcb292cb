"""The embedded fleet: lanes that are threads of this process."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from raydl.lane import HERE, Fetched, Joined, Post
from raydl.models import Failure, Source
from raydl.window import Task
from raydl.worker import Worker


class BufferPool:
    """Buffers of one size, used again and again, up to ``limit`` bytes of them."""

    def __init__(self, size: int, limit: int) -> None:
        self._size = size
        self._limit = limit
        self._lock = threading.Lock()
        self._free: list[bytearray] = []
        self._out = 0

    @property
    def has_room(self) -> bool:
        """Whether one more buffer stays within the limit."""
        return (self._out + 1) * self._size <= self._limit

    def take(self) -> bytearray:
        """A buffer; whether it fits the limit is for the caller to ask first."""
        with self._lock:
            self._out += 1
            if self._free:
                return self._free.pop()
        return bytearray(self._size)

    def give(self, buffer: bytearray) -> None:
        """The buffer is free again."""
        with self._lock:
            self._out -= 1
            if (self._out + len(self._free) + 1) * self._size <= self._limit:
                self._free.append(buffer)


class BufferPayload:
    """The first ``size`` bytes of a buffer from the pool."""

    here = True

    def __init__(self, buffer: bytearray, size: int, pool: BufferPool) -> None:
        self._buffer, self._size, self._pool = buffer, size, pool

    def pull(self, done: Callable[[str], None]) -> None:
        """They are here already."""
        done("")

    def view(self) -> memoryview:
        """The bytes."""
        return memoryview(self._buffer)[: self._size]

    def release(self) -> None:
        """The buffer goes back to the pool."""
        self._pool.give(self._buffer)


class ThreadLane:
    """A lane that is a thread of this process."""

    node = HERE

    def __init__(self, worker: Worker, pool: BufferPool, post: Post, index: int) -> None:
        self._worker, self._pool, self._post = worker, pool, post
        self._tasks: queue.SimpleQueue[tuple[Task, bytearray] | None] = queue.SimpleQueue()
        self._received = 0
        self.thread = threading.Thread(target=self._run, name=f"raydl-lane-{index}", daemon=True)
        self.thread.start()

    def accepts(self, urgent: bool) -> bool:
        """Whether a buffer is free. The part the output waits for always gets one."""
        return urgent or self._pool.has_room

    def start(self, task: Task) -> None:
        """Hand the task to the thread."""
        self._tasks.put((task, self._pool.take()))

    def received(self) -> int:
        """Bytes of the task in flight so far."""
        return self._received

    def stop(self) -> None:
        """Let the thread end after what it is doing."""
        self._tasks.put(None)

    def _tally(self, count: int) -> None:
        self._received += count

    def _run(self) -> None:
        while (item := self._tasks.get()) is not None:
            task, buffer = item
            self._received = 0
            began = time.monotonic()
            try:
                got, failure = self._worker.fetch(
                    task.part.start, task.part.stop, memoryview(buffer), self._tally
                )
            except Exception as error:  # a bug must end the download, not hang it
                got, failure = 0, Failure("wrong", f"unexpected {type(error).__name__}: {error}")
            if got:
                payload = BufferPayload(buffer, got, self._pool)
            else:
                payload = None
                self._pool.give(buffer)
            self._received = 0
            self._post(Fetched(self, task, got, payload, failure, time.monotonic() - began))


class LocalFleet:
    """The lanes of this process."""

    def __init__(self, source: Source, lanes: int, pool: BufferPool, post: Post) -> None:
        self._worker = Worker(source)
        self._lanes = [ThreadLane(self._worker, pool, post, i) for i in range(lanes)]
        post(Joined(HERE, list(self._lanes)))

    def close(self) -> None:
        """End the threads; what they were reading is cut off."""
        for lane in self._lanes:
            lane.stop()
        self._worker.close()
        # A thread inside a name look-up or a connect, or one that waits for headers, cannot be
        # woken: it is a daemon and ends on its own, with the timeout.
        deadline = time.monotonic() + 0.5
        for lane in self._lanes:
            lane.thread.join(max(0.0, deadline - time.monotonic()))
