"""What follows when a request brings less than it was for."""

from __future__ import annotations

from raydl.model import backoff
from raydl.model.failure import Failure
from raydl.model.parts import Part
from raydl.scheduler.failurepolicy import Verdict
from raydl.scheduler.flights import Flight
from raydl.scheduler.nodes import Nodes
from raydl.scheduler.plan import cut_up


class Failures:
    """Finds out what is at fault, and has the bytes fetched all the same."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def failed(self, flight: Flight, failure: Failure, rest: Part | None, now: float) -> None:
        """``flight`` failed; ``rest`` is what has to be fetched all the same.

        Raises RaydlError where that ends the download.
        """
        job, node = flight.job, flight.node
        if job.mirror_choice.is_excused(flight, failure, job.flights.values()):
            if rest is not None:
                most = flight.lanes.group.sizes.proven
                # Whoever else has these bytes in flight would bring them beside the small parts.
                is_alone = not job.rivals(flight.part.start)
                is_cut = flight.given_up is not None and is_alone
                for each in cut_up(rest, most, job.plan.unit) if is_cut else (rest,):
                    job.window.put_back(each)
            return
        verdict = job.mirror_choice.judge(flight, failure, self._nodes.heard(job), now)
        if verdict is Verdict.RETRY and failure.kind != "piece":  # the lane has done what it can
            self._strike(flight, failure, now)
        if verdict is Verdict.REST_NODE and job.mirror_choice.is_aside(node):
            self._nodes.set_aside(flight.lanes)
        if rest is None:
            return
        if verdict is Verdict.END:
            job.mirror_choice.give_up(flight.mirror, failure.to_error())
        tries, delay = 0, 0.0
        is_new = verdict is Verdict.REST_NODE and job.retries.blamed(rest, node.name)
        if not is_new and verdict not in (Verdict.LEAVE_SOURCE, Verdict.END):
            mirrors = job.mirror_choice.mirrors
            tries, delay = job.retries.failed(
                rest, flight.mirror, mirrors, failure, may_join=mirrors.awaited > 0
            )
        job.ask_again(rest, failure, node.name, tries, delay, now)

    def _strike(self, flight: Flight, failure: Failure, now: float) -> None:
        """A lane that fails rests, so that one broken node does not use up the tries."""
        lanes, group = flight.lanes, flight.lanes.group
        lanes.strikes += 1
        # As many strikes as lanes may come from one event.
        tries = 1 + (lanes.strikes - 1) // group.tuner.lanes
        # A pause for everyone is the origin's: the lane may ask elsewhere meanwhile.
        is_held = flight.job.mirror_choice.hold(flight.mirror, failure, now)
        until = now + backoff.delay(tries, None if is_held else failure.retry_after)
        self._nodes.rest(lanes, until)
        if flight.job.mirror_choice.is_complaint(flight, failure, now):
            group.complained(now)
