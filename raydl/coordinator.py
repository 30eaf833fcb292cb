"""The moving window at work: parts to free lanes, retries, and the bytes in order.

One thread owns all state and reads one inbox; lanes and the consumer only post to it. So
nothing here needs a lock, and every decision is taken in one place.
"""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count

from raydl import backoff
from raydl.errors import CancelledError, ClusterError
from raydl.event import (
    ClusterChosen,
    Emit,
    LanesJoined,
    LanesLeft,
    Notice,
    PartFailed,
    PartFetched,
    PartStarted,
    PartWritten,
    Progress,
)
from raydl.inbox import Closed, Inbox, Pulled, Wrote
from raydl.lane import Connected, ConnectFailed, Fetched, Joined, Lane, Left, Message, Payload
from raydl.meter import Meter
from raydl.models import Failure, Part, Plan
from raydl.units import counted
from raydl.waiting import next_item
from raydl.window import Task, Window

PROGRESS_SECONDS = 0.1

DOUBTFUL = ("no-range", "changed", "wrong")
"""Answers that do not fit. One is asked for once more: an odd answer of one server behind a name
is no reason to throw everything away. A second one is."""

PULL_AHEAD = 64 << 20
"""Bytes beyond the head that are brought here from the nodes before their turn: enough to keep
a link between nodes busy, little enough for the smallest object store."""


class Coordinator:
    """Fetches a plan's parts through whatever lanes join the inbox.

    ``limit`` bounds the window in bytes; ``patience`` is how long it waits, in seconds, when
    there is no lane at all; ``required`` makes a cluster that fails an error of the download.
    """

    def __init__(
        self,
        plan: Plan,
        inbox: Inbox,
        emit: Emit,
        *,
        limit: int,
        retries: int,
        patience: float,
        required: bool,
    ) -> None:
        self._plan = plan
        self._inbox = inbox
        self._emit = emit
        self._retries = retries
        self._patience = patience
        self._required = required
        self._window: Window[Payload] = Window(plan, limit)
        self._out: queue.SimpleQueue[tuple[Part, Payload] | BaseException | None] = (
            queue.SimpleQueue()
        )
        self._lanes: set[Lane] = set()
        self._free: list[Lane] = []
        self._busy: dict[Lane, Task] = {}
        self._resting: list[tuple[float, int, Lane]] = []
        self._strikes: Counter[Lane] = Counter()
        self._order = count()
        self._unfit: set[str] = set()
        self._in_doubt: set[int] = set()
        self._away: dict[int, tuple[Part, str, Payload]] = {}
        self._to_pull: list[tuple[int, int, Payload]] = []
        self.meter = Meter(plan)
        self._last_progress = time.monotonic()
        self._alone_since = time.monotonic()
        self._is_closed = self._cancelled = False
        self._thread = threading.Thread(target=self._run, name="raydl-coordinator", daemon=True)

    def chunks(self) -> Iterator[tuple[Part, memoryview]]:
        """The file's bytes, in order. A view is good until the next one is asked for.

        Raises RaydlError when the download cannot be finished.
        """
        self._thread.start()
        while True:
            item = next_item(self._out)
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            if self._cancelled:
                raise CancelledError("the download was cancelled", "start it again to go on")
            part, payload = item
            yield part, payload.view()
            self._inbox.queue.put(Wrote(part, payload))

    def cancel(self) -> None:
        """Let ``chunks`` raise CancelledError; from any thread."""
        self._cancelled = True
        self._out.put(CancelledError("the download was cancelled", "start it again to go on"))

    def close(self) -> None:
        """Stop giving out parts; returns when the coordinator's thread has ended."""
        self._inbox.queue.put(Closed())
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._is_closed:
                self._dispatch()
                self._deliver()
                self._show_progress()
                if self._window.done:
                    self._show_progress(last=True)
                    self._out.put(None)
                    return
                try:
                    self._handle(self._inbox.queue.get(timeout=self._idle_seconds()))
                    while True:
                        self._handle(self._inbox.queue.get_nowait())
                except queue.Empty:
                    pass
        except BaseException as error:
            self._out.put(error)

    def _idle_seconds(self) -> float:
        """How long nothing but a message can matter."""
        now = time.monotonic()
        due = [now + PROGRESS_SECONDS]
        if self._resting:
            due.append(self._resting[0][0])
        retry = self._window.next_due()
        if retry is not None and self._free and retry > now:
            due.append(retry)
        return max(0.001, min(due) - now)

    def _handle(self, message: Message | Pulled | Wrote | Closed) -> None:
        match message:
            case Fetched():
                self._fetched(message)
            case Wrote(part, payload):
                payload.release()
                self._window.wrote(part.size)
                self._emit(PartWritten(*part))
            case Pulled(start, payload, problem):
                if self._is_away(start, payload):
                    part = self._away.pop(start)[0]
                    if problem:
                        self._lost(part, problem)
            case Joined():
                self._joined(message)
            case Left():
                self._left(message)
            case Connected():
                self._connected(message)
            case ConnectFailed(error):
                if self._required:
                    raise error
                self._emit(Notice(f"going on without the cluster: {error}"))
            case Closed():
                self._is_closed = True

    def _connected(self, message: Connected) -> None:
        nodes = counted(message.nodes, "node")
        self._emit(ClusterChosen(message.address, f"connected to {message.address}: {nodes}"))
        if message.others == 0 and not self._lanes:
            raise ClusterError(
                "no node to fetch with: the cluster has only this machine",
                "start Ray on another machine, or leave out --no-fetch-here",
            )

    def _joined(self, message: Joined) -> None:
        for lane in [lane for lane in self._lanes if lane.node == message.node]:
            self._dismiss(lane)
        self._lanes.update(message.lanes)
        self._free.extend(message.lanes)
        self.meter.joined(message.node, len(message.lanes))
        self._emit(LanesJoined(message.node, len(message.lanes)))

    def _left(self, message: Left) -> None:
        node, reason = message.node, message.reason
        for lane in message.lanes:
            self._dismiss(lane)
            task = self._busy.pop(lane, None)
            if task is not None:
                lost = Failure("lane", f"{node} is lost: {reason}")
                self._retry(task.part, task.tries + 1, lost, node)
        if message.unreachable:
            for start, (part, owner, _) in list(self._away.items()):
                if owner == node:
                    del self._away[start]
                    self._lost(part, reason)
        if message.lanes:
            self._emit(LanesLeft(node, len(message.lanes), reason))
        elif node not in self._unfit:
            self._unfit.add(node)
            self._emit(Notice(f"{node} cannot fetch: {reason}"))

    def _dismiss(self, lane: Lane) -> None:
        """No more tasks for this lane; what it has in flight still counts."""
        self._lanes.discard(lane)
        if lane in self._free:
            self._free.remove(lane)
        if not self._lanes:
            self._alone_since = time.monotonic()

    def _dispatch(self) -> None:
        now = time.monotonic()
        while self._resting and self._resting[0][0] <= now:
            rested = heapq.heappop(self._resting)[2]
            if rested in self._lanes:
                self._free.append(rested)
        while self._free:
            task = self._window.take(now)
            if task is None:
                break
            urgent = task.part.start == self._window.written
            lane = next((ln for ln in self._free if ln.accepts(urgent)), None)
            if lane is None:
                self._window.put_back(task)
                break
            self._free.remove(lane)
            self._busy[lane] = task
            self._emit(PartStarted(*task.part, lane.node))
            lane.start(task)
        if not self._lanes and not self._busy and now - self._alone_since > self._patience:
            raise ClusterError(
                f"no node has been there to fetch with for {self._patience:g}s",
                "see `raydl nodes`; the same command goes on from here",
            )

    def _fetched(self, message: Fetched) -> None:
        lane, task, failure = message.lane, message.task, message.failure
        if self._busy.pop(lane, None) is None:
            # Its node was given up, and the part went to another.
            if message.payload is not None:
                message.payload.release()
            return
        if message.got and message.payload is not None:
            self._accept(message, message.payload)
        elif failure is not None:
            self._retry(task.part, task.tries + 1, failure, lane.node)
        if lane not in self._lanes:
            return
        if failure is None:
            del self._strikes[lane]
            self._free.append(lane)
        else:
            # A lane that fails rests too, so that one broken node does not use up the tries.
            self._strikes[lane] += 1
            until = time.monotonic() + backoff.delay(self._strikes[lane], failure.retry_after)
            heapq.heappush(self._resting, (until, next(self._order), lane))

    def _accept(self, message: Fetched, payload: Payload) -> None:
        task, node, got = message.task, message.lane.node, message.got
        rest = self._window.arrived(task.part, got, payload)
        here = task.part._replace(stop=task.part.start + got)
        self._in_doubt.discard(task.part.number)
        self.meter.arrived(node, got)
        self._emit(PartFetched(*here, node, round(message.seconds, 4)))
        if not payload.here:
            self._away[here.start] = (here, node, payload)
            heapq.heappush(self._to_pull, (here.start, next(self._order), payload))
        if rest is None:
            return
        if message.failure is None:
            # The origin may send less than asked (RFC 9110, section 15.3.7).
            self._window.put_back(Task(rest))
        else:
            self._retry(rest, 1, message.failure, node)

    def _retry(self, part: Part, tries: int, failure: Failure, node: str) -> None:
        if failure.kind == "cancelled":
            self._window.put_back(Task(part, tries - 1))
            return
        if not failure.retryable:
            self._doubt(part, failure)
        if tries > self._retries:
            raise failure.to_error(f" ({tries} tries)" if tries > 1 else "")
        lost = failure.kind == "lane"
        delay = 0.0 if lost else backoff.delay(tries, failure.retry_after)
        self.meter.retried += 1
        self._window.put_back(Task(part, tries), time.monotonic() + delay)
        self._emit(PartFailed(*part, node, failure.message, tries, round(delay, 2)))

    def _doubt(self, part: Part, failure: Failure) -> None:
        """Raise what this failure means, unless it is the first answer that does not fit."""
        if failure.kind not in DOUBTFUL or self._in_doubt:
            raise failure.to_error()
        self._in_doubt.add(part.number)

    def _lost(self, part: Part, problem: str) -> None:
        """An object that a node had fetched is gone: fetch it again."""
        self._window.lost(part)
        self.meter.lost(part.size)
        self._retry(part, 1, Failure("lane", f"the fetched bytes are lost: {problem}"), "the store")

    def _deliver(self) -> None:
        near = self._window.head + PULL_AHEAD
        while self._to_pull and self._to_pull[0][0] < near:
            start, _, payload = heapq.heappop(self._to_pull)
            if self._is_away(start, payload):
                self._pull(start, payload)
        while (payload_at_head := self._window.peek()) is not None and payload_at_head.here:
            self._out.put(self._window.pop())

    def _pull(self, start: int, payload: Payload) -> None:
        def done(problem: str) -> None:
            self._inbox.queue.put(Pulled(start, payload, problem))

        payload.pull(done)

    def _is_away(self, start: int, payload: Payload) -> bool:
        """Whether this payload is still the one that is awaited for these bytes."""
        return start in self._away and self._away[start][2] is payload

    def _show_progress(self, last: bool = False) -> None:
        now = time.monotonic()
        if not last and now - self._last_progress < PROGRESS_SECONDS:
            return
        self._last_progress = now
        self._emit(
            Progress(
                fetched=self.meter.look(sum(lane.received() for lane in self._busy)),
                written=self._window.written,
                size=self._plan.size,
                lanes=len(self._busy),
                nodes=len({lane.node for lane in self._lanes}),
                retries=self.meter.retried,
            )
        )
