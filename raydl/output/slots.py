"""Ranges of a file into which requests of this process write straight, each its own.

What comes without TLS goes from the socket into the file by splice(2), and never into this
process; all else through a buffer that stays in the processor's cache.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator

from raydl.model.coverage import Coverage
from raydl.model.errors import RaydlError
from raydl.model.failure import Failure
from raydl.origin import OriginFailure
from raydl.origin.body import Translated
from raydl.origin.wire import Answer
from raydl.output.ranges import write_at

CHUNK = 256 << 10
"""Bytes that are read and written at once."""

PIPE = 1 << 20
"""Bytes that a pipe holds, where the system allows that: see pipe(7)."""

CANCELLED = Failure("cancelled", "cancelled")


class Slots:
    """The ranges that are given out, and what has landed in them.

    ``begin`` is called before each write and returns the file's descriptor; ``failed`` gets the
    OSError or RaydlError with which the file refuses bytes. Any thread may call anything.
    """

    def __init__(
        self, begin: Callable[[], int], failed: Callable[[OSError | RaydlError], None]
    ) -> None:
        self.begin, self.failed = begin, failed
        self.pipes, self.turn = Pipes(), threading.Lock()
        self._lock = threading.Lock()
        self._live: set[Slot] = set()
        self._landed = Coverage()
        self._is_closed = False

    def take(self, start: int, stop: int) -> Slot | None:
        """The range ``[start, stop)``; None while another has a part of it."""
        with self._lock:
            if self._is_closed or any(slot.meets(start, stop) for slot in self._live):
                return None
            slot = Slot(self, start, stop)
            self._live.add(slot)
            return slot

    def leave(self, slot: Slot) -> None:
        """Nobody writes there any more; what is there stays."""
        with self._lock:
            self._live.discard(slot)
            self._landed.add(slot.start, slot.start + slot.done)

    @property
    def landed(self) -> Coverage:
        """All bytes that came so far and are right, those of requests in flight included."""
        with self._lock:
            landed = Coverage(self._landed)
            for slot in self._live:
                landed.add(slot.start, slot.start + slot.done)
            return landed

    def clear(self, start: int, stop: int) -> None:
        """See that nobody writes there: others bring these bytes."""
        with self._lock:
            slots = [slot for slot in self._live if slot.meets(start, stop)]
        _revoke(slots)

    def refuse(self, error: OSError | RaydlError) -> None:
        """The file took no bytes: nobody else tries."""
        with self._lock:
            self._is_closed = True
        self.failed(error)

    def close(self) -> None:
        """See that nobody writes anywhere."""
        with self._lock:
            self._is_closed = True
            slots = list(self._live)
        _revoke(slots)
        self.pipes.close()


class Slot:
    """The bytes ``[start, stop)`` of the file. ``done`` of them are there and right."""

    def __init__(self, slots: Slots, start: int, stop: int) -> None:
        self.start, self.stop, self.done = start, stop, 0
        self._slots = slots
        self._lock = threading.Lock()
        self._is_revoked = False
        self._held = bytearray()
        """What may turn out not to count at its end."""
        self._buffer: memoryview | None = None

    def meets(self, start: int, stop: int) -> bool:
        """Whether it has any of these bytes."""
        return self.start < stop and start < self.stop

    def take(self, body: Answer, position: int, amount: int, translated: Translated) -> int:
        """See ``origin.body.Place``."""
        if not body.has_length:
            return self._hold(body, amount, translated)
        if not body.can_splice or not self._slots.pipes.works:
            return self._copy(body, position, amount, translated)
        with translated():
            ahead = body.read_ahead(amount)
        if ahead:
            self._write(position, memoryview(ahead))
            return len(ahead)
        while True:
            with self._slots.pipes.lent() as lent:  # not while it waits: a user may have few
                if lent is None:
                    return self._copy(body, position, amount, translated)
                count = self._splice(body, position, amount, lent, translated)
            if count is not None:
                return count
            with translated():
                body.wait()

    def _splice(
        self,
        body: Answer,
        position: int,
        amount: int,
        lent: tuple[int, int],
        translated: Translated,
    ) -> int | None:
        end, pipe = lent
        with translated():
            count = body.splice(pipe, amount)
        if count:  # else nothing may begin: what is there of another version stays
            with self._writing() as fd:
                self._slots.pipes.empty_into(fd, self.start + position, end, count)
                self.done = position + count
        return count

    def settle(self, got: int) -> int:
        """The request ended, and ``got`` bytes of it are right; how many of these are here."""
        if self._held:
            # Not those of an answer that turned out not to fit.
            with contextlib.suppress(OriginFailure):
                self._write(0, memoryview(self._held)[:got])
            self._held = bytearray()
        self._buffer = None
        self.done = min(self.done, got)
        self.stop = self.start + self.done  # the rest may be another request's
        return self.done

    def leave(self) -> None:
        """It is of no more use."""
        self._slots.leave(self)

    def revoke(self) -> None:
        """Let no more writes begin."""
        self._is_revoked = True

    def wait(self) -> None:
        """Wait for the write that is under way."""
        with self._lock:
            pass

    def _copy(self, body: Answer, position: int, amount: int, translated: Translated) -> int:
        if self._buffer is None:
            self._buffer = memoryview(bytearray(min(CHUNK, self.stop - self.start)))
        with translated():
            count = body.receive(self._buffer[:amount])
        self._write(position, self._buffer[:count])
        return count

    def _hold(self, body: Answer, amount: int, translated: Translated) -> int:
        with translated():
            data = body.read(min(amount, CHUNK))
        self._held += data
        return len(data)

    def _write(self, position: int, data: memoryview) -> None:
        if not data.nbytes:
            return
        with self._writing() as fd:
            write_at(fd, self.start + position, data)
            self.done = position + data.nbytes

    @contextlib.contextmanager
    def _writing(self) -> Iterator[int]:
        with self._lock:
            try:
                # The system lets one thread write into a file at a time, and others spin meanwhile.
                with self._slots.turn:
                    if self._is_revoked:
                        raise OriginFailure(CANCELLED)
                    yield self._slots.begin()
            except (OSError, RaydlError) as error:
                self._is_revoked = True
                self._slots.refuse(error)
                raise OriginFailure(CANCELLED) from None


def _revoke(slots: list[Slot]) -> None:
    """See that nobody writes there: waits for one write, not for those that wait for their turn."""
    for slot in slots:
        slot.revoke()
    for slot in slots:
        slot.wait()


class Pipes:
    """Empty pipes, each for one thread at a time. ``works``: whether there are any, and the file
    takes what is in one; some file systems do not."""

    def __init__(self) -> None:
        self.works = hasattr(os, "splice")
        self._lock = threading.Lock()
        self._idle: list[tuple[int, int]] = []
        self._is_closed = False

    @contextlib.contextmanager
    def lent(self) -> Iterator[tuple[int, int] | None]:
        """One, as its end to read from and its end to write to; it is to be emptied. None where
        the system has no more."""
        with self._lock:
            pipe = self._idle.pop() if self._idle else None
        if pipe is None:
            with contextlib.suppress(OSError):
                pipe = _make_pipe()
        if pipe is None:
            self.works = False
            yield None
            return
        try:
            yield pipe
        except BaseException:  # with something in it, perhaps
            _close(pipe)
            raise
        with self._lock:
            if not self._is_closed:
                self._idle.append(pipe)
                return
        _close(pipe)

    def empty_into(self, fd: int, at: int, end: int, count: int) -> None:
        """Have ``count`` bytes written to a file from ``at`` on. Raises OSError."""
        while count:
            if self.works:
                try:
                    moved = os.splice(end, fd, count, offset_dst=at, flags=os.SPLICE_F_MOVE)
                except OSError as error:
                    if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                        raise
                    self.works = False
                    continue
            else:
                data = os.read(end, min(count, CHUNK))
                write_at(fd, at, memoryview(data))
                moved = len(data)
            at, count = at + moved, count - moved

    def close(self) -> None:
        """Let go of those that nobody has."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for pipe in idle:
            _close(pipe)


def _make_pipe() -> tuple[int, int]:
    import fcntl  # not everywhere, and where it is not, nothing is spliced

    end, pipe = os.pipe()
    with contextlib.suppress(OSError):  # a user may have few large ones
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)  # type: ignore[attr-defined,unused-ignore]
    return end, pipe


def _close(pipe: tuple[int, int]) -> None:
    for end in pipe:
        os.close(end)
