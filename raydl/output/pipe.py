"""A sink that hands the bytes to another thread, which reads them one chunk at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from raydl.model.coverage import Coverage
from raydl.model.digests import Proof, RunningDigest
from raydl.model.errors import CancelledError
from raydl.model.exithooks import before_exit
from raydl.model.waiting import next_item


class Pipe:
    """Has one chunk on its way at most: a slow reader slows down the writer.

    ``open`` is called by the download to begin, and makes this the sink.
    """

    note, left, in_order = "", 0, True

    def __init__(self) -> None:
        self.kept = Coverage()
        self._chunks: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._taken = threading.Semaphore(0)
        self._closed = threading.Event()
        self._digest = RunningDigest(None)
        self.is_proven = False
        self.written = 0
        before_exit(self)

    def open(self, proof: Proof | None) -> Pipe:
        """Begin; ``proof`` is the digest that the bytes must have."""
        self._digest, self.is_proven = RunningDigest(proof), proof is not None
        return self

    def write(self, data: memoryview, start: int) -> None:  # noqa: ARG002 - they come in order
        """Hand it over, and wait until it was used. Raises CancelledError when nobody reads."""
        hashed = self._digest.update(data)
        # A view of its own: the reader may still hold on to it when this one is released.
        self._chunks.put(data.toreadonly())
        self._taken.acquire()
        if hashed is not None:
            hashed.result()
        if self._closed.is_set():
            raise CancelledError("nobody reads any more")
        self.written += data.nbytes

    def finish(self) -> dict[str, str]:
        """Check the digest. Raises ChecksumError, with the bytes already out."""
        return self._digest.verify("what was read")

    def close(self) -> None:
        """The last chunk was written."""
        self._digest.close()

    def end(self) -> None:
        """Let the reader know that nothing more comes."""
        self._chunks.put(None)

    def cancel(self) -> None:
        """Nobody reads any more: let the writer know."""
        self._closed.set()
        self._taken.release()

    def __iter__(self) -> Iterator[memoryview]:
        """The chunks; each is good until the next is asked for."""
        while (data := next_item(self._chunks)) is not None:
            yield data
            self._taken.release()
