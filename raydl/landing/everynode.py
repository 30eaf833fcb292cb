"""The file on the disk of every node: fetched once by all of them, and passed on among them.

A node's worker fetches a part into its object store, and the workers of all targets take it from
there, each as it can. What one could not take it gets later from the disk of a node that has it. So
do nodes that join later, and the origin is asked for nothing that some node has.
"""

from __future__ import annotations

import contextlib
import math
import queue
import secrets
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from raydl.landing.desk import Desk, Means, Placing
from raydl.landing.replicas import (
    MOST_CALLS,
    PIECE,
    SHARE,
    Phase,
    Replica,
    Replicas,
    Shipment,
)
from raydl.model import errors
from raydl.model.coverage import Coverage
from raydl.model.errors import BusyError, ChecksumError, IncompleteError, UsageError
from raydl.model.events import CopiesNow, CopyNow, Notice, Verifying
from raydl.model.parts import Part
from raydl.model.report import NodeShare, NodeShares, Report
from raydl.model.weburl import redact
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import LOST, Answer, open_spec
from raydl.workers.protocol import Payload

ALGORITHM = "sha256"
"""What copies are compared by, where no digest was given or stated."""

GATHER_SECONDS = 2.0
"""How long the origin is not asked for anything, once the first node has said what it has, while
others have not: it may be all there."""

START_SECONDS = 20.0
"""How long a node's worker may take to start until the others do not wait for its digest."""

RETURN_SECONDS = 10.0
"""How long a node that has lost its worker is waited for, when all others are done."""

REOPEN_SECONDS = 0.5
"""Until a copy is opened again that the worker before still has."""

SILENT_SECONDS = 2.0
"""Nothing is expected of a node that was not heard of for so long."""

LAND_SECONDS = 60.0
"""How long a worker waits for an object that nobody says is lost."""

CLOSE_SECONDS = 3.0
SHOW_SECONDS = 0.25

OVERDUE, UNSTARTED = "it does not answer", "no worker starts there"


def run(means: Means, path: Path) -> Report:
    """Have the file at ``path`` on every node. Raises RaydlError, of which IncompleteError."""
    return EveryNode(means, path).run()


class EveryNode:
    """A destination whose bytes are where they belong once a node has them on its disk."""

    here = in_order = False

    def __init__(
        self, means: Means, path: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        remote, options = means.found.remote, means.options
        assert remote.size is not None
        self._means, self._path, self._size = means, path, remote.size
        self._desk = Desk(means.control, self._joined, self._left, clock)
        self._clock, self._began = clock, clock()
        self._replicas = Replicas(remote.size)
        self._key = secrets.token_hex(8)  # no two runs have the same, on any node
        proof = means.proof
        self._algorithm = proof.checksum.algorithm if proof else ALGORITHM
        self._spec = open_spec(
            str(path), remote, means.found.identity,
            proof=proof, algorithm=self._algorithm, resume=options.resume,
            overwrite=options.overwrite, skip_existing=options.skip_existing,
            verify=options.verify,
        )  # fmt: skip
        self._digest = proof.checksum.hex if proof else ""
        self._unplaced: deque[Shipment] = deque()
        """What nobody that lacks it had room for."""
        self._shipments: set[Shipment] = set()
        self._job: Placing | None = None
        self._jobs: list[Placing] = []
        self._leave_job = contextlib.ExitStack()
        self._kept: int | None = None
        self._fetch_ended = 0.0
        self._first_open = 0.0
        self._quiet_since: float | None = None
        self._is_held = False
        self._dismissed = 0
        self._closed: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._show_at = 0.0

    # --- as a destination, on the scheduler's thread ---

    def take(self, part: Part, payload: Payload, node: str, done: Callable[[str], None]) -> None:
        """Have these bytes taken by the nodes that lack them."""
        shipment = Shipment(part.start, part.stop, node, payload.ref, done)
        self._desk.post(partial(self._offer, shipment))

    def end(self, error: BaseException | None) -> None:
        """All was fetched, or it cannot be."""
        if error is not None:
            self._desk.fail(error)
        else:
            self._desk.post(self._end_job)

    # --- in the thread of the download ---

    def run(self) -> Report:
        """Until every node has the file, or will not have it."""
        control = self._means.control
        control.watch(lambda: None, self._hold)
        with self._means.fleet(self._desk.hear):
            try:
                self._desk.run(self._turn)
            finally:
                self._show(math.inf)
                control.kept = self._replicas.there().size
                self._end_job()
                self._close_copies()
        return self._report()

    def _turn(self) -> bool:
        """Do what is to be done; returns whether that was all."""
        now = self._clock()
        self._meet_nodes(now)
        self._open_again(now)
        self._forget_the_silent()
        self._place_again()
        self._read_on()
        self._fetch_on(now)
        self._show(now)
        return self._is_over(now)

    def _hold(self, paused: bool) -> None:
        self._is_held = paused
        if self._job is not None:
            self._job.hold(paused)

    # --- nodes ---

    def _meet_nodes(self, now: float) -> None:
        wanted = self._means.options.nodes
        for node, labels in self._desk.nodes.items():
            if all(labels.get(key) == value for key, value in wanted):
                self._replicas.add(node, now)
        for replica in self._replicas:
            if replica.phase is Phase.AWAITED and (
                now - replica.since > START_SECONDS or replica.node not in self._desk.nodes
            ):
                replica.phase, replica.problem = Phase.LOST, UNSTARTED
                self._judge()
        if self._desk.nodes and not len(self._replicas):
            label = ", ".join(f"{key}={value}" for key, value in wanted)
            raise UsageError(f"no node has the label {label}", "see `raydl nodes`")

    def _joined(self, team: ActorTeam) -> None:
        self._meet_nodes(self._clock())
        replica = self._replicas.get(team.node)
        if replica is None or replica.phase in (Phase.FAILED, Phase.SKIPPED):
            return
        limit = self._means.options.max_memory
        store = team.place.object_store
        replica.room = max(PIECE, min(limit, store // SHARE if store else limit) // SHARE)
        if not replica.phase.is_over:
            replica.phase = Phase.OPENING
        self._open(replica, team)

    def _open(self, replica: Replica, team: ActorTeam) -> None:
        replica.reopen_at = None
        opened = self._back(self._opened, replica, team)
        team.disk("open", self._key, self._spec, done=opened)

    def _left(self, node: str, reason: str) -> None:
        replica = self._replicas.get(node)
        if replica is not None:
            self._stop(replica)
            replica.team = None
            if not replica.phase.is_over:
                replica.phase, replica.problem = Phase.LOST, reason
                replica.lost_at = self._clock()
        self._judge()

    def _opened(self, replica: Replica, team: ActorTeam, answer: Answer) -> None:
        problem, found = answer
        if self._desk.teams.get(replica.node) is not team:
            return
        self._first_open = self._first_open or self._clock()
        if problem is not None and problem[0] == BusyError.__name__ and self._was_lost(replica):
            replica.reopen_at = self._clock() + REOPEN_SECONDS
            return
        if problem is not None:
            self._fail(replica, *problem)
            return
        state, covered, note, digest = found
        if state == "skipped":
            self._end(replica, Phase.SKIPPED)
            return
        replica.begin(team, Coverage.parse(covered))
        if state == "have":
            replica.digest = replica.digest or digest
            if not replica.phase.is_over:
                self._end(replica, Phase.HAD)
            return
        if replica.phase.is_over:  # it had the file, and that is gone
            return
        replica.phase, replica.problem = Phase.RECEIVING, ""
        if note:
            self._means.emit(Notice(f"{replica.node}: {note}"))
        self._see_whether_whole(replica)

    def _was_lost(self, replica: Replica) -> bool:
        """Whether it had a worker until just now, which may not have ended yet."""
        return self._clock() - replica.lost_at < RETURN_SECONDS

    def _open_again(self, now: float) -> None:
        for replica in self._replicas:
            team = self._desk.teams.get(replica.node)
            if replica.reopen_at is not None and now >= replica.reopen_at and team is not None:
                self._open(replica, team)

    def _is_silent(self, node: str) -> bool:
        team = self._desk.teams.get(node)
        if team is None:
            return True
        heard = self._desk.heard_at[node]
        return self._clock() - heard > max(SILENT_SECONDS, 3 * team.period)

    def _forget_the_silent(self) -> None:
        """What lies on a node that is gone, or silent, will not come: nobody shall wait for it."""
        for shipment in [s for s in self._shipments if not self._can_come(s)]:
            if shipment.ref is None:  # it was to be read there
                self._give_up(shipment)
                continue
            for replica in list(shipment.waiting):
                if replica.team is None or self._is_silent(replica.node):
                    replica.came(shipment, False)
                elif not shipment.is_lost:
                    replica.team.disk_at_once("forget", self._key, [shipment.start])
            shipment.is_lost = True
            if not shipment.waiting:
                self._settle(shipment)

    def _can_come(self, shipment: Shipment) -> bool:
        """Whether its bytes can be had. A node may have been started again, without them."""
        is_there = self._desk.teams.get(shipment.holder) is shipment.team is not None
        return is_there and not self._is_silent(shipment.holder)

    # --- bytes ---

    def _offer(self, shipment: Shipment) -> None:
        """Have them taken by who lacks them and has room; later, where nobody has."""
        takers = self._replicas.takers(shipment.start, shipment.stop)
        able = [replica for replica in takers if replica.has_room(shipment.size)]
        if able:
            shipment.team = self._desk.teams.get(shipment.holder)
            self._shipments.add(shipment)
            self._send(shipment, able)
        elif self._replicas.there().covers(shipment.start, shipment.stop):
            shipment.acknowledge()
        elif all(replica.phase.is_over for replica in self._replicas):
            shipment.acknowledge("no node is left that could take them")
        else:  # those that lack them have no room, or wait for the same bytes from elsewhere
            self._unplaced.append(shipment)

    def _place_again(self) -> None:
        for _ in range(len(self._unplaced)):
            self._offer(self._unplaced.popleft())

    def _send(self, shipment: Shipment, takers: list[Replica]) -> None:
        for replica in takers:
            replica.claim(shipment)
        for replica in takers:
            replica.queue.append(shipment)
            self._call(replica)

    def _call(self, replica: Replica) -> None:
        """Have its worker take what waits for it."""
        while replica.queue and replica.calls < MOST_CALLS and replica.team is not None:
            batch = replica.next_batch()
            if not batch:
                return
            items = [(s.start, s.stop, s.ref) for s in batch]
            replica.calls += 1
            landed = self._back(self._landed, replica, replica.team, batch)
            replica.team.disk("land_all", self._key, items, LAND_SECONDS, done=landed)

    def _landed(
        self, replica: Replica, team: ActorTeam, batch: list[Shipment], answers: Any
    ) -> None:
        if replica.team is not team:
            return  # it was lost meanwhile, and what was on its way to it
        replica.calls -= 1
        if isinstance(answers, tuple):  # the worker is lost
            answers = [answers] * len(batch)
        for shipment, (problem, _) in zip(batch, answers, strict=True):
            replica.came(shipment, problem is None)
            if problem is None:
                shipment.landed = True
                shipment.acknowledge()
            elif problem[0] != LOST:
                self._fail(replica, *problem)
            if not shipment.waiting:
                self._settle(shipment)
        self._call(replica)
        self._see_whether_whole(replica)

    def _settle(self, shipment: Shipment) -> None:
        """Nobody waits for these bytes any more."""
        self._shipments.discard(shipment)
        shipment.acknowledge("no node has taken them")
        shipment.ref = None

    # --- what others read for those that lack it ---

    def _read_on(self) -> None:
        while (found := self._replicas.next_read(self._is_silent)) is not None:
            source, start, stop = found
            shipment = Shipment(start, stop, source.node, team=source.team)
            takers = [
                replica
                for replica in self._replicas.takers(start, stop)
                if replica is not source and replica.has_room(stop - start)
            ]
            for replica in takers:
                replica.claim(shipment)
            source.reads += 1
            self._shipments.add(shipment)
            assert source.team is not None
            read = self._back(self._was_read, shipment, source, source.team)
            source.team.read(self._key, start, stop, partial(_both, read))

    def _was_read(
        self, shipment: Shipment, source: Replica, team: ActorTeam, come: tuple[Answer, Any]
    ) -> None:
        (problem, _), payload = come
        source.reads -= 1
        if shipment not in self._shipments:
            return
        if problem is not None:
            self._give_up(shipment)
            if problem[0] != LOST and source.team is team:
                self._distrust(source, *problem)
            return
        shipment.ref = payload.ref
        takers = list(shipment.waiting)
        for replica in takers:
            replica.queue.append(shipment)
            self._call(replica)
        if not takers:
            self._settle(shipment)

    def _stop(self, replica: Replica) -> None:
        """Nothing goes to that copy any more."""
        for shipment in replica.stop():
            if not shipment.waiting:
                self._settle(shipment)

    def _give_up(self, shipment: Shipment) -> None:
        for replica in list(shipment.waiting):
            replica.came(shipment, False)
        self._settle(shipment)

    def _distrust(self, source: Replica, kind: str, message: str, hint: str) -> None:
        """Its copy cannot be read: it gives nothing to others any more."""
        if source.phase.is_over:
            source.team = None
        else:
            self._fail(source, kind, message, hint)

    # --- the origin ---

    def _fetch_on(self, now: float) -> None:
        """Have fetched what no node has, once it is known what they have."""
        if self._job is not None or not self._is_known_who_has_what(now):
            return
        there = self._replicas.there()
        if self._kept is None:
            self._kept = there.size
        if there.size == self._size:
            return
        if not any(replica.phase is Phase.RECEIVING for replica in self._replicas):
            return
        self._job = self._leave_job.enter_context(self._means.fetch(self, there))
        self._jobs.append(self._job)
        if self._is_held:
            self._job.hold(True)
        self._job.begin()

    def _is_known_who_has_what(self, now: float) -> bool:
        waited = self._first_open and now - self._first_open > GATHER_SECONDS
        return bool(waited) or (
            len(self._replicas) > 0
            and not any(r.phase in (Phase.AWAITED, Phase.OPENING) for r in self._replicas)
        )

    def _end_job(self) -> None:
        if self._job is not None:
            self._means.emit(Verifying())
        self._job = None
        self._fetch_ended = self._clock()
        self._leave_job.close()

    # --- the ends ---

    def _see_whether_whole(self, replica: Replica) -> None:
        if replica.phase is Phase.RECEIVING and replica.written.size == self._size:
            replica.phase = Phase.VERIFYING
            assert replica.team is not None
            summed = self._back(self._summed, replica, replica.team)
            replica.team.disk("digest", self._key, done=summed)

    def _summed(self, replica: Replica, team: ActorTeam, answer: Answer) -> None:
        problem, digest = answer
        if replica.team is not team or replica.phase is not Phase.VERIFYING:
            return
        if problem is not None:
            if problem[0] != LOST:
                self._fail(replica, *problem)
            return
        replica.digest = digest
        self._judge()

    def _judge(self) -> None:
        """Give the copies their name whose digest is right, and drop the others."""
        expected, wrong = self._digest, []
        if expected:
            wrong = [r for r in self._replicas if r.digest not in ("", expected)]
        else:
            expected, wrong = self._replicas.verdict()
        for replica in wrong:
            if replica.phase in (Phase.VERIFYING, Phase.HAD):
                self._refuse(replica, expected)
        for replica in self._replicas:
            right = replica.digest == expected != ""
            if replica.phase is Phase.VERIFYING and right and replica.team is not None:
                published = self._back(self._published, replica, replica.team)
                replica.phase = Phase.PUBLISHING
                replica.team.disk("publish", self._key, done=published)

    def _refuse(self, replica: Replica, expected: str) -> None:
        proof = self._means.proof
        if proof is not None:
            what = f"{self._path} has {self._algorithm} {replica.digest}, not {expected}"
            hint = "the file is another one, or the checksum is; the bytes were discarded"
        else:
            what = f"its {self._algorithm} {replica.digest} is not that of the others"
            hint = "run the same command again"
        how = "drop" if replica.phase is Phase.VERIFYING else "close"
        self._fail(replica, ChecksumError.__name__, what, hint, how)
        replica.written, replica.claimed = Coverage(), Coverage()

    def _published(self, replica: Replica, team: ActorTeam, answer: Answer) -> None:
        problem, _ = answer
        if replica.team is not team or replica.phase is not Phase.PUBLISHING:
            return
        if problem is None:
            self._end(replica, Phase.DONE)
        elif problem[0] != LOST:
            self._fail(replica, *problem)

    def _end(self, replica: Replica, phase: Phase) -> None:
        replica.phase, replica.problem = phase, ""
        replica.seconds = self._clock() - self._began
        self._judge()

    def _fail(
        self, replica: Replica, kind: str, message: str, hint: str, how: str = "close"
    ) -> None:
        """It does not get the file; its worker is to ``close`` or to ``drop`` what it has."""
        if replica.phase is Phase.FAILED:
            return
        replica.phase = Phase.FAILED
        replica.kind, replica.problem, replica.hint = kind, message, hint
        self._stop(replica)
        if replica.team is not None:
            self._dismiss(replica.team, how)
        replica.team = None
        self._means.emit(Notice(f"{replica.node} does not get the file: {message}"))
        if all(each.phase is Phase.FAILED for each in self._replicas):
            self._raise_for_all()
        self._judge()

    def _raise_for_all(self) -> None:
        """All have failed: with the error of the first, where all failed alike."""
        failed = list(self._replicas)
        first = failed[0]
        if len({replica.kind for replica in failed}) > 1:
            raise self._incomplete()
        where = f"every node: {first.node}" if len(failed) > 1 else first.node
        cls = getattr(errors, first.kind, errors.RaydlError)
        raise cls(f"{where}: {first.problem}", first.hint)

    def _is_over(self, now: float) -> bool:
        if not len(self._replicas):
            return False
        open_ones = [replica for replica in self._replicas if not replica.phase.is_over]
        away = (Phase.LOST, Phase.AWAITED)
        if any(replica.phase not in away and replica.team is not None for replica in open_ones):
            self._quiet_since = None
            return False
        if not open_ones:
            return True
        # Who left, or never came, may come yet, where its node is still there.
        self._quiet_since = self._quiet_since or now
        could_come = any(replica.node in self._desk.nodes for replica in open_ones)
        return not could_come or now - self._quiet_since > RETURN_SECONDS

    def _dismiss(self, team: ActorTeam, how: str) -> None:
        """Have a worker close its copy, or drop it."""
        self._dismissed += 1
        team.disk(how, self._key, done=self._closed.put)

    def _close_copies(self) -> None:
        """Let go of all copies; what there is is brought to the disks, if that is soon done."""
        for replica in self._replicas:
            if replica.team is not None:
                self._dismiss(replica.team, "close")
        deadline = time.monotonic() + CLOSE_SECONDS
        with contextlib.suppress(queue.Empty):
            for _ in range(self._dismissed):
                self._closed.get(timeout=max(0.0, deadline - time.monotonic()))

    def _back(self, call: Callable[..., None], *args: Any) -> Callable[[Any], None]:
        """What a worker's answer is to be given to: it is taken up in the download's thread."""
        return lambda answer: self._desk.post(partial(call, *args, answer))

    # --- what is said ---

    def _show(self, now: float) -> None:
        if now < self._show_at:
            return
        self._show_at = now + SHOW_SECONDS
        copies = tuple(
            CopyNow(r.node, r.phase.value, r.written.size, r.from_origin, r.from_peers, r.problem)
            for r in self._replicas
        )
        if copies:
            self._means.emit(CopiesNow(self._size, copies))

    def _incomplete(self) -> IncompleteError:
        missing = [replica for replica in self._replicas if not replica.phase.has_file]
        each = "; ".join(f"{r.node}: {r.problem or OVERDUE}" for r in missing)
        return IncompleteError(
            f"{len(missing)} of {len(self._replicas)} nodes do not have {self._path}: {each}",
            "the same command goes on with just these",
        )

    def _report(self) -> Report:
        remote = self._means.found.remote
        for replica in self._replicas:
            if not replica.phase.is_over:
                overdue = UNSTARTED if replica.phase is Phase.AWAITED else OVERDUE
                replica.problem = replica.problem or overdue
                replica.phase = Phase.FAILED
        fetched = sum(share.bytes for job in self._jobs for share in job.meter.shares())
        report = Report(
            url=redact(remote.url),
            path=str(self._path),
            size=self._size,
            fetched=fetched,
            resumed=self._kept or 0,
            skipped=all(r.phase in (Phase.HAD, Phase.SKIPPED) for r in self._replicas),
            seconds=self._clock() - self._began,
            transfer_seconds=self._fetch_ended - self._began if self._jobs else 0.0,
            parts=sum(job.parts for job in self._jobs),
            retries=sum(job.meter.retried for job in self._jobs),
            wasted=sum(job.meter.wasted for job in self._jobs),
            limit=self._jobs[0].limit if self._jobs else "",
            digests={self._algorithm: self._digest} if self._digest else {},
            nodes=self._shares(),
        )
        if any(not replica.phase.has_file for replica in self._replicas):
            error = self._incomplete()
            error.report = report
            raise error
        return report

    def _shares(self) -> NodeShares:
        fetched = {s.node: s for job in self._jobs for s in job.meter.shares()}
        rows = [
            NodeShare(
                r.node,
                fetched[r.node].bytes if r.node in fetched else 0,
                fetched[r.node].lanes if r.node in fetched else 0,
                state=r.phase.value,
                from_peers=r.from_peers,
                seconds=round(r.seconds, 3),
                digest=f"{self._algorithm}:{r.digest}" if r.digest else "",
                problem=r.problem,
            )
            for r in self._replicas
        ]
        others = [share for node, share in fetched.items() if self._replicas.get(node) is None]
        return NodeShares((*rows, *others))


def _both(call: Callable[[Any], None], *both: Any) -> None:
    call(both)
