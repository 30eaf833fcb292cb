"""What one machine writes into a shared file: on its way, in its memory, on the disk."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

from raydl.model.parts import Part
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import Answer
from raydl.workers.protocol import HERE, Payload
from raydl.workers.sharedfiles import FAULT, SharedFiles

SYNC_SECONDS = 0.5
SYNC_BYTES = 64 << 20
"""What is written goes to the disk after so long, or once it is so much."""

STUCK_SECONDS = 120.0
"""A file system that lets a node wait for so long is none for it."""

MEET_SECONDS = 15.0
"""The same for a directory that the node has yet to see."""

THREADS = 4

Done = Callable[[Answer], None]


class Item:
    """Bytes that were fetched and are to be written; ``done`` is the scheduler's."""

    def __init__(self, part: Part, payload: Payload, done: Callable[[str], None]) -> None:
        self.part, self.payload, self.done = part, payload, done
        self.crc = 0


class Hand(Protocol):
    """Who does it. ``done`` is called on the download's thread."""

    name: str

    def write(self, item: Item, done: Done) -> None:
        """Put the bytes at their place."""

    def call(self, method: str, *args: Any, done: Done) -> None:
        """Something else of ``SharedFiles``."""


class NodeHand:
    """A node's worker."""

    def __init__(self, team: ActorTeam, key: str, post: Callable[[Callable[[], None]], None]):
        self.name = team.node
        self._team, self._key, self._post = team, key, post

    def write(self, item: Item, done: Done) -> None:
        """From the node's own object store, without a copy."""
        self.call("write", item.part.start, item.part.stop, [item.payload.ref], done=done)

    def call(self, method: str, *args: Any, done: Done) -> None:
        """Something else of ``SharedFiles``."""
        self._team.shared(
            method, self._key, *args, done=lambda answer: self._post(partial(done, answer))
        )


class OwnHand:
    """Threads of this process."""

    name = HERE

    def __init__(self, key: str, post: Callable[[Callable[[], None]], None]) -> None:
        self._key, self._post = key, post
        self._files = SharedFiles(_no_object)
        self._threads = ThreadPoolExecutor(THREADS, "raydl-write")

    def write(self, item: Item, done: Done) -> None:
        """From this process's memory."""

        self.call("put", item.part.start, item.payload.view(), done=done)

    def call(self, method: str, *args: Any, done: Done) -> None:
        """Something else of ``SharedFiles``."""

        def work() -> None:
            answer = getattr(self._files, method)(self._key, *args)
            self._post(partial(done, answer))

        self._threads.submit(work)

    def close(self) -> None:
        """End what is under way, and let go of the file."""
        self._threads.shutdown(cancel_futures=True)
        self._files.close_all()


class Writer:
    """What one machine has to write, in the order write, sync, ``safe``.

    It waits until the machine is known to see the file. ``failed`` gets what was not written, or
    not brought to the disk, and the error of an ``Answer``.
    """

    def __init__(
        self,
        hand: Hand,
        safe: Callable[[Item], None],
        failed: Callable[[Writer, list[Item], tuple[str, str, str]], None],
        clock: Callable[[], float],
    ) -> None:
        self.hand = hand
        self.is_open = self.is_blind = False
        self.bytes = 0
        self._safe, self._failed, self._clock = safe, failed, clock
        self._waiting: list[Item] = []
        self._going: dict[Item, float] = {}
        """Since when."""
        self._written: list[Item] = []
        self._written_at = math.inf
        self._syncing: list[Item] = []
        self._syncing_since = math.inf
        self._made_at = clock()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be written."""
        return not (self._waiting or self._going)

    @property
    def is_settled(self) -> bool:
        """Whether all that it wrote is on the disk."""
        return not (self._going or self._written or self._syncing)

    def open(self) -> None:
        """The machine sees the file."""
        self.is_open = True
        waiting, self._waiting = self._waiting, []
        for item in waiting:
            self.write(item)

    def write(self, item: Item) -> None:
        """Have these bytes written."""
        if not self.is_open:
            self._waiting.append(item)
            return
        self._going[item] = self._clock()
        self.bytes += item.part.size
        self.hand.write(item, partial(self._wrote, item))

    def look(self, now: float, is_last: bool) -> None:
        """Have what is written brought to the disk, if that is due."""
        is_due = now - self._written_at >= SYNC_SECONDS or is_last
        size = sum(item.part.size for item in self._written)
        if self._written and not self._syncing and (is_due or size >= SYNC_BYTES):
            self._syncing, self._written = self._written, []
            self._syncing_since, self._written_at = now, math.inf
            self.hand.call("sync", done=partial(self._synced, self._syncing))

    def is_stuck(self, now: float) -> bool:
        """Whether it has waited too long for its file system."""
        if not self.is_open:
            return now - self._made_at > MEET_SECONDS
        since = min([*list(self._going.values())[:1], self._syncing_since])
        return now - since > STUCK_SECONDS

    def take_all(self) -> list[Item]:
        """What is not on the disk; nothing that is still said of it counts."""
        items = [*self._waiting, *self._going, *self._written, *self._syncing]
        self._waiting, self._written, self._syncing = [], [], []
        self._going, self._syncing_since, self._written_at = {}, math.inf, math.inf
        return items

    def _wrote(self, item: Item, answer: Answer) -> None:
        if self._going.pop(item, None) is None:
            return
        error, crc = answer
        if error is not None:
            self._failed(self, [item], error)
            return
        item.crc = crc
        self._written_at = min(self._written_at, self._clock())
        self._written.append(item)

    def _synced(self, items: list[Item], answer: Answer) -> None:
        if self._syncing is not items:
            return
        self._syncing, self._syncing_since = [], math.inf
        error, _ = answer
        if error is not None:
            # What was written since is in doubt, too: a system tells of lost bytes once.
            items += self._written
            self._written, self._written_at = [], math.inf
            self._failed(self, items, error)
            return
        for item in items:
            self._safe(item)


STUCK = (FAULT, "its file system does not answer", "")


def _no_object(ref: Any, seconds: float) -> memoryview | None:  # noqa: ARG001
    raise LookupError("this process takes nothing out of the object store")
