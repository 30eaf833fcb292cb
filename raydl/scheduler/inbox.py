"""Where lanes, fleets and destinations post what happened, for the scheduler to read."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.scheduler.mirrors import Mirror
from raydl.workers.protocol import Message, Payload

if TYPE_CHECKING:
    from raydl.scheduler.job import Job

THREADS = ""
"""The pool of this process's own threads; each cluster is a pool of its own."""


class Began(NamedTuple):
    """A download wants its file."""


class Closed(NamedTuple):
    """A download is over for whoever began it; ``done`` is called when nothing is left of it."""

    done: Callable[[], None]


class Held(NamedTuple):
    """Nothing is to be asked for while ``paused``."""

    paused: bool


class Pulled(NamedTuple):
    """The payload of the bytes at ``start`` is here, or lost where ``problem`` says so."""

    start: int
    payload: Payload
    problem: str


class Taken(NamedTuple):
    """The destination has these bytes where they belong, or lost them where ``problem`` says so."""

    part: Part
    payload: Payload
    problem: str


class Resolved(NamedTuple):
    """A mirror was asked again where the file is: its answer, or why there is none.

    An ``error`` that is no RaydlError has nothing to do with the mirror: it ends the download.
    """

    mirror: Mirror
    source: Source | None
    error: BaseException | None


class Searched(NamedTuple):
    """A mirror was looked at: it joins, or, where it is None, does not; ``note`` is for people."""

    mirror: Mirror | None
    note: str


class Gone(NamedTuple):
    """A pool is closed."""


JobMessage = Began | Closed | Held | Pulled | Taken | Resolved | Searched


class Inbox:
    """Where lanes, fleets and destinations post what happened, from any thread."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[tuple[Job, JobMessage] | tuple[str, Message | Gone]] = (
            queue.SimpleQueue()
        )

    def post(self, message: Message | Gone, pool: str = THREADS) -> None:
        """Leave what a lane or a fleet has to say."""
        self.queue.put((pool, message))

    def tell(self, job: Job, message: JobMessage) -> None:
        """Leave what concerns one download."""
        self.queue.put((job, message))
