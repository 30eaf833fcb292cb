"""Which pieces of a file on this machine's disk are right: read by several threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from raydl.model.coverage import Coverage
from raydl.model.digests import new_hash
from raydl.model.pieces import Pieces

THREADS = 4
RUN_BYTES = 8 << 20
"""What a thread reads in a turn, at least one piece."""

BLOCK = 1 << 20

Check = Callable[[], None]


def right_pieces(fd: int, pieces: Pieces, check: Check) -> Coverage:
    """The bytes of those that are; ``check`` is called now and then, and may end it.

    Raises OSError.
    """
    return _scan(pieces, Coverage(), partial(_is_right, fd, pieces), check)


def copy_right(fd: int, to: int, pieces: Pieces, there: Coverage, check: Check) -> Coverage:
    """Copy those that are right and not ``there``, each to its place in another file.

    Returns the bytes that are there then. Raises OSError. Each thread has one piece in memory.
    """
    return _scan(pieces, there, partial(_copy, fd, to, pieces), check)


def _scan(pieces: Pieces, there: Coverage, look: Callable[[int], bool], check: Check) -> Coverage:
    found = Coverage(there)
    step = max(1, RUN_BYTES // pieces.length)

    def run(first: int) -> list[tuple[int, int]]:
        stop = min(first + step, pieces.count)
        bounds = ((number, pieces.bounds(number)) for number in range(first, stop))
        return [at for number, at in bounds if not there.covers(*at) and look(number)]

    threads = ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1), "raydl-pieces")
    try:
        for intervals in threads.map(run, range(0, pieces.count, step)):
            check()
            for start, stop in intervals:
                found.add(start, stop)
    finally:
        threads.shutdown(cancel_futures=True)
    return found


def _blocks(fd: int, start: int, stop: int) -> Iterator[bytes]:
    while start < stop:
        data = os.pread(fd, min(BLOCK, stop - start), start)
        if not data:
            return
        yield data
        start += len(data)


def _is_right(fd: int, pieces: Pieces, number: int) -> bool:
    found = new_hash(pieces.algorithm)
    for data in _blocks(fd, *pieces.bounds(number)):
        found.update(memoryview(data))
    return bytes.fromhex(found.hexdigest()) == pieces.digest(number)


def _copy(fd: int, to: int, pieces: Pieces, number: int) -> bool:
    start, stop = pieces.bounds(number)
    data = memoryview(b"".join(_blocks(fd, start, stop)))
    if data.nbytes != stop - start or not pieces.is_right(number, data):
        return False
    while data.nbytes:
        count = os.pwrite(to, data, start)
        data, start = data[count:], start + count
    return True
