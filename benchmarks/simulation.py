"""The scheduler's surroundings in simulated time: a clock that is its inbox, bytes, a destination.

All of it runs in one thread, and time passes only when nothing else happens: what is said to happen
in a second has happened when the scheduler waits for that second, at once and always in the same
order. `scale.py` and, with `simnet.py`, `tuning.py` measure with it, and so do tests.
"""

from __future__ import annotations

import heapq
import itertools
import math
import queue
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from raydl.model.parts import Part

BEGIN = 1000.0


class World:
    """Clock and inbox in one: where no message waits, time passes, up to ``longest`` seconds.

    ``own_seconds`` is the processor time of what is simulated: none of the scheduler's.
    """

    def __init__(self, longest: float = math.inf) -> None:
        self.now = BEGIN
        self.turns = self.messages = 0
        self.own_seconds = 0.0
        self.settle: Callable[[], None] = lambda: None
        self._longest = longest
        self._messages: deque[Any] = deque()
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self.now - BEGIN

    def clock(self) -> float:
        return self.now

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        heapq.heappush(self._later, (self.now + seconds, next(self._order), call))

    def put(self, message: Any) -> None:
        self._messages.append(message)

    def empty(self) -> bool:
        return not self._messages

    def get(self, timeout: float) -> Any:
        began = time.perf_counter()
        self.turns += 1
        until = self.now + timeout
        assert until < BEGIN + self._longest, "it hangs"
        try:
            while True:
                self.settle()
                if self._messages:
                    return self.get_nowait()
                if not self._later or self._later[0][0] > until:
                    self.now = max(self.now, until)
                    raise queue.Empty
                self.step()
        finally:
            self.own_seconds += time.perf_counter() - began

    def get_nowait(self) -> Any:
        if not self._messages:
            raise queue.Empty
        self.messages += 1
        return self._messages.popleft()

    def step(self) -> None:
        """Do what is next."""
        at, _, call = heapq.heappop(self._later)
        self.now = max(self.now, at)
        call()

    def pass_by(self, seconds: float) -> None:
        """Do all that is to be done within so many seconds of what happened last."""
        while self._later and self._later[0][0] < self.now + seconds:
            self.step()


class Room:
    """Memory of a team; ``full`` of it there is none."""

    def __init__(self, full: bool = False) -> None:
        self.full = full

    def has_room(self, size: int, now: float) -> bool:
        return not self.full

    def took(self, size: int) -> None: ...
    def spared(self, size: int) -> None: ...
    def released(self, size: int, now: float) -> None: ...


class Nothing:
    """A payload that stands for bytes which do not matter."""

    here, ref = True, None

    def pull(self, done: Callable[[str], None]) -> None:
        done("")

    def view(self) -> memoryview:
        return memoryview(b"")

    def release(self) -> None: ...


class Anywhere:
    """A destination that takes bytes where they were fetched, as they come."""

    here = in_order = False

    def __init__(self) -> None:
        self.parts = 0
        self.error: BaseException | None = None

    def take(self, part: Part, payload: Nothing, node: str, done: Callable[[str], None]) -> None:
        self.parts += 1
        done("")

    def end(self, error: BaseException | None) -> None:
        self.error = error


MEMORY, NOTHING = Room(), Nothing()
