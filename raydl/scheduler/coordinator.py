"""The moving window at work: parts to free lanes, retries, hedges, and the bytes in order.

One thread owns all state and reads one inbox; lanes and the consumer only post to it. So
nothing here needs a lock, and every decision is taken in one place.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from raydl.model import backoff
from raydl.model.errors import CancelledError, ClusterError
from raydl.model.events import (
    ClusterChosen,
    Continued,
    Emit,
    LanesJoined,
    LanesLeft,
    Notice,
    PartFailed,
    PartFetched,
    PartHedged,
    PartStarted,
    PartWritten,
    Paused,
    Progress,
)
from raydl.model.failure import Failure
from raydl.model.parts import Part, Plan
from raydl.model.units import counted, format_size
from raydl.model.waiting import next_item
from raydl.scheduler.blame import Verdict
from raydl.scheduler.bottleneck import Bottleneck, Holdup
from raydl.scheduler.concurrency import Tuner
from raydl.scheduler.flights import Flights
from raydl.scheduler.inbox import Closed, Held, Inbox, Pulled, Resolved, Searched, Wrote
from raydl.scheduler.meter import Meter
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.nodestate import CRAWL_SECONDS, Flight, NodeState
from raydl.scheduler.places import Places
from raydl.scheduler.retries import Retries
from raydl.scheduler.roster import Roster
from raydl.scheduler.storage import StoreBudget
from raydl.scheduler.throttle import Throttle
from raydl.scheduler.transit import Transit
from raydl.scheduler.window import Task, Window
from raydl.workers import company
from raydl.workers.lane import (
    HERE,
    Connected,
    ConnectFailed,
    Disconnected,
    Fetched,
    Heard,
    Joined,
    Left,
    Message,
    Payload,
)

TICK_SECONDS = 0.1

CLOSE_SECONDS = 2.0

STOPPED_SECONDS = 2.0
"""If the loop wakes this late, the process was suspended (Ctrl-Z), and heard from no node: their
silence meanwhile means nothing."""


class Coordinator:
    """Fetches a plan's parts through whatever teams join the inbox.

    ``limit`` bounds the window in bytes, ``throttle`` what is asked of the origin, and ``lowest``
    is the speed in bytes a second below which a connection is given up; ``connections`` fixes
    the lanes of each node, which else are found by measuring; ``patience`` is how long it waits,
    in seconds, when there is no lane at all. ``mirrors`` are the places that have the file, and
    ``awaited`` of them may still join. With ``stay`` the bytes stay where they were fetched, for
    ``payloads`` to hand out. ``clock`` tells the time, in seconds.
    """

    def __init__(
        self,
        plan: Plan,
        mirrors: Iterable[Mirror],
        inbox: Inbox,
        emit: Emit,
        *,
        limit: int,
        retries: int,
        patience: float,
        connections: int | None = None,
        throttle: Throttle | None = None,
        lowest: int | None = None,
        stay: bool = False,
        awaited: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._places = Places(mirrors, emit, inbox.queue.put, awaited)
        self._inbox = inbox
        self._emit = emit
        self._retries = Retries(retries)
        self._patience = patience
        self._throttle = throttle or Throttle(None, None)
        self._lowest = lowest
        self._stay = stay
        self._limit = limit
        self._held = False
        self._window: Window[Payload] = Window(plan, limit)
        self._out: queue.SimpleQueue[tuple[Part, Payload] | BaseException | None] = (
            queue.SimpleQueue()
        )
        self._flights = Flights()
        self._tuner = Tuner(connections)
        self._nodes = Roster(self._places, self._retries, self._flights, self._tuner)
        self.store = StoreBudget()
        self._bottleneck = Bottleneck()
        self._unfit: set[str] = set()
        self._transit = Transit()
        self.meter = Meter(plan.start, plan.size, clock)
        self._next_tick = self._alone_since = self._turned_at = clock()
        self._is_closed = self._cancelled = False
        self._thread = threading.Thread(target=self.run, name="raydl-coordinator", daemon=True)

    @property
    def parts(self) -> int:
        """How many parts the file was divided into so far."""
        return self._window.cuts if self._plan.count is None else self._plan.count

    @property
    def limit(self) -> str:
        """A line that says which limit was met; empty where that is not known."""
        node = next((share.node for share in self.meter.shares()), HERE)
        return self._bottleneck.explain(self._tuner.more_brings, self._tuner.refused, node)

    def chunks(self) -> Iterator[tuple[Part, memoryview]]:
        """The file's bytes, in order. A view is good until the next one is asked for.

        Raises RaydlError when the download cannot be finished.
        """
        for part, payload in self.payloads():
            yield part, payload.view()

    def payloads(self) -> Iterator[tuple[Part, Payload]]:
        """Like ``chunks``, but yields payload handles."""
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
            yield part, payload
            self._inbox.queue.put(Wrote(part, payload))

    def cancel(self) -> None:
        """Let ``chunks`` raise CancelledError; from any thread."""
        self._cancelled = True
        self._out.put(CancelledError("the download was cancelled", "start it again to go on"))

    def hold(self, paused: bool) -> None:
        """Ask for nothing more, or go on; from any thread."""
        self._inbox.queue.put(Held(paused))

    def close(self) -> None:
        """Stop giving out parts; returns when the coordinator's thread has ended.

        It is not waited for long: it may be in a callback of the user's that blocks.
        """
        self._inbox.queue.put(Closed())
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def run(self) -> None:
        """Do the work, until it is done or closed; ``payloads`` starts this in a thread."""
        try:
            while not self._is_closed:
                now = self._clock()
                self._notice_a_stop(now)
                self._dispatch(now)
                self._deliver()
                if now >= self._next_tick:
                    self._tick(now)
                    self._dispatch(now)
                if self._window.done:
                    self._show_progress()
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
        """Seconds until the next timed event."""
        now = self._clock()
        due = [self._throttle.next_at(now), self._window.next_due()]
        due += [node.next_rested() for node in self._nodes]
        soon = [at for at in due if at is not None and at > now and not self._held]
        return max(0.001, min([self._next_tick, *soon]) - now)

    def _notice_a_stop(self, now: float) -> None:
        """If this process was suspended for a while, that time does not count."""
        gap, self._turned_at = now - self._turned_at, now
        if gap > STOPPED_SECONDS:
            self._alone_since += gap
            for node in {*self._nodes, *(flight.node for flight in self._flights)}:
                node.stood_still(gap)

    def _handle(
        self, message: Message | Pulled | Wrote | Resolved | Searched | Held | Closed
    ) -> None:
        match message:
            case Fetched():
                self._fetched(message)
            case Wrote(part, payload):
                if payload.in_store:
                    self.store.released(part.size, self._clock())
                payload.release()
                self._window.wrote(part.size)
                self._emit(PartWritten(*part))
            case Pulled(start, payload, problem):
                came = self._transit.came(start, payload)
                if came is not None and problem:
                    self._lost(came, problem)
            case Joined():
                self._joined(message)
            case Left():
                self._left(message)
            case Heard(team, pulse):
                node = self._nodes.find(team)
                if node is not None:
                    node.hear(pulse, self._clock())
            case Connected():
                self._connected(message)
            case ConnectFailed(error):
                if not self._nodes:  # else this machine fetches, and goes on
                    raise error
                self._emit(Notice(f"going on without the cluster: {error}"))
            case Resolved():
                self._places.resolved(message)
            case Searched():
                self._places.searched(message)
                if not self._places.mirrors.awaited:
                    self._retries.searched(self._places.mirrors)
            case Disconnected(error):
                if not self._nodes:  # those of the cluster have left before
                    raise error
                self._emit(Notice(f"going on without the cluster: {error.message}"))
            case Held(paused):
                self._held = paused
                self._emit(Paused() if paused else Continued())
            case Closed():
                self._is_closed = True

    def _connected(self, message: Connected) -> None:
        nodes = counted(message.nodes, "node")
        self._emit(ClusterChosen(message.address, f"connected to {message.address}: {nodes}"))
        self._meet_store(message.store)
        if message.others == 0 and not self._nodes:
            raise ClusterError(
                "no node to fetch with: the cluster has only this machine",
                "start Ray on another machine, or leave out --no-fetch-here",
            )

    def _meet_store(self, size: int) -> None:
        self.store.meet(size)
        self._window.limit = min(self._window.limit, self.store.window(self._limit))

    def _joined(self, message: Joined) -> None:
        self._meet_store(message.store)
        node, now = message.team.node, self._clock()
        self._nodes.join(message.team, now)
        lanes = min(self._tuner.lanes, message.team.most)
        self.meter.joined(node, lanes)
        self._emit(LanesJoined(node, lanes))

    def _left(self, message: Left) -> None:
        name, reason = message.node, message.reason
        node = self._nodes.find(message.team)
        told = node is not None and not node.gone
        if node is not None:
            self._nodes.dismiss(node)
            for flight in list(node.flights.values()):
                self._land(flight)
                if self._is_needed(flight):
                    self._lose(flight.task.part, f"{name} is lost: {reason}", name)
        if message.unreachable:
            self._refetch_what_is_at(name, reason)
        if told:
            self._emit(LanesLeft(name, self.meter.lanes(name), reason))
        elif message.team is None and name not in self._unfit:
            self._unfit.add(name)
            self._emit(Notice(f"{name} cannot fetch: {reason}"))

    def _refetch_what_is_at(self, node: str, reason: str) -> None:
        for part in self._transit.lose(node):
            self._lost(part, reason)

    def _dispatch(self, now: float) -> None:
        while not self._held and self._throttle.allows(len(self._flights), now):
            free = self._nodes.free(now)
            if not free:
                break
            task = self._window.take(now, self._wish(free[0], now))
            if task is None:
                break
            urgent = task.part.start == self._window.written
            size = task.part.size
            able = [node for node in free if self._has_memory(node, size, urgent, now)]
            if not able:
                self._window.put_back(task)
                break
            chosen = self._nodes.choose(task, able, now)
            if chosen is None:
                # Those that are free do something else meanwhile.
                self._window.put_back(task, now + TICK_SECONDS)
            else:
                self._launch(task, *chosen, now)
        if now - self._alone_since > self._patience:
            raise ClusterError(
                f"no node has been there to fetch with for {self._patience:g}s",
                "see `raydl nodes`; the same command goes on from here",
            )

    def _has_memory(self, node: NodeState, size: int, urgent: bool, now: float) -> bool:
        if urgent:
            return True
        if node.team.in_store:
            size = self._window.given - self._window.written
        return node.team.memory.has_room(size, now)

    def _wish(self, node: NodeState, now: float) -> int:
        """Bytes of a part that fits this node's lanes."""
        window = self._window
        return self._throttle.piece(self._nodes.wish(node, window.limit, window.left, now))

    def _launch(self, task: Task, node: NodeState, mirror: Mirror, now: float) -> None:
        flight = self._flights.launch(task, node, mirror, now)
        self._throttle.took(task.part.size)
        self.meter.joined(node.name, len(node.flights))
        self._emit(PartStarted(*task.part, node.name))
        node.team.start(flight.ticket, task.part, flight.source)

    def _is_needed(self, flight: Flight) -> bool:
        """Whether nobody else has, fetches or will fetch the bytes of a flight that failed."""
        start = flight.task.part.start
        rivals = any(not rival.replaced for rival in self._flights.rivals(start))
        return not (flight.moot or rivals or self._window.is_waiting(start))

    def _land(self, flight: Flight) -> None:
        self._flights.land(flight)
        self._places.landed(flight, self._flights)

    def _fetched(self, message: Fetched) -> None:
        flight, now = self._flights.get(message.ticket), self._clock()
        if flight is None:
            # Its node was given up, and the part went to another.
            if message.payload is not None:
                message.payload.release()
            return
        self._throttle.spared(flight.task.part.size - message.got)
        node, part, failure = flight.node, flight.task.part, flight.given_up or message.failure
        if message.got:
            if failure is None:
                node.strikes = 0
                node.delivered(message.got, message.seconds, now)
            self._places.delivered(flight, message.got, message.seconds, now)
        self._land(flight)
        is_whole = message.got == part.size and not flight.moot
        rest: Part | None = part
        if message.payload is not None and (is_whole or self._is_needed(flight)):
            rest = self._accept(flight, message, message.payload)
        else:
            self.meter.wasted += message.got
            if message.payload is not None:
                message.payload.release()
            if not self._is_needed(flight):
                rest = None
        if failure is not None and not flight.moot:
            self._failed(flight, failure, rest, now)
        elif rest is not None:
            # The origin may send less than asked (RFC 9110, section 15.3.7).
            self._window.put_back(Task(rest))

    def _failed(self, flight: Flight, failure: Failure, rest: Part | None, now: float) -> None:
        """Find out what is at fault; ``rest`` is what has to be fetched all the same."""
        if self._places.is_excused(flight, failure, self._flights):
            if rest is not None:
                self._window.put_back(Task(rest))
            return
        verdict = self._places.judge(flight, failure, self._nodes.heard(now), now)
        if verdict is Verdict.RETRY:
            self._strike(flight, failure, now)
        if rest is None:
            return
        if verdict is Verdict.END:
            self._places.give_up(flight.mirror, failure.to_error())
        node, tries, delay = flight.node.name, 0, 0.0
        is_new = verdict is Verdict.REST_NODE and self._retries.blamed(rest, node)
        if not is_new and verdict not in (Verdict.LEAVE_SOURCE, Verdict.END):
            places = self._places.mirrors
            tries, delay = self._retries.failed(
                rest, flight.mirror, places, failure, may_join=places.awaited > 0
            )
        self._again(rest, failure, node, tries, delay)

    def _strike(self, flight: Flight, failure: Failure, now: float) -> None:
        """A lane that fails rests, so that one broken node does not use up the tries."""
        node = flight.node
        node.strikes += 1
        # As many strikes as lanes may come from one event.
        tries = 1 + (node.strikes - 1) // self._tuner.lanes
        # A pause for everyone is stored on the mirror: the lane may ask elsewhere meanwhile.
        is_held = self._places.hold(flight.mirror, failure, now)
        node.rest(now + backoff.delay(tries, None if is_held else failure.retry_after))
        if self._places.is_complaint(flight, failure, now):
            self._tuner.complained(now)

    def _accept(self, flight: Flight, message: Fetched, payload: Payload) -> Part | None:
        """Take what it brought; returns the rest."""
        part, node = flight.task.part, flight.node.name
        rest = self._window.arrived(part, message.got, payload)
        here = part._replace(stop=part.start + message.got)
        self._retries.fitted(part.start)
        self._places.fitted(part.start)
        self.meter.arrived(node, message.got)
        self._emit(PartFetched(*here, node, round(message.seconds, 4)))
        if not payload.here:
            self._transit.put(here, node, payload)
            if not self._stay:
                self._pull(here.start, payload)
        self._call_off(part.start)
        return rest

    def _call_off(self, start: int) -> None:
        """The bytes at ``start`` are there: any other request for them can stop."""
        self._window.withdraw(start)
        for rival in self._flights.rivals(start):
            rival.moot = True
            rival.node.team.cancel(rival.ticket)

    def _again(self, part: Part, failure: Failure, node: str, tries: int, delay: float) -> None:
        """These bytes are asked for once more."""
        self.meter.retried += 1
        self._window.put_back(Task(part), self._clock() + delay)
        self._emit(PartFailed(*part, node, failure.message, tries, round(delay, 2)))

    def _lose(self, part: Part, problem: str, node: str) -> None:
        """The node that held or fetched these bytes is gone: refetch, without counting a try."""
        failure = Failure("lane", problem)
        self._retries.lost(part, failure)
        self._again(part, failure, node, 0, 0.0)

    def _lost(self, part: Part, problem: str) -> None:
        """An object that a node had fetched is gone: fetch it again."""
        self._window.lost(part)
        self.meter.lost(part.size)
        self._lose(part, f"the fetched bytes are lost: {problem}", "the store")

    def _deliver(self) -> None:
        while (payload_at_head := self._window.peek()) is not None:
            if not (payload_at_head.here or self._stay):
                break
            self._transit.drop(self._window.head)
            self._out.put(self._window.pop())

    def _pull(self, start: int, payload: Payload) -> None:
        def done(problem: str) -> None:
            self._inbox.queue.put(Pulled(start, payload, problem))

        payload.pull(done)

    def _tick(self, now: float) -> None:
        """What is decided a few times a second, by how the teams are doing."""
        self._next_tick = now + TICK_SECONDS
        for node in self._nodes:
            node.look(now)
            if node.is_silent(now):
                self._replace_flights_of(node)
            else:
                self._alone_since = now
                self._give_up_slow(node)
        self._share(company.size())
        if self._held:
            self._show_progress()
            return
        free = self._nodes.free(now)
        self._hedge(free, now)
        pulses = {node: node.pulse for node in self._nodes.active(now) if node.pulse is not None}
        strained = any(node.is_strained for node in pulses)
        idle = bool(free) or not self._places.is_open(now)
        self._tuner.look(now, pulses, len(self._flights), not idle, strained)
        rate = sum(node.rate for node in pulses)
        self._bottleneck.look(self._holdup(idle), len(pulses), self._tuner.lanes, rate, strained)
        self._show_progress()

    def _share(self, downloads: int) -> None:
        """Leave the other downloads of this process their part of what there is."""
        self._window.limit = self.store.window(self._limit) // downloads
        self._tuner.share(downloads)
        self._throttle.share(downloads)

    def _holdup(self, idle: bool) -> Holdup:
        """What keeps lanes from work, or from doing it faster."""
        window = self._window
        if self._throttle.is_spent(self._clock(), sum(node.rate for node in self._nodes)):
            return Holdup.RATE
        if idle and window.left:
            if window.head - window.written > window.limit // 4:
                return Holdup.OUTPUT
            if window.head in self._transit:
                return Holdup.TRANSFER
        holdup = self._nodes.holdup(self._plan.largest, window.limit)
        if holdup is not Holdup.NONE:
            return holdup
        if self._throttle.is_full(len(self._flights)):
            return Holdup.CONNECTIONS
        if self._tuner.is_fixed and not idle:
            return Holdup.LANES
        return Holdup.NONE

    def _replace_flights_of(self, node: NodeState) -> None:
        """``node`` is silent: others get what it has in flight; whichever is first wins."""
        for flight in node.flights.values():
            if not flight.replaced:
                self._hedge_flight(flight, f"{node.name} does not answer")
        self._refetch_what_is_at(node.name, "it does not answer")

    def _give_up_slow(self, node: NodeState) -> None:
        """Cut connections off that are slower than the user wants to bear."""
        if self._lowest is None:
            return
        for flight in node.flights.values():
            if flight.given_up is None and not flight.moot and flight.crawls(self._lowest):
                text = f"slower than {format_size(self._lowest)}/s for {CRAWL_SECONDS:g}s"
                flight.given_up = Failure("broken", text)
                node.team.cancel(flight.ticket)

    def _hedge(self, free: list[NodeState], now: float) -> None:
        """Let a second lane fetch what holds up the rest, where that one is faster.

        That is every late part when lanes have nothing else to do, and else the part at the
        head of the window, if the window would be full before it comes.
        """
        if free:
            late = self._flights.late(now, free[0].speed)
            idle = sum(node.free(self._tuner.lanes, now) for node in free)
        else:
            rate = sum(node.rate for node in self._nodes)
            if not rate:
                return
            room = self._window.limit - (self._window.given - self._window.written)
            best = max(node.speed for node in self._nodes)
            late = self._flights.late(now, best, at=self._window.head, spare=room / rate)
            idle = 1
        for flight in late[:idle]:
            self._hedge_flight(flight, "it is late")

    def _hedge_flight(self, flight: Flight, reason: str) -> None:
        flight.replaced = True
        if flight.moot or self._window.is_waiting(flight.task.part.start):
            return
        self._window.put_back(flight.task)
        self._emit(PartHedged(*flight.task.part, flight.node.name, reason))

    def _show_progress(self) -> None:
        now = self._clock()
        in_flight = sum(flight.got for flight in self._flights if not flight.moot)
        self._emit(
            Progress(
                fetched=self.meter.look(in_flight),
                written=self._window.written,
                size=self._plan.size,
                lanes=len(self._flights),
                nodes=len(self._nodes),
                retries=self.meter.retried,
                by_node=tuple(node.describe(now) for node in self._nodes),
            )
        )
