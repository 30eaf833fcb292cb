"""A list that is read in a thread of its own: who writes it may take his time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

AHEAD = 1000


class ReadAhead(Generic[T]):
    """Gives what ``values`` has, as far as it is there; at most AHEAD are read before.

    ``is_over`` once all was given. The thread ends with the list, or when it is closed, as soon as
    the list has given the next value.
    """

    def __init__(self, values: Iterator[T]) -> None:
        self._queue: queue.Queue[list[T] | BaseException | None] = queue.Queue(AHEAD)
        self._values, self._is_closed = values, False
        self.is_over = False
        threading.Thread(target=self._read, name="raydl-list", daemon=True).start()

    def take(self, most: int) -> Iterator[T]:
        """What is there, ``most`` of it. Raises what reading raises."""
        for _ in range(most if not self.is_over else 0):
            try:
                found = self._queue.get_nowait()
            except queue.Empty:
                return
            if found is None:
                self.is_over = True
                return
            if isinstance(found, BaseException):
                raise found
            yield from found

    def close(self) -> None:
        """Read no further."""
        self._is_closed = True
        while not self._queue.empty():
            self._queue.get_nowait()

    def _read(self) -> None:
        try:
            for value in self._values:
                self._queue.put([value])
                if self._is_closed:
                    return
        except BaseException as error:
            self._queue.put(error)
        self._queue.put(None)
