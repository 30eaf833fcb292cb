"""What a request brought: taken over, called off elsewhere, or asked for again."""

from __future__ import annotations

from raydl.scheduler.dispatcher import Dispatcher
from raydl.scheduler.failures import Failures
from raydl.scheduler.flights import Flight
from raydl.scheduler.job import Job
from raydl.scheduler.mirrorchoice import After
from raydl.scheduler.nodes import Nodes
from raydl.workers.protocol import Fetched, Left


class Arrivals:
    """Handles the end of every request, well or not."""

    def __init__(self, nodes: Nodes, dispatcher: Dispatcher) -> None:
        self._nodes, self._dispatcher = nodes, dispatcher
        self._failures = Failures(nodes)

    def fetched(self, flight: Flight, message: Fetched, now: float) -> None:
        """A request ended. Raises RaydlError where that ends its download."""
        job, part, got, payload = flight.job, flight.part, message.got, message.payload
        failure = flight.given_up or message.failure
        job.throttle.spared(part.size - got)
        if got and not job.is_over:
            if failure is None:
                is_usual = flight.lanes.group.sizes.came(flight, got, message.seconds, now)
                self._nodes.delivered(flight.lanes, got, message.seconds * is_usual, now)
                self._after_refusal(flight, now)
            job.mirror_choice.delivered(flight, got, message.seconds, now)
        self._dispatcher.land(flight, got)
        is_whole = got == part.size and not flight.moot
        rest = part if job.is_needed(flight) else None
        if payload is not None and not job.is_over and (is_whole or rest is not None):
            rest = job.delivery.accept(flight, message, payload)
            self._call_off_rivals(job, part.start)
        else:
            job.meter.wasted += got
            if payload is not None:
                payload.release()
                flight.node.team.memory.released(got, now)
        if job.is_over:
            return
        if failure is not None and not flight.moot:
            self._failures.failed(flight, failure, rest, now)
        elif rest is not None:
            # The origin may send less than asked (RFC 9110, section 15.3.7).
            job.window.put_back(rest)

    def lost(self, flight: Flight, message: Left, now: float) -> None:
        """Its node is gone, with the request. Raises RaydlError where that ends its download."""
        job, name = flight.job, message.node
        job.throttle.spared(flight.part.size)
        self._dispatcher.land(flight, 0)
        if not job.is_over and job.is_needed(flight):
            job.lose(flight.part, f"{name} is lost: {message.reason}", name, now)

    def _after_refusal(self, flight: Flight, now: float) -> None:
        """Ask for less where connections were refused by a busy origin; where it was gone, and is
        there again, let nobody wait for the time that was meant for that."""
        job, group = flight.job, flight.lanes.group
        match job.mirror_choice.after_refusal(flight):
            case After.TOO_MANY:
                group.complained(now)
            case After.BACK:
                job.window.hurry(now)
                group.end_rests()

    def _call_off_rivals(self, job: Job, start: int) -> None:
        """The bytes at ``start`` are there: any other request for them can stop."""
        job.window.withdraw(start)
        for rival in job.rivals(start):
            call_off(rival)


def call_off(flight: Flight) -> None:
    """Nobody wants these bytes any more."""
    if not flight.moot:
        flight.moot = True
        flight.job.coming -= flight.got
        flight.node.team.cancel(flight.ticket)
