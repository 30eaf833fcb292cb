"""Cancels what still runs before an interpreter that ends waits for its threads, and closes after
that what is still open.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import weakref
from typing import Protocol, TypeVar


class Endable(Protocol):
    """An object whose threads wait (for bytes, a reader, the end) and must be cancelled at exit."""

    def cancel(self) -> None:
        """Let them end; without waiting."""


class Closeable(Protocol):
    """An object that ends a download when it is closed, or dropped."""

    def close(self) -> None:
        """End it, and wait for that; nothing if it has ended."""


C = TypeVar("C", bound=Closeable)

_running: weakref.WeakSet[Endable] = weakref.WeakSet()
_open: weakref.WeakSet[Closeable] = weakref.WeakSet()


def before_exit(endable: Endable) -> None:
    """Cancel it when the program ends, should it still be there."""
    _running.add(endable)


def closed_at_exit(closeable: C) -> C:
    """The same, which is closed when the program ends, should it still be there.

    An interpreter drops what is left when its daemon threads have stopped for good, wherever they
    were: to close it then is to wait for ever for a lock that one of them holds.
    """
    _open.add(closeable)
    return closeable


def _cancel_all() -> None:
    for endable in list(_running):
        with contextlib.suppress(Exception):  # the others must end, too
            endable.cancel()


def _close_all() -> None:
    for closeable in list(_open):
        with contextlib.suppress(Exception, KeyboardInterrupt):  # the same
            closeable.close()


# Threads of an interpreter that ends are waited for before atexit's functions are called; this
# hook, which concurrent.futures has for the same reason, comes before that.
getattr(threading, "_register_atexit", atexit.register)(_cancel_all)
# Those threads may read what is open, until they have ended.
atexit.register(_close_all)
