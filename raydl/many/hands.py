"""Who fetches small files: threads of this process, or the worker of a node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from raydl.many.daemons import Daemons
from raydl.many.tempo import MOST_OF_NODE
from raydl.model.remote import Source
from raydl.workers.actor import ActorTeam
from raydl.workers.protocol import HERE, Payload
from raydl.workers.smallfiles import Outcome, SmallFiles, Wish
from raydl.workers.worker import Worker

CLOSE_SECONDS = 0.5

Done = Callable[["list[Outcome] | None", "Payload | None"], None]
"""Gets what became of each file, None where that is lost, and the bytes of those without a
target; from any thread."""


class Hand(Protocol):
    """Something that fetches batches of files, each in a lane."""

    node: str
    seconds: float
    """What a batch is to take: what ends within one is not heard of."""
    flying: int
    holds: int
    """Bytes of files that are in its memory, to be sent elsewhere from there."""

    def fetch(
        self, ticket: int, source: Source, wishes: Sequence[Wish], pace: float, done: Done
    ) -> None:
        """See ``SmallFiles.fetch``."""

    def cancel(self, ticket: int) -> None:
        """Cut off what has that ticket."""


class HereHand:
    """Threads of this process, as many as batches are under way at once. To be closed.

    ``put_ca`` are the certificates (PEM) that are trusted where files are to be sent to a bucket.
    """

    node = HERE
    seconds = 0.05

    def __init__(self, put_ca: str | None) -> None:
        self.flying = self.holds = 0
        self._put_ca = put_ca
        self._worker = Worker()
        self._files = SmallFiles(self._worker.lent)
        self._threads = Daemons("raydl-files", MOST_OF_NODE)

    def fetch(
        self, ticket: int, source: Source, wishes: Sequence[Wish], pace: float, done: Done
    ) -> None:
        """In one of the threads."""

        def work() -> None:
            kept = bytearray()
            done(self._files.fetch(source, ticket, wishes, pace, kept, self._put_ca), None)

        self._threads.call(work)

    def cancel(self, ticket: int) -> None:
        """Cut that batch off."""
        self._worker.cancel(ticket)

    def close(self) -> None:
        """Cut everything off."""
        self._worker.close()
        self._threads.close(CLOSE_SECONDS)  # what one has nearly done it does


class NodeHand:
    """The worker of a node. A call costs this process about a millisecond."""

    seconds = 0.25

    def __init__(self, team: ActorTeam, put_ca: str | None) -> None:
        self.node, self.team, self._put_ca = team.node, team, put_ca
        self.flying = self.holds = 0

    def fetch(
        self, ticket: int, source: Source, wishes: Sequence[Wish], pace: float, done: Done
    ) -> None:
        """With one call."""

        plain = [tuple(wish) for wish in wishes]
        self.team.small(ticket, source, plain, pace, self._put_ca, done)

    def cancel(self, ticket: int) -> None:
        """Cut that batch off."""
        self.team.cancel(ticket)
