"""Fetches many files: small ones in batches by lanes everywhere, large ones one by one."""

from __future__ import annotations

import contextlib
import heapq
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from raydl.cluster.address import ClusterChoice
from raydl.download.machines import machines
from raydl.download.monitoring import counted
from raydl.landing.desk import Desk
from raydl.many.account import Account
from raydl.many.answers import Answers, Flight
from raydl.many.hands import Hand, HereHand, NodeHand
from raydl.many.host import Host, Task
from raydl.many.hosts import Hosts
from raydl.many.intake import Intake
from raydl.many.landing import Landing
from raydl.many.large import LargeFiles
from raydl.many.signer import Signer
from raydl.many.tempo import MOST_OF_NODE
from raydl.model.control import Control
from raydl.model.errors import ClusterError, RaydlError
from raydl.model.events import Emit, Notice
from raydl.model.fileevents import HandNow, SlowFile
from raydl.settings.options import Options
from raydl.workers.actor import ActorTeam
from raydl.workers.protocol import HERE, ConnectFailed, Disconnected, Message, Payload, tickets
from raydl.workers.smallfiles import Outcome

LONGEST_SECONDS = 1024.0
"""A file that one lane fetches takes no longer: it has 16 MiB at most, of which 16 KiB a second."""

STUCK_SECONDS = 60.0
"""A node that has not let go of a batch so long after it was cut off has a disk that hangs."""

OVERDUE_SECONDS = 5.0
"""A batch that takes so much longer than it should is given up where other files wait in it."""

MOST_SLOW, SLOW_SECONDS = 3, 5.0
"""How many files are told of that have been under way for longest, and from when on."""

JOIN_SECONDS = 2.0
"""Workers pay where this machine alone would need longer."""

START_SECONDS = 30.0
"""How long workers may take to start."""


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
        self._answers = Answers(
            account,
            self._landing,
            self._add,
            self._add_large,
            options,
            self._desk.clock,
            self._tell,
        )
        self._large = LargeFiles(
            self._hosts.options_for,
            self._landing.fetch_large,
            lambda: self._landing.arrivals,
            self._desk.post,
            self._answers.large_ended,
            self._tell,
            self._answers.mirror_left,
            self._want_if_lacking,
            self._desk.clock,
        )
        self._signer = Signer(
            options.retries, self._answers.give_up, self._desk.post, self._desk.clock
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
                account = self._account  # small files; large ones are downloads, which count theirs
                account.emit = counted(account.emit, self._choice, self._landing.kind, stack)
            self._desk.run(self._turn)
            large = self._large.missing
            return {n: why or large.get(n, "") for n, why in self._landing.missing.items()}

    def _turn(self) -> bool:
        now = self._desk.clock()
        self._must_have_hands(now)
        self._take_in()
        self._landing.turn(now)
        busy = self._give_out(now)
        for host in self._hosts:
            if now >= host.until and not self._is_held:  # else nothing is asked that it could bear
                host.tempo.look(host in busy, host.seconds, now)
        self._give_up_late(now)
        self._account.look(now, self._at_work, lambda: self._slowest(now))
        is_quiet = self._intake.is_over and not self._flights and self._large.is_idle
        is_quiet = is_quiet and all(host.is_idle for host in self._hosts)
        if is_quiet:
            self._large.catch_up()
        return is_quiet and self._large.is_idle and self._landing.is_over(now)

    def _at_work(self) -> list[HandNow]:
        return [HandNow(hand.node, hand.flying) for hand in self._hands.values()]

    def _slowest(self, now: float) -> list[SlowFile]:
        """The few that have been under way for longest. Which one of a batch is, nobody knows."""
        under_way = self._large.running()
        for flight in self._flights.values():
            if len(flight.tasks) == 1:
                under_way.append(SlowFile(flight.tasks[0].path, now - flight.began))
        slow = (file for file in under_way if file.seconds >= SLOW_SECONDS)
        return heapq.nlargest(MOST_SLOW, slow, key=lambda file: file.seconds)

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
        self._emit(Notice(f"going on without the cluster: {error.line}"))
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

    def _take_in(self) -> None:
        """Read on in the list, as far as there is use for it."""
        waiting = sum(len(host) for host in self._hosts) + len(self._large)
        tasks = self._intake.take(waiting + self._landing.sorting)
        if tasks:
            self._desk.post(_nothing)  # there may be more to take in, without waiting for anything
            self._landing.sort(tasks, self._want)

    def _want(self, tasks: list[Task]) -> None:
        """These are to be fetched."""
        self._hosts.owner = self._intake.first
        for task in tasks:
            try:
                self._add(task)
            except RaydlError as error:
                self._answers.give_up(task, error)

    def _want_if_lacking(self, tasks: list[Task]) -> None:
        self._want([task for task in tasks if not self._landing.is_there(task)])

    def _add(self, task: Task) -> None:
        if task.is_large:
            self._add_large(task)
        else:
            self._hosts.add(task, max(1, len(self._hands)), self._desk.clock())

    def _add_large(self, task: Task) -> None:
        self._large.add(task, self._directory / task.path)

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
                if not host.is_store:
                    self._start(host, hand, host.batch(hand.seconds), now)
                elif host.signed:
                    self._start(host, hand, host.signed.popleft(), now)
                elif self._signer.may_sign(host, now):
                    self._signer.sign(host, host.batch(hand.seconds))
                else:
                    break
            if len(host):
                busy.add(host)
        return busy

    def _free_hand(self, host: Host, now: float) -> Hand | None:
        """The one with the fewest batches under way, of those that may ask there."""
        able = [
            hand
            for hand in self._hands.values()
            if hand.flying < MOST_OF_NODE
            and hand.holds < self._options.max_memory // 2
            and not host.rests(hand.node, now)
            and (self._landing.writes(hand) or self._landing.has_room)
        ]
        return min(able, key=lambda hand: hand.flying, default=None)

    def _start(self, host: Host, hand: Hand, tasks: list[Task], now: float) -> None:
        wishes = [self._landing.wish(task, hand) for task in tasks]
        is_written = any(wish.target or wish.put for wish in wishes)
        sent = (host.expects(t) for t, w in zip(tasks, wishes, strict=True) if w.put)
        holds = max(sent, default=0)  # one after the other
        flight = Flight(next(tickets), host, hand, tasks, now, is_written, holds=holds)
        self._flights[flight.ticket] = flight
        host.flying += 1
        hand.flying += 1
        hand.holds += holds

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
        flight.hand.holds -= flight.holds
        return True

    def _lose(self, flight: Flight) -> None:
        """Its node is gone."""
        if self._land(flight):
            self._answers.lost(flight)

    def _fetched(
        self, flight: Flight, outcomes: list[Outcome] | None, payload: Payload | None
    ) -> None:
        if outcomes is None:
            self._lose(flight)
        elif self._land(flight):
            self._answers.came(flight, outcomes, payload)
        elif payload is not None:
            payload.release()

    def _tell(self, text: str) -> None:
        self._emit(Notice(text))


def _nothing() -> None:
    """It is time for another turn."""
