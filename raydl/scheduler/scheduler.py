"""The one scheduler of a process: its loop, and who does what with each message.

One thread owns all state and reads one inbox; lanes, fleets and destinations only post to it. So
nothing here needs a lock, and every decision is taken in one place. All downloads share its nodes,
lanes and budgets, each file as a job.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator

from raydl.model.errors import CancelledError, ClusterError
from raydl.model.events import Continued, Notice, Paused
from raydl.scheduler.arrivals import Arrivals, call_off
from raydl.scheduler.dispatcher import TICK_SECONDS, Dispatcher
from raydl.scheduler.hedging import Hedging
from raydl.scheduler.inbox import (
    Began,
    Closed,
    Gone,
    Held,
    Inbox,
    JobMessage,
    Pulled,
    Resolved,
    Searched,
    Taken,
)
from raydl.scheduler.job import Job
from raydl.scheduler.lanes import LaneGroup
from raydl.scheduler.nodes import Nodes
from raydl.scheduler.origins import Origins
from raydl.scheduler.pools import Pools
from raydl.scheduler.storage import StoreBudget
from raydl.scheduler.throttle import Throttles
from raydl.scheduler.watch import Watch
from raydl.workers.protocol import (
    Fetched,
    Message,
)

ALONE_SECONDS = 3.0
"""Workers take a second or two to start."""

OPENING_SECONDS = 0.03
"""How soon the first lane is looked at again."""

STOPPED_SECONDS = 2.0
"""If the loop wakes this late, the process was suspended (Ctrl-Z), and heard from no node: their
silence meanwhile means nothing."""


class Scheduler:
    """Fetches every file of this process, through whatever teams join its inbox.

    ``clock`` tells the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.inbox = Inbox()
        self.throttles = Throttles()
        self.store = StoreBudget()
        self._clock = clock
        self._origins = Origins()
        self._nodes = Nodes(self._origins)
        self._hedging = Hedging(self._nodes)
        self._dispatcher = Dispatcher(self._nodes, self._hedging)
        self._watch = Watch(self._nodes, self._hedging, self._answering)
        self._arrivals = Arrivals(self._nodes, self._dispatcher)
        self._jobs: list[Job] = []
        self._pools = Pools(self._nodes, self._jobs, self.store, self._arrivals, self._answering)
        self._next_tick = self._turned_at = clock()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    # --- from any thread ---

    def begin(self, job: Job) -> None:
        """Fetch a file: ``job.destination`` gets it, and is told of the end."""
        self._see_to(lambda: self.inbox.tell(job, Began()))

    def close(self, job: Job, seconds: float) -> None:
        """Have done with a file, whether it is whole or not; waits ``seconds`` at most."""
        done = threading.Event()
        self._see_to(lambda: self.inbox.tell(job, Closed(done.set)))
        done.wait(seconds)

    def leave(self, pool: str) -> None:
        """A fleet is closed: none of its nodes is there any more."""
        self.post(Gone(), pool)

    def post(self, message: Message | Gone, pool: str) -> None:
        """Take what a fleet has to say, whether or not there is a download."""
        self._see_to(lambda: self.inbox.post(message, pool))

    def _see_to(self, leave_message: Callable[[], None]) -> None:
        """See that somebody reads a message."""
        with self._lock:
            leave_message()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="raydl-scheduler", daemon=True
                )
                self._thread.start()

    # --- the loop ---

    def _work(self) -> None:
        """Run until there is nothing to do; whoever has something then starts another thread."""
        while True:
            try:
                self.run()
            except BaseException:
                with self._lock:
                    self._thread = None
                raise
            with self._lock:
                if self.inbox.queue.empty():
                    self._thread = None
                    return

    def run(self) -> None:
        """Do what is to be done, until no file is left and no message."""
        self._turned_at = self._clock()
        while self._jobs or not self.inbox.queue.empty():
            try:
                now = self._clock()
                self._notice_a_stop(now)
                self._give_out(now)
                if now >= self._next_tick:
                    self._tick(now)
                    self._give_out(now)
                self._read_inbox()
            except BaseException as error:  # a bug: nobody shall wait for ever
                for job in list(self._jobs):
                    self._end(job, error)
        self._hedging.forget()
        self._dispatcher.forget()
        self._nodes.rested()

    def _read_inbox(self) -> None:
        """Wait for what is next, and read all that has come."""
        try:
            self._handle(*self.inbox.queue.get(timeout=self._idle_seconds()))
            while True:
                self._handle(*self.inbox.queue.get_nowait())
        except queue.Empty:
            pass

    def _idle_seconds(self) -> float:
        """Seconds until the next timed event."""
        now = self._clock()
        due = (self._dispatcher.next_at(), self._nodes.next_rested())
        soon = [at for at in due if at is not None and at > now]
        return max(0.001, min([self._next_tick, *soon]) - now)

    def _notice_a_stop(self, now: float) -> None:
        """If this process was suspended for a while, that time does not count."""
        gap, self._turned_at = now - self._turned_at, now
        if gap > STOPPED_SECONDS:
            self._nodes.stood_still(gap, (flight.node for flight in self._dispatcher))
            for job in self._jobs:
                job.alone_since += gap

    @contextlib.contextmanager
    def _answering(self, job: Job) -> Iterator[None]:
        """What goes wrong in here ends this download, and no other."""
        try:
            yield
        except BaseException as error:
            self._end(job, error)

    def _end(self, job: Job, error: BaseException | None) -> None:
        """The file is whole, or there is an error; what is in flight for it is called off."""
        if job.is_over:
            return
        job.is_over = True
        self._use_origins(self._clock())
        if job in self._jobs:
            self._jobs.remove(job)
            job.group.remove(job)
        for flight in list(job.flights.values()):
            call_off(flight)
        job.delivery.drop(self._clock())
        self._dispatcher.wake_blocked()
        self._came_or_went(self._clock())
        job.destination.end(error)

    # --- messages ---

    def _handle(self, to: Job | str, message: JobMessage | Message | Gone) -> None:
        now = self._clock()
        if isinstance(message, Fetched):
            self._fetched(message, now)
        elif isinstance(to, Job):
            with self._answering(to):
                self._tell_job(to, message, now)  # type: ignore[arg-type]
        else:
            for node in self._pools.handle(to, message, now):  # type: ignore[arg-type]
                self._hedging.heard(node)

    def _tell_job(self, job: Job, message: JobMessage, now: float) -> None:
        match message:
            case Closed(done):
                self._end(job, CancelledError("the download was closed before its end"))
                done()
            case Taken(_, payload):
                if job.is_over:
                    payload.release()
                else:
                    job.delivery.taken(message, now)
                    self._deliver(job)
                self._dispatcher.wake_blocked()
            case _ if job.is_over:
                return
            case Began():
                self._began(job, now)
            case Pulled():
                job.delivery.pulled(message, now)
                self._deliver(job)
            case Resolved():
                job.mirror_choice.resolved(message)
            case Searched(mirror):
                if mirror is not None:
                    mirror.host = self._origins.at(mirror.source.url, now)
                job.mirror_choice.searched(message)
                if not job.mirror_choice.mirrors.awaited:
                    job.retries.searched(job.mirror_choice.mirrors)
            case Held(paused):
                job.is_held = paused
                job.emit(Paused() if paused else Continued())
        if job in self._jobs:  # what was said before it began is kept in mind
            job.group.wake(job)

    def _began(self, job: Job, now: float) -> None:
        self._use_origins(now)
        self._origins.forget(now)
        for mirror in job.mirror_choice.mirrors:
            mirror.host = self._origins.at(mirror.source.url, now)
        mirrors = list(job.mirror_choice.mirrors)
        host = mirrors[0].host
        wanted = job.wants.connections
        if wanted not in host.groups:
            host.groups[wanted] = LaneGroup(
                self._nodes.gauge,
                wanted,
                self._dispatcher.busy,
                host.bearing,
                has_tls=any(m.source.url.startswith("https:") for m in mirrors),
            )
            self._nodes.add_group(host.groups[wanted])
        job.group = host.groups[wanted]
        job.group.jobs.add(job)
        job.alone_since = now
        self._jobs.append(job)
        self._came_or_went(now)
        self._tick_soon(now)
        self._pools.introduce(job)
        self._deliver(job)

    def _use_origins(self, now: float) -> None:
        for mirror in (mirror for job in self._jobs for mirror in job.mirror_choice.mirrors):
            mirror.host.used_at = now

    def _came_or_went(self, now: float) -> None:
        """There is one download more or less: what all share is divided again."""
        self._pools.share()
        if self._jobs:  # what lanes bring now says nothing of what is being tried
            for group in self._origins.groups():
                group.tuner.reset(now)

    # --- requests ---

    def _fetched(self, message: Fetched, now: float) -> None:
        flight = self._dispatcher.get(message.ticket)
        if flight is None:
            # Its node was given up, and the part went to another.
            if message.payload is not None:
                message.payload.release()
            return
        with self._answering(flight.job):
            self._arrivals.fetched(flight, message, now)
            self._deliver(flight.job)

    def _deliver(self, job: Job) -> None:
        """Hand over what came, and see whether that was all."""
        if job.is_over:
            return
        job.delivery.hand_over()
        if job.window.done:
            self._watch.show(job)
            self._end(job, None)
        else:
            job.group.wake(job)

    def _give_out(self, now: float) -> None:
        """Let every free lane have something to do."""
        self._nodes.end_rests(now)
        self._dispatcher.wake_due(now)
        while self._dispatcher.busy:  # one of each in turn: they share nodes, rates, requests
            for group in list(self._dispatcher.busy):
                job = self._dispatcher.next_job(group, now)
                if job is not None:
                    with self._answering(job):
                        self._dispatcher.serve(job, group, now)

    def _tick(self, now: float) -> None:
        self._next_tick = now + TICK_SECONDS
        self._watch.look(self._origins.groups(), self._jobs, now)
        for job in list(self._jobs):
            job.group.wake(job)
            with self._answering(job):
                self._look_for_nodes(job, now)
        self._tick_soon(now)

    def _tick_soon(self, now: float) -> None:
        """Where there is but one lane so far, see soon whether there are to be more."""
        if any(job.group.tuner.is_opening and not job.is_held for job in self._jobs):
            self._next_tick = min(self._next_tick, now + OPENING_SECONDS)

    def _look_for_nodes(self, job: Job, now: float) -> None:
        """Tell where nobody is there to fetch; raise ClusterError once that lasts too long."""
        alone, patience = now - job.alone_since, job.wants.patience
        if alone <= ALONE_SECONDS:
            return
        label = ", ".join(f"{key}={value}" for key, value in job.reach.labels)
        if alone > patience:
            which = f"no node with the label {label}" if label else "no node"
            raise ClusterError(
                f"{which} has been there to fetch with for {patience:g}s",
                "see `raydl nodes`; the same command goes on from here",
            )
        if label and not job.was_alone:
            job.was_alone = True
            job.emit(Notice(f"waiting for a node with the label {label}"))
