"""Cancels what still runs before an interpreter that ends waits for its threads."""

from __future__ import annotations

import atexit
import contextlib
import threading
import weakref
from typing import Protocol


class Endable(Protocol):
    """An object whose threads wait (for bytes, a reader, the end) and must be cancelled at exit."""

    def cancel(self) -> None:
        """Let them end; without waiting."""


_open: weakref.WeakSet[Endable] = weakref.WeakSet()


def before_exit(endable: Endable) -> None:
    """Cancel it when the program ends, should it still be there."""
    _open.add(endable)


def _cancel_all() -> None:
    for endable in list(_open):
        with contextlib.suppress(Exception):  # the others must end, too
            endable.cancel()


# Threads of an interpreter that ends are waited for before atexit's functions are called; this
# hook, which concurrent.futures has for the same reason, comes before that.
getattr(threading, "_register_atexit", atexit.register)(_cancel_all)
