"""Waiting on a queue so that Ctrl-C always gets through."""

from __future__ import annotations

import queue
from typing import TypeVar

T = TypeVar("T")

CHECK_SECONDS = 0.5


def next_item(source: queue.SimpleQueue[T]) -> T:
    """The next item, however long it takes.

    A signal that arrives just before a C call blocks does not wake it, and its handler runs only
    when the call returns: so no call waits for ever.
    """
    while True:
        try:
            return source.get(timeout=CHECK_SECONDS)
        except queue.Empty:
            continue
