"""Where lanes, fleets and the consumer post what happened, for the coordinator to read."""

from __future__ import annotations

import queue
from typing import NamedTuple

from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.scheduler.mirrors import Mirror
from raydl.workers.lane import Message, Payload


class Pulled(NamedTuple):
    """The payload of the bytes at ``start`` is here, or lost where ``problem`` says so."""

    start: int
    payload: Payload
    problem: str


class Wrote(NamedTuple):
    """The output has taken these bytes."""

    part: Part
    payload: Payload


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


class Held(NamedTuple):
    """Nothing is to be asked for while ``paused``."""

    paused: bool


class Closed(NamedTuple):
    """No more parts are to be given out."""


class Inbox:
    """Where lanes, fleets and the consumer post what happened."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[
            Message | Pulled | Wrote | Resolved | Searched | Held | Closed
        ] = queue.SimpleQueue()

    def post(self, message: Message) -> None:
        """Leave a message; from any thread."""
        self.queue.put(message)
