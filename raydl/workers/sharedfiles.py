"""A file that several hosts write at once, as each of them does: at its place, then to the disk.

Shipped to the nodes by value, with what it uses: nothing in here imports raydl inside a function.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from raydl.model.coverage import Coverage
from raydl.model.digests import Hash, new_hash
from raydl.model.errors import OutputError, TargetError
from raydl.output.oserrors import output_error
from raydl.output.ranges import fill, write_at
from raydl.settings.ownfile import open_own
from raydl.workers.nodefiles import LOOK_SECONDS, LOST, Answer, GetObject

FAULT = "OSError"
"""What this host alone has with the file: the class in the answer. Others may do better."""

READ_SIZE = 1 << 20
"""Bytes that are read at once: few enough to stay in a processor's cache."""

LIMIT_SECONDS = 30.0
"""For an object that lies on this very node."""

WORD_BYTES, PLACE_BYTES = 32, 64
"""Of a word in the meeting place, and from one to the next."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""It is the same disk for all."""

Piece = tuple[int, int, int | None]
"""A range ``[start, stop)``, and the crc32 of what was written there, where that is known."""


class _Open:
    """The file, as this host has it open.

    It is closed once nobody writes any more: else its number could be another file's by then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.wrote = Coverage()
        self._fd = open_own(path, os.O_RDWR)
        self._users, self._is_over = 1, False
        self.hash: Hash | None = None
        self.hashed = 0

    def write(self, start: int, data: memoryview) -> int:
        """Put the bytes at their place; returns the crc32 of what is in memory. Raises OSError."""
        crc, stop = zlib.crc32(data), start + data.nbytes
        with self._held() as fd, _full_disk_told(self.path):
            write_at(fd, start, data)
        with self.lock:
            self.wrote.add(start, stop)
        return crc

    def sync(self) -> None:
        """Bring what was written to the disk. Raises OSError."""
        # A file system may find out as late as here that it is full.
        with self._held() as fd, _full_disk_told(self.path):
            getattr(os, "fdatasync", os.fsync)(fd)

    def read_back(self, pieces: list[Piece], algorithm: str | None) -> tuple[int, str]:
        """See ``SharedFiles.read_back``."""
        position = pieces[0][0]
        if algorithm is not None:
            if not position:
                self.hash, self.hashed = new_hash(algorithm), 0
            if self.hash is None or self.hashed != position:
                raise LookupError("the digest of what comes before is not here")
        fd = open_own(self.path, os.O_RDONLY)
        try:
            for piece in pieces:
                if not self._compare(fd, *piece):
                    break
                position = piece[1]
        finally:
            os.close(fd)
        return position, self.hash.hexdigest() if self.hash is not None else ""

    def _compare(self, fd: int, start: int, stop: int, crc: int | None) -> bool:
        """Whether what is there is what was written; if so it goes into the digest."""
        with self.lock:
            mine = self.wrote.covers(start, stop)
        if mine and hasattr(os, "posix_fadvise"):
            # What this host has in its memory says nothing of what others get.
            os.posix_fadvise(fd, start, stop - start, os.POSIX_FADV_DONTNEED)
        # No byte goes into the digest before the whole piece is known to be right.
        found, copy = 0, self.hash.copy() if self.hash is not None else None
        buffer = memoryview(bytearray(min(READ_SIZE, stop - start)))
        for begin in range(start, stop, READ_SIZE):
            data = buffer[: stop - begin]
            fill(fd, begin, data, self.path)
            if crc is not None:
                found = zlib.crc32(data, found)
            if copy is not None:
                copy.update(data)
        if crc is not None and crc != found:
            return False
        self.hash, self.hashed = copy, stop
        return True

    def close(self) -> None:
        """Let go of it, and let nobody begin anything."""
        with self.lock:
            was_over, self._is_over = self._is_over, True
        if not was_over:
            self._leave()

    @contextlib.contextmanager
    def _held(self) -> Iterator[int]:
        with self.lock:
            if self._is_over:
                raise LookupError("the file was closed")
            self._users += 1
        try:
            yield self._fd
        finally:
            self._leave()

    def _leave(self) -> None:
        with self.lock:
            self._users -= 1
            is_last = not self._users
        if is_last:
            with contextlib.suppress(OSError):
                os.close(self._fd)


class SharedFiles:
    """The files that this host writes into, each known by a key of the driver's.

    Methods return plain data and raise nothing.
    """

    def __init__(self, get_object: GetObject) -> None:
        self._get_object = get_object
        self._files: dict[str, _Open] = {}

    def open(self, key: str, path: str) -> Answer:
        """Open the file, which is there."""
        return _answer(lambda: self._open(key, Path(path)))

    def meet(self, key: str, path: str, place: str, word: str, reply: str, number: int) -> Answer:
        """The same, once this host has shown that it sees the directory in which the driver made
        it: ``word`` is read at the meeting place, and ``reply`` left there, as the one with this
        number. The class LookupError says that the word is another one."""
        return _answer(lambda: self._meet(key, Path(path), Path(place), word, reply, number))

    def number_of(self, path: str) -> Answer:
        """The number of the file that this host sees there."""
        return _answer(lambda: Path(path).stat().st_ino)

    def write(self, key: str, start: int, stop: int, ref: list[Any]) -> Answer:
        """Put an object's bytes at their place; returns the crc32 of what is in memory.

        The reference comes within a list, so that Ray hands it on and does not wait for it.
        A LookupError's answer has the class ``LookupError``: the object is lost.
        """
        return _answer(lambda: self._write(key, start, stop, ref[0]))

    def put(self, key: str, start: int, data: memoryview) -> Answer:
        """The same with bytes of this process."""
        return _answer(lambda: self._file(key).write(start, data))

    def sync(self, key: str) -> Answer:
        """Bring what was written to the disk."""
        return _answer(lambda: self._file(key).sync())

    def read_back(self, key: str, pieces: list[Piece], algorithm: str | None) -> Answer:
        """Compare what is on the disk, piece by piece, up to one that has another crc32.

        Returns up to where all is right, and the digest (hex) of all up to there, where one is
        asked for. That goes on from the call before, and starts where the pieces do with the first
        byte; the class LookupError says that there is nothing to go on from.
        """
        return _answer(lambda: self._file(key).read_back(pieces, algorithm))

    def close(self, key: str) -> Answer:
        """Let go of the file."""
        file = self._files.pop(key, None)
        return _answer(lambda: file.close() if file is not None else None)

    def close_all(self) -> None:
        """Let go of all of them."""
        for key in list(self._files):
            self.close(key)

    def _file(self, key: str) -> _Open:
        file = self._files.get(key)
        if file is None:
            raise LookupError("the file is not open on this node")
        return file

    def _open(self, key: str, path: Path) -> None:
        self._files[key] = _Open(path)

    def _meet(self, key: str, path: Path, place: Path, word: str, reply: str, number: int) -> None:
        fd = open_own(place, os.O_RDWR)
        try:
            if os.pread(fd, WORD_BYTES, 0) != word.encode():
                raise LookupError("another file is there")
            os.pwrite(fd, reply.encode(), PLACE_BYTES * number)
            os.fsync(fd)
        finally:
            os.close(fd)
        self._open(key, path)

    def _write(self, key: str, start: int, stop: int, ref: Any) -> int:
        file, began = self._file(key), time.monotonic()
        while (data := self._get_object(ref, LOOK_SECONDS)) is None:
            if key not in self._files or time.monotonic() - began > LIMIT_SECONDS:
                raise LookupError("the bytes did not come")
        if data.nbytes != stop - start:
            raise LookupError(f"{data.nbytes} bytes came instead of {stop - start}")
        return file.write(start, data)


@contextlib.contextmanager
def _full_disk_told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise output_error(error, path, "run the same command again") from None
        raise


def _answer(call: Callable[[], Any]) -> Answer:
    try:
        return None, call()
    except OSError as error:
        return (FAULT, error.strerror or type(error).__name__, ""), None
    except TargetError as error:
        return (FAULT, error.message, ""), None
    except OutputError as error:
        return (type(error).__name__, error.message, error.hint), None
    except LookupError as error:
        return (LOST, str(error), ""), None
    except Exception as error:  # a bug must not keep the driver waiting
        return (type(error).__name__, f"unexpected {type(error).__name__}: {error}", ""), None
