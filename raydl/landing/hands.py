"""Who sends blocks to a bucket: a node's worker, or threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from raydl.landing.blocks import Held
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import Answer
from raydl.workers.protocol import HERE
from raydl.workers.puts import Puts

AT_ONCE = 6
"""PUTs that one hand has under way; a worker has two threads more, one of which hashes."""


class Hand(Protocol):
    """Something that can do what ``Puts`` can."""

    node: str

    def ask(
        self, method: str, *args: Any, of: Sequence[Held], limit: float, done: Callable[[Any], None]
    ) -> None:
        """Have that done with these bytes; ``done`` gets the Answer, from any thread."""

    def digest(self, key: str, at: int, done: Callable[[Answer], None]) -> None:
        """The running digest that it has computed of the first ``at`` bytes."""


class TeamHand:
    """The worker of a node."""

    def __init__(self, team: ActorTeam) -> None:
        self.node, self._team = team.node, team

    def ask(
        self, method: str, *args: Any, of: Sequence[Held], limit: float, done: Callable[[Any], None]
    ) -> None:
        """The objects come to its node, if they are not there."""
        refs = [held.payload.ref for held in of]
        self._team.send(method, *args, refs, [held.part.size for held in of], limit, done=done)

    def digest(self, key: str, at: int, done: Callable[[Answer], None]) -> None:
        """The running digest that it has computed."""
        self._team.send("digest", key, at, done=done)


class HereHand:
    """Threads of this process, for bytes that are here. To be closed."""

    node = HERE

    def __init__(self) -> None:
        self._puts = Puts(lambda views, _: list(views))
        self._threads = ThreadPoolExecutor(AT_ONCE + 1, "raydl-put")
        self._closed = threading.Event()

    def ask(
        self, method: str, *args: Any, of: Sequence[Held], limit: float, done: Callable[[Any], None]
    ) -> None:
        """In one of the threads."""
        views = [held.payload.view() for held in of]
        self._do(method, *args, views, [view.nbytes for view in views], limit, done=done)

    def digest(self, key: str, at: int, done: Callable[[Answer], None]) -> None:
        """The running digest."""
        self._do("digest", key, at, done=done)

    def close(self) -> None:
        """End what is under way; nothing reads the bytes any more after this."""
        self._closed.set()
        self._puts.rest()
        self._threads.shutdown(cancel_futures=True)

    def _do(self, method: str, *args: Any, done: Callable[[Any], None]) -> None:
        def call() -> None:
            if not self._closed.is_set():
                done(getattr(self._puts, method)(*args))

        self._threads.submit(call)
