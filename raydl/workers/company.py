"""How many downloads this process has at the moment: they share its budgets evenly."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_count = [0]


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Count one more active download while the context is open."""
    with _lock:
        _count[0] += 1
    try:
        yield
    finally:
        with _lock:
            _count[0] -= 1


def size() -> int:
    """How many downloads are active; at least 1."""
    return max(1, _count[0])
