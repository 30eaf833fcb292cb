"""What is decided a few times a second, by how nodes and downloads are doing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from raydl.scheduler.bottleneck import ASKED_TO_WAIT, NO_NODES, PAUSED, WAITS, Holdup
from raydl.scheduler.flights import CUT_SHORT
from raydl.scheduler.hedging import Hedging
from raydl.scheduler.job import Job
from raydl.scheduler.lanes import LaneGroup
from raydl.scheduler.nodes import Nodes

SHOW_SECONDS = 0.001
"""For each download, and for each node: the period of its progress, where there are many."""


class Watch:
    """Looks at everything: lanes are tuned, late parts hedged, limits noticed, progress shown."""

    def __init__(
        self,
        nodes: Nodes,
        hedging: Hedging,
        answering: Callable[[Job], AbstractContextManager[None]],
    ) -> None:
        self._nodes, self._hedging, self._answering = nodes, hedging, answering

    def look(self, groups: list[LaneGroup], jobs: list[Job], now: float) -> None:
        """Take in the state of everything."""
        for node in self._nodes.look(now):
            self._hedging.heard(node)
        busy = [group for group in groups if any(not job.is_held for job in group.jobs)]
        self._hedging.look(busy, now)
        for node in self._nodes.survey.silent:
            for job in list(jobs):
                with self._answering(job):
                    job.delivery.lose(node.name, "it does not answer", now)
        idle = {group for group in busy if self._is_idle(group, now)}
        for group in busy:
            self._tune(group, group in idle, busy, now)
        for job in list(jobs):
            is_alone = not self._nodes.heard_any(job)
            if not is_alone:
                job.alone_since = now
            if job.is_held:
                job.waiting = PAUSED
            else:
                holdup = self._look_for_limit(job, job.group in idle, now)
                job.waiting = NO_NODES if is_alone else WAITS.get(holdup, "")
                if not (job.waiting or job.mirror_choice.is_open(now)):
                    job.waiting = ASKED_TO_WAIT
            if now >= job.show_at:
                self.show(job)
                job.show_at = now + SHOW_SECONDS * (len(jobs) + len(self._nodes))

    def show(self, job: Job) -> None:
        """Say how far a download is."""
        job.show_progress(tuple(self._nodes.of(job)))

    def _tune(self, group: LaneGroup, is_idle: bool, groups: list[LaneGroup], now: float) -> None:
        others = (other.tuner for other in groups if other is not group)
        before = group.tuner.lanes
        group.tuner.look(
            now,
            flying=group.flying,
            busy=not is_idle,
            strained=self._nodes.survey.strained,
            full=self._nodes.survey.full and len(groups) == 1,  # else nobody knows whose they are
            may_try=not any(tuner.is_trying for tuner in others),
        )
        if group.tuner.lanes > before:
            group.offer_all()
        if group.tuner.sheds(now):
            self._shed(group)
        too_large = group.sizes.give_up(now)
        if too_large is not None:
            too_large.give_up(CUT_SHORT)

    def _shed(self, group: LaneGroup) -> None:
        """Call off the requests that are too many: the youngest, which have the least to lose."""
        for lanes in group:
            if lanes.flying > group.tuner.lanes:
                flights = [f for f in lanes.node.flights.values() if f.lanes is lanes]
                for flight in flights[group.tuner.lanes :]:  # in the order in which they began
                    if flight.given_up is None and not flight.moot:
                        flight.give_up(CUT_SHORT)

    def _is_idle(self, group: LaneGroup, now: float) -> bool:
        """Whether lanes have nothing to do."""
        if group.idle(now) is not None:
            return True
        return not any(job.mirror_choice.is_open(now) for job in group.jobs)

    def _look_for_limit(self, job: Job, is_idle: bool, now: float) -> Holdup:
        survey, holdup = self._nodes.survey, self._holdup(job, is_idle, now)
        job.bottleneck.look(
            holdup, survey.nodes, job.group.tuner.lanes, survey.rate, survey.strained
        )
        return holdup

    def _holdup(self, job: Job, is_idle: bool, now: float) -> Holdup:
        """What keeps lanes from work, or from doing it faster."""
        window, group, survey = job.window, job.group, self._nodes.survey
        if job.throttle.is_spent(now, survey.rate):
            return Holdup.RATE
        if is_idle and window.left:
            if window.unwritten > window.limit // 4:
                return Holdup.OUTPUT
            if window.head in job.delivery.transit:
                return Holdup.TRANSFER
        holdup = self._nodes.holdup(group, job.plan.largest, window.limit)
        if holdup is not Holdup.NONE:
            return holdup
        if job.mirror_choice.is_full():
            return Holdup.CONNECTIONS
        if group.tuner.is_fixed and not is_idle:
            return Holdup.LANES
        return Holdup.NONE
