"""A file on an origin as a file object: reads fetch byte ranges, and read ahead where that pays."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

from raydl.cluster.address import ClusterChoice
from raydl.download.transfer import transfer
from raydl.model import backoff
from raydl.model.coverage import Coverage
from raydl.model.errors import HttpError, OriginChangedError
from raydl.model.events import Emit
from raydl.model.exithooks import closed_at_exit
from raydl.model.failure import Failure
from raydl.model.weburl import redact
from raydl.origin import Origin
from raydl.origin.resolver import Located
from raydl.settings.options import Options

BLOCK = 256 << 10
"""Bytes that a read of its own fetches at least: what is read next is mostly near."""

SKIP = 4 << 20
"""A seek forward by no more than that reads on and drops what is between."""


LARGE = 16 << 20
"""A read of that much is worth the whole fleet, though it may fetch more than is wanted."""


class RemoteFile(io.RawIOBase):
    """The file's bytes, by position: ``read``, ``readinto``, ``readall``, ``seek``, ``tell``.

    ``size`` is in bytes, None if the origin does not say, and ``name`` is the origin's. A single
    read is one request. From the second sequential read on, and for reads of 16 MiB and more, the
    whole fleet reads ahead, ``max_memory`` bytes at most; a seek of more than 4 MiB ends that.
    Without byte ranges there is no seeking. Not thread-safe.
    """

    def __init__(self, found: Located, choice: ClusterChoice, options: Options, emit: Emit) -> None:
        super().__init__()
        self._found, self._remote = found, found.remote
        self._choice, self._options, self._emit = choice, options, emit
        self._position = 0
        self._left_behind: Any = None
        self._begin()
        self._block, self._block_start = memoryview(b""), 0
        self.size = found.remote.size
        self.name = found.remote.name
        closed_at_exit(self)

    def _begin(self) -> None:
        """With a connection of this process, and nothing read ahead."""
        self._process = os.getpid()
        self._origin = Origin(self._remote.access, self._options.timeout)
        self._ahead: contextlib.ExitStack | None = None
        self._chunks: Iterator[Any] = iter(())
        self._chunk, self._ahead_at = memoryview(b""), -1

    def __repr__(self) -> str:
        size = "size unknown" if self.size is None else f"{self.size:,} bytes"
        return f"<{type(self).__name__} {self.name}: {size}, {'closed' if self.closed else 'open'}>"

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Where the origin serves byte ranges."""
        return self._remote.ranges

    def tell(self) -> int:
        """The position of the next byte to read."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; nothing is fetched yet."""
        self._check_open()
        if not self._remote.ranges or self.size is None:
            raise io.UnsupportedOperation(f"no seeking: {self._remote.why_no_ranges}")
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}.get(whence)
        if base is None:
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        if base + offset < 0:
            raise ValueError("a position before the file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill ``buffer`` as far as there are bytes at hand, at least one; 0 at the end.

        Raises RaydlError; OriginChangedError when the file is not what it was when it was opened.
        """
        self._check_open()
        try:
            return self._read_into(memoryview(buffer).cast("B"))
        except OriginChangedError as error:
            error.hint = "open it again"
            raise
        except HttpError as error:
            error.url = redact(self._found.name)
            raise

    def close(self) -> None:
        """End connections and reading ahead."""
        if not self.closed:
            self._check_process()
            self._stop_ahead()
            self._origin.close()
        super().close()

    def abort(self) -> None:
        """End the read that is under way, from another thread, and let none follow."""
        self._origin.abort()

    def _read_into(self, into: memoryview) -> int:
        if not into.nbytes or (self.size is not None and self._position >= self.size):
            return 0
        inside = self._position - self._block_start
        if 0 <= inside < self._block.nbytes:
            data = self._block[inside:]
        else:
            goes_on = self._block.nbytes > 0 and inside == self._block.nbytes
            worth = goes_on or into.nbytes >= LARGE
            if worth or self._reaches_ahead() or not self._remote.ranges:
                data = self._read_ahead()
            else:
                self._stop_ahead()
                data = self._read_block(into.nbytes)
        done = min(into.nbytes, data.nbytes)
        into[:done] = data[:done]
        self._position += done
        return done

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the file is closed")
        self._check_process()

    def _check_process(self) -> None:
        """Begin anew in a process that was forked off: the threads are not there, and two that
        read from one connection get each other's bytes."""
        if self._process != os.getpid():
            # To be kept: whoever ends these waits for threads, or tells the origin.
            self._left_behind = self._ahead, self._chunks, self._chunk, self._origin
            self._begin()

    def _reaches_ahead(self) -> bool:
        if self._ahead is None:
            return False
        return 0 <= self._position - self._ahead_at <= self._chunk.nbytes + SKIP

    def _read_ahead(self) -> memoryview:
        """What follows at the position, from the fleet."""
        if not self._reaches_ahead():
            self._stop_ahead()
            self._start_ahead()
        while self._position >= self._ahead_at + self._chunk.nbytes:
            self._ahead_at += self._chunk.nbytes
            self._chunk.release()
            self._chunk = memoryview(b"")
            try:
                item = next(self._chunks, None)
            except BaseException:  # what is interrupted has ended: the next read starts again
                self._stop_ahead()
                raise
            if item is None:  # a stream whose size was not known
                self.size = self._ahead_at
                return self._chunk
            self._chunk = item[1]
        return self._chunk[self._position - self._ahead_at :]

    def _start_ahead(self) -> None:
        if not self._remote.ranges and self._position:
            raise io.UnsupportedOperation(f"no seeking: {self._remote.why_no_ranges}")
        self._block, self._block_start = memoryview(b""), 0
        stack = contextlib.ExitStack()
        fetching = stack.enter_context(
            transfer(
                self._found, self._choice, self._options, self._emit,
                kept=Coverage([(0, self._position)]),
            )
        )  # fmt: skip
        self._ahead, self._chunks = stack, fetching.chunks()
        self._chunk, self._ahead_at = memoryview(b""), self._position

    def _stop_ahead(self) -> None:
        if self._ahead is not None:
            self._chunk.release()
            self._chunk, self._chunks, self._ahead_at = memoryview(b""), iter(()), -1
            ahead, self._ahead = self._ahead, None
            ahead.close()

    def _read_block(self, wanted: int) -> memoryview:
        """The bytes at the position, by a request of our own."""
        assert self.size is not None
        start = self._position
        stop = min(self.size, start + max(wanted, BLOCK))
        buffer = bytearray(stop - start)
        source, got = self._found.source, 0
        for tries in count(1):
            view = memoryview(buffer)[got:]
            more, failure = self._origin.read_part(source, start + got, stop, view)
            got += more
            if failure is None and got == len(buffer):
                break
            if failure is not None and more == 0:
                if failure.kind == "no-range":
                    failure = Failure("changed", "the origin ignores byte ranges now")
                is_over = self._origin.aborted or tries > self._options.retries
                if is_over or not failure.retryable:
                    raise failure.to_error(f" ({tries} tries)" if tries > 1 else "")
                time.sleep(backoff.delay(tries, failure.retry_after))
        self._block, self._block_start = memoryview(buffer), start
        return self._block
