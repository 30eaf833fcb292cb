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
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from raydl.landing.account import (
    UNSTARTED,
    copies_now,
    error_of_all,
    give_up_the_rest,
    incomplete,
    shares,
)
from raydl.landing.agreement import Agreement
from raydl.landing.desk import Desk, Means, Placing
from raydl.landing.opening import RETURN_SECONDS, Opening
from raydl.landing.replicas import PIECE, SHARE, Phase, Replica, Replicas
from raydl.landing.shipping import Shipping
from raydl.model.errors import UsageError
from raydl.model.events import Notice, Verifying
from raydl.model.parts import Part
from raydl.model.report import Report
from raydl.model.weburl import redact
from raydl.origin.proof import is_asked_for
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import Answer, open_spec
from raydl.workers.protocol import Payload

GATHER_SECONDS = 2.0
"""How long the origin is not asked for anything, once the first node has said what it has, while
others have not: it may be all there."""

START_SECONDS = 20.0
"""How long a node's worker may take to start until the others do not wait for its digest."""

CLOSE_SECONDS = 3.0
SHOW_SECONDS = 0.25


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
        self._clock = self._desk.clock
        self._began = self._clock()
        self._replicas = Replicas(remote.size)
        self._key = secrets.token_hex(8)  # no two runs have the same, on any node
        self._agreement = Agreement(
            self._desk,
            self._replicas,
            self._key,
            means.proof,
            path,
            self._fail,
            self._published,
            self._doubt,
        )
        self._shipping = Shipping(
            self._desk, self._replicas, self._key, self._fail, self._agreement.look, means.emit
        )
        spec = open_spec(
            str(path), remote, means.found.identity,
            proof=means.proof, algorithm=self._agreement.algorithm, resume=options.resume,
            overwrite=options.overwrite, skip_existing=options.skip_existing,
            verify=options.verify, compare=is_asked_for(options),
        )  # fmt: skip
        self._opening = Opening(
            self._desk, self._replicas, self._key, spec, means.emit,
            self._fail, self._end, self._agreement.look,
        )  # fmt: skip
        self._job: Placing | None = None
        self._jobs: list[Placing] = []
        self._leave_job = contextlib.ExitStack()
        self._kept: int | None = None
        self._fetch_ended = 0.0
        self._quiet_since: float | None = None
        self._is_held = False
        self._dismissed = 0
        self._closed: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._show_at = 0.0

    # --- as a destination, on the scheduler's thread ---

    def take(self, part: Part, payload: Payload, node: str, done: Callable[[str], None]) -> None:
        """Have these bytes taken by the nodes that lack them."""
        self._shipping.take(part, payload, node, done)

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
        self._opening.go_on()
        self._shipping.go_on()
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
                self._agreement.judge()
        if self._desk.nodes and not len(self._replicas):
            raise no_such_label(wanted, self._desk.nodes.values())

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
        self._opening.open(replica, team)

    def _left(self, node: str, reason: str) -> None:
        replica = self._replicas.get(node)
        if replica is not None:
            self._shipping.stop(replica)
            replica.team = replica.opening = None
            if not replica.phase.is_over:
                replica.phase, replica.problem = Phase.LOST, reason
                replica.lost_at = self._clock()
        self._agreement.judge()

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
        first_at = self._opening.first_at
        return (first_at is not None and now - first_at > GATHER_SECONDS) or (
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

    def _published(self, replica: Replica) -> None:
        self._end(replica, Phase.DONE)

    def _doubt(self, replica: Replica) -> bool:
        """Its digest is not what was recorded of files that were there: have those read, and it
        start over, once. One that has rotted has the record still."""
        trusted = [r for r in self._replicas if r.phase is Phase.HAD and not r.was_read]
        if not trusted or not replica.from_peers:
            return False
        names = ", ".join(each.node for each in trusted)
        self._means.emit(
            Notice(f"what came to {replica.node} is not as recorded: the file of {names} is read")
        )
        for each in trusted:
            each.was_read = True
            if each.team is not None:
                self._opening.again(each, "close")
            else:  # its worker is lost: what was recorded of it proves nothing now
                each.digest = ""
        self._shipping.stop(replica)
        self._opening.again(replica, "drop")
        return True

    def _end(self, replica: Replica, phase: Phase) -> None:
        replica.phase, replica.problem = phase, ""
        replica.seconds = self._clock() - self._began
        self._agreement.judge()

    def _fail(
        self, replica: Replica, kind: str, message: str, hint: str, how: str = "close"
    ) -> None:
        """It does not get the file; its worker is to ``close`` or to ``drop`` what it has."""
        if replica.phase is Phase.FAILED:
            return
        replica.phase = Phase.FAILED
        replica.kind, replica.problem, replica.hint = kind, message, hint
        self._shipping.stop(replica)
        self._dismiss(replica, how)
        self._means.emit(Notice(f"{replica.node} does not get the file: {message}"))
        if all(each.phase is Phase.FAILED for each in self._replicas):
            raise error_of_all(self._replicas, self._path)
        self._agreement.judge()

    def _is_over(self, now: float) -> bool:
        if not len(self._replicas):
            return False
        open_ones = [replica for replica in self._replicas if not replica.phase.is_over]
        if any(self._is_busy(replica) for replica in open_ones):
            self._quiet_since = None
            return False
        if not open_ones:
            return True
        # Who left, or never came, may come yet, where its node is still there.
        self._quiet_since = self._quiet_since or now
        could_come = any(replica.node in self._desk.nodes for replica in open_ones)
        return not could_come or now - self._quiet_since > RETURN_SECONDS

    def _is_busy(self, replica: Replica) -> bool:
        """Whether something will become of it: it works, opens its file, or may yet start."""
        if replica.phase is Phase.LOST:
            return False
        is_there = replica.node in self._desk.teams
        return is_there if replica.phase is not Phase.AWAITED else replica.node in self._desk.nodes

    def _dismiss(self, replica: Replica, how: str) -> None:
        """Have its worker close the copy, or drop it; also one that has yet to open it."""
        team = replica.team or replica.opening
        replica.team = replica.opening = None
        if team is not None:
            self._dismissed += 1
            team.disk(how, self._key, done=self._closed.put)

    def _close_copies(self) -> None:
        """Let go of all copies; what there is is brought to the disks, if that is soon done."""
        for replica in self._replicas:
            self._dismiss(replica, "close")
        deadline = time.monotonic() + CLOSE_SECONDS
        with contextlib.suppress(queue.Empty):
            for _ in range(self._dismissed):
                self._closed.get(timeout=max(0.0, deadline - time.monotonic()))

    # --- what is said ---

    def _show(self, now: float) -> None:
        if now < self._show_at:
            return
        self._show_at = now + SHOW_SECONDS
        if len(self._replicas):
            self._means.emit(copies_now(self._replicas))

    def _report(self) -> Report:
        remote = self._means.found.remote
        for one, other in self._replicas.forget_restarted(self._desk.nodes):
            text = f"{one} is gone; {other}, which came later to the same address, has the file"
            self._means.emit(Notice(text))
        give_up_the_rest(self._replicas)
        digest = self._agreement.digest
        was_computed = any(replica.digest == digest != "" for replica in self._replicas)
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
            digests={self._agreement.algorithm: digest} if was_computed else {},
            nodes=shares(self._replicas, self._jobs, self._agreement.algorithm),
        )
        if any(not replica.phase.has_file for replica in self._replicas):
            error = incomplete(self._replicas, self._path)
            error.report = report
            raise error
        return report


def no_such_label(
    wanted: Iterable[tuple[str, str]], nodes: Iterable[Mapping[str, str]]
) -> UsageError:
    """The error where ``wanted`` labels are those of none of the ``nodes``."""
    label = ", ".join(f"{key}={value}" for key, value in wanted)
    # Those that Ray gives every node, such as its id, would be a long list.
    given = {f"{k}={v}" for labels in nodes for k, v in labels.items() if "ray.io/" not in k}
    known = (
        f"there are {', '.join(sorted(given))}" if given else "none has one that was given to it"
    )
    return UsageError(f"no node has the label {label}", known)
