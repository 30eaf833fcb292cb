"""Fetches many files: small ones in batches by lanes everywhere, large ones one by one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from raydl.cluster.address import ClusterChoice
from raydl.download.machines import machines
from raydl.landing.desk import Desk
from raydl.many.account import Account
from raydl.many.hands import Hand, HereHand, NodeHand
from raydl.many.host import MOST_WRONG, Host, Task
from raydl.many.hosts import Hosts
from raydl.many.intake import Intake
from raydl.many.landing import Landing, is_of_the_disk
from raydl.many.large import Job, LargeFiles
from raydl.many.tempo import MOST_OF_NODE
from raydl.model import backoff
from raydl.model.control import Control
from raydl.model.errors import (
    ChecksumError,
    ClusterError,
    OutputError,
    RaydlError,
    TargetError,
    error_named,
)
from raydl.model.events import Emit, Notice
from raydl.model.failure import Failure
from raydl.model.weburl import is_store
from raydl.settings.options import Options
from raydl.workers.actor import ActorTeam
from raydl.workers.protocol import HERE, ConnectFailed, Disconnected, Message, Payload, tickets
from raydl.workers.smallfiles import (
    DONE,
    FAILED,
    LARGE,
    SAME,
    UNASKED,
    Brought,
    Outcome,
)

MOST_TRIES = 5
"""Of one file, where nothing else was chosen: others wait for the end of the run, too."""

MOST_LOSSES = 20

REFUSED_SECONDS = 120.0
"""How long a file may be refused because there are too many requests."""

LONGEST_SECONDS = 120.0
"""A file that one lane fetches takes no longer: it has 16 MiB at most."""

STUCK_SECONDS = 60.0
"""A node that has not let go of a batch so long after it was cut off has a disk that hangs."""

OVERDUE_SECONDS = 5.0
"""A batch that takes so much longer than it should is given up where other files wait in it."""

AGAIN_SECONDS = 0.2

JOIN_SECONDS = 2.0
"""Workers pay where this machine alone would need longer."""

START_SECONDS = 30.0
"""How long workers may take to start."""

UNREACHED = ("connect", "proxy", "tls")
TOO_MANY = (429, 503)
EXPIRED = (400, 403)
"""What stores say of a URL whose time is over, or that of the credentials which signed it."""


@dataclass(eq=False)
class Flight:
    """A batch that a hand fetches."""

    ticket: int
    host: Host
    hand: Hand
    tasks: list[Task]
    began: float
    is_written: bool
    """Whether the hand puts the files where they belong itself."""
    given_up_at: float | None = None


class Crew:
    """One run. ``run`` is called by the thread of the download."""

    def __init__(
        self,
        intake: Intake,
        account: Account,
        landing: Callable[[Desk], Landing],
        directory: Path,
        choice: ClusterChoice,
        options: Options,
        emit: Emit,
        control: Control,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._intake, self._account, self._directory = intake, account, directory
        self._choice, self._options, self._emit = choice, options, emit
        self._control = control
        self._desk = Desk(control, self._joined, self._left, clock)
        self._hosts = Hosts(options, emit)
        self._hands: dict[str, Hand] = {}
        self._flights: dict[int, Flight] = {}
        self._landing = landing(self._desk)
        self._large = LargeFiles(
            self._hosts.options_for,
            self._landing.fetch_large,
            lambda: self._landing.arrivals,
            self._desk.post,
            self._large_ended,
            self._tell,
        )
        account.large = lambda: self._large.under_way
        self._is_held = False
        self._alone_since = self._desk.clock()

    def run(self) -> dict[str, str]:
        """Until there is an account of every file. Raises RaydlError.

        Returns the nodes that were to get files of their own, and why one lacks some of them.
        """
        self._control.watch(lambda: None, self._hold)
        with contextlib.ExitStack() as stack:
            stack.callback(self._landing.close)
            stack.callback(self._large.close)
            stack.callback(self._intake.close)
            options = self._options
            # Threads have no labels: where some are asked for, this machine is a node, too.
            is_for_nodes = self._landing.is_for_nodes
            has_threads = options.fetch_here and not options.fetch_nodes and not is_for_nodes
            if has_threads:
                here = HereHand(self._landing.put_ca)
                self._hands[HERE] = here
                stack.callback(here.close)
            if self._choice.how != "none":
                as_node = is_for_nodes or (options.fetch_here and not has_threads)
                stack.enter_context(machines.cluster(self._choice, as_node, self._pays, self._hear))
            self._desk.run(self._turn)
            large = self._large.missing
            return {n: why or large.get(n, "") for n, why in self._landing.missing.items()}

    def _turn(self) -> bool:
        now = self._desk.clock()
        self._must_have_hands(now)
        self._take_in(now)
        self._landing.turn(now)
        busy = self._give_out(now)
        for host in self._hosts:
            host.tempo.look(host in busy, now)
        self._give_up_late(now)
        self._account.look(now, sum(hand.flying for hand in self._hands.values()))
        is_quiet = self._intake.is_over and not self._flights and self._large.is_idle
        is_quiet = is_quiet and all(host.is_idle for host in self._hosts)
        if is_quiet:
            self._large.catch_up()
        return is_quiet and self._large.is_idle and self._landing.is_over(now)

    def _hold(self, paused: bool) -> None:
        self._is_held = paused
        self._large.hold(paused)

    # --- who fetches ---

    def _must_have_hands(self, now: float) -> None:
        """Raise ClusterError where there has been nobody to fetch for too long."""
        if self._hands:
            self._alone_since = now
        elif now - self._alone_since > max(START_SECONDS, self._options.timeout):
            raise ClusterError(
                f"no node has been there to fetch with for {now - self._alone_since:.0f}s",
                "see `raydl nodes`; the same command goes on from here",
            )

    def _pays(self) -> bool:
        waiting = sum(len(host) * host.seconds / host.tempo.lanes for host in list(self._hosts))
        return not self._options.fetch_here or waiting > JOIN_SECONDS or not self._intake.is_over

    def _hear(self, message: Message) -> None:
        if isinstance(message, ConnectFailed | Disconnected) and HERE in self._hands:
            self._desk.post(partial(self._alone, message.error))
        else:
            self._desk.hear(message)

    def _alone(self, error: RaydlError) -> None:
        """The cluster cannot be used, and this machine can do it alone."""
        self._emit(Notice(f"going on without the cluster: {error}"))
        for node in [node for node in self._hands if node != HERE]:
            self._left(node, "the cluster is gone")

    def _joined(self, team: ActorTeam) -> None:
        labels = self._options.fetch_nodes
        is_here = isinstance(self._hands.get(team.node), HereHand)
        is_here = is_here or (team.node == HERE and not self._options.fetch_here)
        if not is_here and all(team.labels.get(key) == value for key, value in labels):
            self._drop(team.node)
            self._hands[team.node] = NodeHand(team, self._landing.put_ca)
            self._fleet_changed()
        self._landing.joined(team)

    def _left(self, node: str, reason: str) -> None:
        self._landing.left(node, reason)
        self._drop(node)

    def _drop(self, node: str) -> None:
        if isinstance(self._hands.get(node), HereHand):
            return  # threads of this process, whatever becomes of a worker on its node
        hand = self._hands.pop(node, None)
        for flight in [f for f in self._flights.values() if f.hand is hand]:
            self._lose(flight)
        self._fleet_changed()

    def _fleet_changed(self) -> None:
        for host in self._hosts:
            host.tempo.fleet(len(self._hands))

    # --- what is to be fetched ---

    def _take_in(self, now: float) -> None:
        """Read on in the list, as far as there is use for it."""
        waiting = sum(len(host) for host in self._hosts) + len(self._large)
        tasks = self._intake.take(waiting + self._landing.sorting)
        if tasks:
            self._desk.post(_nothing)  # there may be more to take in, without waiting for anything
            self._landing.sort(tasks, lambda wanted: self._want(wanted, now))

    def _want(self, tasks: list[Task], now: float) -> None:
        """These are to be fetched."""
        self._hosts.owner = self._intake.first
        for task in tasks:
            try:
                self._add(task, now)
            except RaydlError as error:
                self._give_up(task, error)

    def _add(self, task: Task, now: float) -> None:
        if task.is_large:
            self._large.add(task, self._directory / task.path)
        else:
            self._hosts.add(task, max(1, len(self._hands)), now)

    def _give_out(self, now: float) -> set[Host]:
        """Give lanes something to do; returns the hosts of which all lanes have."""
        busy: set[Host] = set()
        if self._is_held:
            return busy
        for host in self._hosts:
            host.ripen(now)
            while host.may_ask(now):
                hand = self._free_hand(host, now)
                if hand is None:
                    break
                self._start(host, hand, now)
            if len(host):
                busy.add(host)
        return busy

    def _free_hand(self, host: Host, now: float) -> Hand | None:
        """The one with the fewest batches under way, of those that may ask there."""
        able = [
            hand
            for hand in self._hands.values()
            if hand.flying < MOST_OF_NODE
            and not host.rests(hand.node, now)
            and (self._landing.writes(hand) or self._landing.has_room)
        ]
        return min(able, key=lambda hand: hand.flying, default=None)

    def _start(self, host: Host, hand: Hand, now: float) -> None:
        tasks = self._hosts.ready(host.batch(hand.seconds), self._give_up)
        if not tasks:
            return
        wishes = [self._landing.wish(task, hand) for task in tasks]
        is_written = any(wish.target or wish.put for wish in wishes)
        flight = Flight(next(tickets), host, hand, tasks, now, is_written)
        self._flights[flight.ticket] = flight
        host.flying += 1
        hand.flying += 1

        def done(outcomes: list[Outcome] | None, payload: Payload | None) -> None:
            self._desk.post(lambda: self._fetched(flight, outcomes, payload))

        hand.fetch(flight.ticket, host.source, wishes, host.tempo.pace, done)

    def _give_up_late(self, now: float) -> None:
        """Have others go on with what waits behind a file that takes very long; and no small file
        takes for ever."""
        longest = max(LONGEST_SECONDS, 4 * self._options.timeout)
        stuck: set[str] = set()
        for flight in self._flights.values():
            usual = len(flight.tasks) * max(flight.host.seconds, flight.host.tempo.pace)
            limit = OVERDUE_SECONDS + 10 * usual if len(flight.tasks) > 1 else longest
            if flight.given_up_at is None:
                if now - flight.began > limit:
                    flight.given_up_at = now
                    flight.hand.cancel(flight.ticket)
            elif now - flight.given_up_at > STUCK_SECONDS and isinstance(flight.hand, NodeHand):
                stuck.add(flight.hand.node)
        for node in stuck:
            self._emit(Notice(f"{node} does not answer: the others go on without it"))
            self._left(node, "it does not answer")

    # --- what came ---

    def _land(self, flight: Flight) -> bool:
        if self._flights.pop(flight.ticket, None) is None:
            return False
        flight.host.flying -= 1
        flight.hand.flying -= 1
        return True

    def _lose(self, flight: Flight) -> None:
        """Its node is gone."""
        if self._land(flight):
            for task in flight.tasks:
                task.may_be_there = task.may_be_there or flight.is_written
            self._ask_again(flight.host, flight.tasks, "its node was lost")

    def _ask_again(self, host: Host, tasks: list[Task], why: str) -> None:
        """Nobody's fault: no try, but it may not go on for ever."""
        for task in tasks:
            task.losses += 1
            if task.losses > MOST_LOSSES:
                self._give_up(task, Failure("lane", why).to_error())
            else:
                host.put_back([task])

    def _fetched(
        self, flight: Flight, outcomes: list[Outcome] | None, payload: Payload | None
    ) -> None:
        if outcomes is None:
            self._lose(flight)
            return
        if not self._land(flight):
            if payload is not None:
                payload.release()
            return
        now, host, node = self._desk.clock(), flight.host, flight.hand.node
        came: list[tuple[Task, Brought]] = []
        unasked: list[Task] = []
        count, size, seconds = 0, 0, 0.0
        for task, (state, *rest) in zip(flight.tasks, outcomes, strict=True):
            if state == UNASKED:
                unasked.append(task)
                continue
            if state != FAILED:
                count += 1
            if state == DONE:
                brought = Brought(*rest)
                size += brought.size
                seconds += brought.seconds
                host.served(node, brought.seconds, now)
                came.append((task, brought))
            elif state == SAME:
                seconds += host.seconds
                self._account.skipped(task, task.item.size or 0)
                self._landing.same(task)
            elif state == LARGE:
                self._large.add(task, self._directory / task.path)
            else:
                self._failed(flight, task, rest, now)
        if payload is not None and not size:
            payload.release()  # it is of nothing
            payload = None
        host.put_back(unasked)
        host.tempo.came(count, size, seconds, now)
        if self._landing.writes(flight.hand) or not came:
            if payload is not None:
                payload.release()
            for task, brought in came:
                self._saved(task, brought, node, None)
            return
        lost = partial(self._ask_again, host, why="its bytes were lost with their node")
        self._landing.save(payload, came, node, self._saved, lost)

    def _saved(
        self, task: Task, brought: Brought | None, node: str, error: RaydlError | None
    ) -> None:
        if error is not None:
            self._fail(task, error)
            self._must_go_on(error)
        elif brought is not None:
            self._account.done(task, brought, node)
            self._landing.note(task, brought)

    def _fail(self, task: Task, error: RaydlError) -> None:
        self._account.failed(task, error)
        if not task.may_be_there:  # else the next run has to know that
            self._landing.forget(task)

    def _failed(self, flight: Flight, task: Task, rest: list[object], now: float) -> None:
        host, kind = flight.host, rest[0]
        if kind == "error":
            name, message, hint = (str(text) for text in rest[1:])
            error = error_named(name, message, hint)
            if isinstance(error, TargetError) and self._may_be_ours(host, task, now):
                return
            self._give_up(task, error)
            self._must_go_on(error)
            return
        failure = Failure(*rest)  # type: ignore[arg-type]
        if kind == "cancelled" and len(flight.tasks) > 1:
            task.tries += 1  # it is alone from now on: perhaps another one was late
            host.retry(task, now)
            return
        if kind == "cancelled":
            failure = Failure("timeout", f"{task.path} did not come in time")
        if failure.status in TOO_MANY:
            host.tempo.complained(host.seconds, now)
            if failure.retry_after is not None:
                host.until = max(host.until, now + backoff.delay(1, failure.retry_after))
            if task.refused_at is None:
                task.refused_at = now
            if now - task.refused_at < REFUSED_SECONDS:
                host.add(task)  # behind all others, as each is refused when its turn comes
                return
        if kind in UNREACHED and host.unreached(flight.hand.node, now):
            self._ask_again(host, [task], failure.message)
            return
        for other in host.drain_if_gone(now) if kind in UNREACHED else ():
            self._give_up(other, failure.to_error())
        task.tries += 1
        most = min(self._options.retries, 1 if task.item.mirrors else MOST_TRIES - 1)
        # A signature may have expired while others were fetched: it is made anew, once.
        is_expired = failure.status in EXPIRED and is_store(task.item.url) and not task.was_refused
        task.was_refused = task.was_refused or is_expired
        if not (failure.retryable or is_expired) or task.tries > most:
            tries = f" ({task.tries} tries)" if task.tries > 1 else ""
            self._give_up(task, failure.to_error(tries))
        else:
            self._account.retries += 1
            host.retry(task, now + backoff.delay(task.tries, failure.retry_after))

    def _may_be_ours(self, host: Host, task: Task, now: float) -> bool:
        """Whether another line for the same file brought it, of which may not be heard yet."""
        if self._landing.is_there(task):
            return True
        task.tries += 1
        if task.tries < MOST_TRIES:
            host.retry(task, now + AGAIN_SECONDS)
        return task.tries < MOST_TRIES

    def _must_go_on(self, error: RaydlError) -> None:
        """Raise ``error`` where every other file would fail by it, too."""
        if isinstance(error, OutputError) and is_of_the_disk(error.message):
            raise error

    def _give_up(self, task: Task, error: RaydlError) -> None:
        """It does not come from there; another mirror may have it."""
        task.wrong += isinstance(error, ChecksumError)
        is_theirs = task.wrong < MOST_WRONG and not isinstance(error, OutputError | TargetError)
        while is_theirs and task.next_mirror():
            try:
                self._add(task, self._desk.clock())
            except RaydlError:
                continue
            self._account.retries += 1
            return
        self._fail(task, error)

    def _tell(self, text: str) -> None:
        self._emit(Notice(text))

    def _large_ended(self, job: Job, brought: Brought | None, error: RaydlError | None) -> None:
        if brought is not None and job.was_there:
            self._account.skipped(job.task, brought.size)
            self._landing.forget(job.task)
        else:
            self._saved(job.task, brought, "", error)


def _nothing() -> None:
    """It is time for another turn."""
