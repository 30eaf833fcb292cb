"""Many files that stay in the object stores of the nodes that fetched them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

from raydl.cluster.address import choose
from raydl.download.monitoring import REFS
from raydl.download.piecechoice import must_have_size, usable_pieces
from raydl.download.transfer import Transfer, transfer
from raydl.landing.desk import Desk
from raydl.many.hands import Hand
from raydl.many.host import Task
from raydl.many.landing import Came, Lost, Saved
from raydl.many.large import Job
from raydl.model.errors import RangesIgnoredError, UsageError
from raydl.model.events import Emit
from raydl.model.item import Item
from raydl.model.parts import Piece
from raydl.model.waiting import next_item
from raydl.origin.resolver import resolve
from raydl.settings.options import Options
from raydl.workers.actor import ActorTeam
from raydl.workers.protocol import Payload
from raydl.workers.smallfiles import MOST_KEPT, Brought, Wish

ROOM_SECONDS = 0.1


class FileRefs(NamedTuple):
    """A file as Ray objects: its bytes are those of ``pieces``, one after the other."""

    item: Item
    pieces: list[Piece]


class Deliveries:
    """What came and was not taken yet; iterating takes it, until ``end``.

    More than ``limit`` bytes do not wait, but for those that were under way. From any thread.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._lock = limit, threading.Lock()
        self._queue: queue.SimpleQueue[tuple[FileRefs, int] | None] = queue.SimpleQueue()
        self._waiting = 0
        self.taken: Callable[[], None] = lambda: None
        """Called when something was taken."""

    @property
    def has_room(self) -> bool:
        """Whether more may be fetched."""
        return not self._waiting or self._waiting + MOST_KEPT <= self._limit

    def put(self, file: FileRefs, size: int) -> None:
        """It came."""
        with self._lock:
            self._waiting += size
        self._queue.put((file, size))

    def end(self) -> None:
        """Nothing more comes."""
        self._queue.put(None)

    def __iter__(self) -> Iterator[FileRefs]:
        while (delivered := next_item(self._queue)) is not None:
            file, size = delivered
            del delivered
            with self._lock:
                self._waiting -= size
            self.taken()
            yield file
            del file  # who takes it has it alone


class InStore:
    """The destination: all stays where it is, and is told."""

    kind = REFS
    is_for_nodes = True
    put_ca: str | None = None
    sorting = 0
    arrivals: Sequence[str] = ()
    missing: ClassVar[dict[str, str]] = {}

    def __init__(self, desk: Desk, options: Options, emit: Emit, deliveries: Deliveries) -> None:
        self._options, self._emit, self._deliveries = options, emit, deliveries
        deliveries.taken = lambda: desk.post(_nothing)

    def joined(self, team: ActorTeam) -> None:
        """Nothing: it fetches, and that is all."""

    def left(self, node: str, reason: str) -> None:
        """Nothing, either: objects that are lost are told by Ray."""

    def sort(self, tasks: list[Task], wanted: Callable[[list[Task]], None]) -> None:
        """See ``Landing``."""
        wanted(tasks)

    def writes(self, hand: Hand) -> bool:  # noqa: ARG002 - as others need it
        """See ``Landing``."""
        return False

    def wish(self, task: Task, hand: Hand) -> Wish:  # noqa: ARG002
        """See ``Landing``."""
        return task.wish(None, self._options.origin_digest, self._options.overwrite)

    @property
    def has_room(self) -> bool:
        """See ``Landing``."""
        return self._deliveries.has_room

    def save(
        self,
        payload: Payload | None,
        came: Came,
        node: str,
        saved: Saved,
        lost: Lost,  # noqa: ARG002
    ) -> None:
        """See ``Landing``."""
        at = 0
        for task, brought in came:
            start, at = at, at + brought.size
            pieces = [] if payload is None or start == at else [Piece(payload.ref, start, at)]
            self._deliveries.put(FileRefs(task.listed, pieces), brought.size)
            saved(task, brought, node, None)

    def fetch_large(self, job: Job, options: Options) -> Brought:
        """See ``Landing``."""
        while not self._deliveries.has_room:
            job.control.wait(ROOM_SECONDS)
        item, choice, began = job.task.listed, choose("auto"), time.monotonic()
        if item.digest is not None and item.pieces is None:
            raise UsageError(
                f"{job.task.path} is too large to be held against a digest where nobody reads it",
                "raydl.fetch_many compares it",
            )
        found = resolve(job.url, options, self._emit, job.control)
        remote = found.remote
        must_have_size(remote.size, item)
        if not remote.ranges or remote.size is None:
            raise RangesIgnoredError(f"no parts for the nodes: {remote.why_no_ranges}")
        compared = usable_pieces(item, remote, None, choice, options, False, self._emit)
        found, pieces = replace(found, pieces=compared), []
        with transfer(found, choice, options, self._emit, stay=True) as fetching:
            assert isinstance(fetching, Transfer)
            job.control.watch(fetching.cancel, fetching.hold)
            for part, payload in fetching.payloads():
                pieces.append(Piece(payload.ref, 0, part.stop - part.start))
                job.fetched = part.stop
        self._deliveries.put(FileRefs(item, pieces), remote.size)
        seconds = time.monotonic() - began
        return Brought(remote.size, 0, remote.name, None, None, "", "", seconds)

    def note(self, task: Task, brought: Brought) -> None:
        """Nothing: the next run knows nothing of it."""

    def forget(self, task: Task) -> None:
        """Nothing, either."""

    def same(self, task: Task) -> None:
        """See ``Landing``: nothing is asked for a change."""

    def is_there(self, task: Task) -> bool:  # noqa: ARG002 - as others need it
        """See ``Landing``."""
        return False

    def turn(self, now: float) -> None:
        """Nothing is due."""

    def is_over(self, now: float) -> bool:  # noqa: ARG002 - as others need it
        """See ``Landing``."""
        return True

    def close(self) -> None:
        """Nothing is held."""


def _nothing() -> None:
    """There may be room now."""
