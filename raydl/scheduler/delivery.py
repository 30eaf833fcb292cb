"""From what a lane brought to the destination's word that it is where it belongs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from raydl.model.events import PartFetched, PartWritten
from raydl.model.parts import Part
from raydl.scheduler.flights import Flight
from raydl.scheduler.inbox import Pulled, Taken
from raydl.scheduler.transit import Transit
from raydl.workers.protocol import Fetched, Memory, Payload

if TYPE_CHECKING:
    from raydl.scheduler.job import Job


class Delivery:
    """One file's bytes on their way: accepted, brought here where they are needed, handed over."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._lies_in: dict[int, tuple[Memory, int, str]] = {}
        """What each part takes of the memory that it lies in, and whose that is, until it is
        released."""
        self.transit = Transit()

    def accept(self, flight: Flight, message: Fetched, payload: Payload) -> Part | None:
        """Take what a request brought; returns the rest."""
        job, part, node = self._job, flight.part, flight.node.name
        rest = job.window.arrived(part, message.got, payload)
        here = part._replace(stop=part.start + message.got)
        self._lies_in[part.start] = (flight.node.team.memory, message.got, node)
        job.retries.fitted(part.start)
        job.mirror_choice.fitted(part.start)
        job.meter.arrived(node, message.got)
        job.emit(PartFetched(*here, node, round(message.seconds, 4), flight.origin))
        if not payload.here:
            self.transit.put(here, node, payload)
            if job.destination.here:
                self._pull(here.start, payload)
        return rest

    def hand_over(self) -> None:
        """Give the destination what it can take now."""
        window, destination = self._job.window, self._job.destination
        while (item := window.peek()) is not None:
            part, payload = item
            if destination.here and not payload.here:
                break
            self.transit.drop(part.start)
            window.pop(part.start)
            node = self._lies_in[part.start][2]
            destination.take(part, payload, node, partial(self._done, part, payload))

    def pulled(self, message: Pulled, now: float) -> None:
        """Bytes came here, or are lost."""
        part = self.transit.came(message.start, message.payload)
        if part is not None and message.problem:
            self._lost(part, message.payload, message.problem, now)

    def taken(self, message: Taken, now: float) -> None:
        """The destination has its part where it belongs, or lost it."""
        job, part = self._job, message.part
        self._release(part.start, message.payload, now)
        if message.problem:
            job.window.failed(part)
            job.meter.lost(part.size)
            job.lose(part, message.problem, "the destination", now)
        else:
            job.window.wrote(part)
            job.emit(PartWritten(*part))

    def lose(self, node: str, reason: str, now: float) -> None:
        """That node cannot be reached, and nothing that lies on it."""
        for part, payload in self.transit.lose(node):
            self._lost(part, payload, reason, now)

    def _lost(self, part: Part, payload: Payload, problem: str, now: float) -> None:
        """An object that a node had fetched is gone: fetch it again."""
        job = self._job
        self._release(part.start, payload, now)
        job.window.lost(part)
        job.meter.lost(part.size)
        job.lose(part, f"the fetched bytes are lost: {problem}", "the store", now)

    def drop(self, now: float) -> None:
        """Nobody wants what is left any more."""
        for memory, size, _ in self._lies_in.values():
            memory.released(size, now)
        self._lies_in.clear()
        self.transit = Transit()
        for _, payload in self._job.window.drop():
            payload.release()

    def _release(self, start: int, payload: Payload, now: float) -> None:
        memory, size, _ = self._lies_in.pop(start)
        memory.released(size, now)
        payload.release()

    def _done(self, part: Part, payload: Payload, problem: str) -> None:
        self._job.inbox.tell(self._job, Taken(part, payload, problem))

    def _pull(self, start: int, payload: Payload) -> None:
        def done(problem: str) -> None:
            self._job.inbox.tell(self._job, Pulled(start, payload, problem))

        payload.pull(done)
