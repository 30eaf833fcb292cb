"""What this process has open."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PATIENCE = 10


def open_fds() -> set[tuple[str, str]]:
    """Each descriptor with what it leads to: a number alone may be another's a moment later."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that lists them is closed by now
            found.add((fd, os.readlink(f"/proc/self/fd/{fd}")))
    return found


@contextmanager
def nothing_stays_open() -> Iterator[None]:
    """What is opened meanwhile is closed.

    A server within this process closes its end of a connection a little later. What others had
    open before may be closed meanwhile.
    """
    before = open_fds()
    yield
    end = time.monotonic() + PATIENCE
    while left := open_fds() - before:
        assert time.monotonic() < end, left
        time.sleep(0.005)
