"""Many files to a directory of every node: fetched once, and put on the disk by each.

A node fetches a batch into its object store, and all nodes that lack files of it take them from
there. Who comes late, or back, catches up from the disks of others: the roll says what there is.
"""

from __future__ import annotations

import math
import queue
import secrets
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from raydl.landing.account import OVERDUE, UNSTARTED
from raydl.landing.desk import Desk
from raydl.landing.everynode import no_such_label
from raydl.landing.opening import REOPEN_SECONDS, RETURN_SECONDS
from raydl.many import onelarge
from raydl.many.account import Account
from raydl.many.catchup import CatchUp
from raydl.many.copies import Copy, Group, Phase, Roll, Row
from raydl.many.hands import Hand
from raydl.many.host import Task
from raydl.many.landing import Came, Links, Lost, Saved
from raydl.many.large import Job
from raydl.model.errors import BusyError, RaydlError, TargetError, error_named
from raydl.model.events import Emit, Notice
from raydl.output.shelf import HAS, Found
from raydl.settings.options import Options
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import LOST, Answer
from raydl.workers.protocol import Payload
from raydl.workers.smallfiles import MOST_KEPT, Brought, Wish

GATHER_SECONDS = 2.0
"""How long nothing is asked for, once the first node is ready, while others are not."""

LATE_SECONDS = 10.0
"""A node that takes so much longer than another catches up later."""

STUCK_SECONDS = 90.0
"""A worker that has not answered a call for so long has a disk that does not answer."""

START_SECONDS = 20.0
"""How long a node's worker may take to start until it counts as lost."""

CLOSE_SECONDS = 3.0


class EveryNode:
    """The destination. All is done in the desk's thread."""

    is_for_nodes = True
    put_ca: str | None = None

    def __init__(
        self,
        desk: Desk,
        directory: Path,
        options: Options,
        if_changed: bool,
        account: Account,
        emit: Emit,
        links: Links | None,
    ) -> None:
        self._desk, self._directory, self._options = desk, directory, options
        self._if_changed, self._account, self._emit = if_changed, account, emit
        self._links = links
        self._key = secrets.token_hex(8)  # no two runs have the same, on any node
        self._roll = Roll()
        self._copies: dict[str, Copy] = {}
        self._first_at: float | None = None
        self._unsorted: list[tuple[list[Task], Callable[[list[Task]], None]]] = []
        self._looks = 0
        self._groups: list[Group] = []
        self._saving: dict[Group, int] = {}
        self._closed: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self.arrivals = 0

    # --- nodes ---

    def joined(self, team: ActorTeam) -> None:
        """A node has a worker: have it open its directory."""
        self._meet_nodes()
        copy = self._copies.get(team.node)
        if copy is not None and copy.team is not team and copy.phase is not Phase.FAILED:
            self._begin(copy, team)

    def left(self, node: str, reason: str) -> None:
        """It has none any more; it may come back."""
        copy = self._copies.get(node)
        if copy is not None and copy.phase is not Phase.FAILED:
            copy.lose(reason, self._desk.clock())
            self._drop_from_groups(copy)

    def _meet_nodes(self) -> None:
        wanted = self._options.nodes
        for node, labels in self._desk.nodes.items():
            fits = all(labels.get(key) == value for key, value in wanted)
            if fits and node not in self._copies:
                copy = self._copies[node] = Copy(node, self._desk.clock())
                if node in self._desk.teams:
                    self._begin(copy, self._desk.teams[node])
        if self._desk.nodes and not self._copies:
            raise no_such_label(wanted, self._desk.nodes.values())

    def _begin(self, copy: Copy, team: ActorTeam) -> None:
        copy.lose("", self._desk.clock())  # whatever a worker before this one knew
        self._drop_from_groups(copy)
        copy.phase, copy.team, copy.at, copy.is_linked = Phase.OPENING, team, 0, False
        self._open(copy)

    def _open(self, copy: Copy) -> None:
        options, copy.reopen_at = self._options, math.inf
        arguments = (
            self._key, str(self._directory), options.overwrite, options.skip_existing,
        )  # fmt: skip
        self._ask(copy, partial(self._opened, copy), "open", *arguments)

    def _opened(self, copy: Copy, answer: Answer) -> None:
        problem, _ = answer
        now = self._desk.clock()
        if problem is None:
            copy.phase, copy.problem = Phase.READY, ""
            self._first_at = self._first_at or now
            self.arrivals += 1
        elif problem[0] == BusyError.__name__ and now - copy.since < RETURN_SECONDS:
            copy.reopen_at = now + REOPEN_SECONDS  # the run before may be about to let go of it
        elif problem[0] == BusyError.__name__ and self._ready():
            hint = "--to shared is for a directory that nodes share"
            self._fail(copy, problem[0], f"{self._directory} is another node's, too", hint)
        else:
            self._fail(copy, *problem)

    def _ready(self) -> list[Copy]:
        return [copy for copy in self._copies.values() if copy.phase is Phase.READY]

    def _fail(self, copy: Copy, kind: str, message: str, hint: str) -> None:
        """It gets nothing more. Raises RaydlError where no other is left."""
        copy.phase = Phase.FAILED
        copy.kind, copy.problem, copy.hint = kind, message, hint
        self._drop_from_groups(copy)
        if copy.team is not None:
            copy.team.shelf("close", self._key, done=_ignore)
        self._emit(Notice(f"{copy.node} does not get the files: {message}"))
        if all(each.phase is Phase.FAILED for each in self._copies.values()):
            raise error_named(kind, f"every node: {copy.node}: {message}", hint)

    def _drop_from_groups(self, copy: Copy) -> None:
        for group in self._groups:
            group.awaited.discard(copy)

    # --- calls ---

    def _ask(self, copy: Copy, then: Callable[[Answer], None], method: str, *args: Any) -> None:
        """``then`` gets the answer, unless the worker is lost before."""
        team, call = copy.team, object()
        assert team is not None
        copy.calls[call] = self._desk.clock()
        answered = self._desk.answer(self._answered, copy, call, then)
        team.shelf(method, *args, done=answered)

    def _answered(
        self, copy: Copy, call: object, then: Callable[[Answer], None], answer: Answer
    ) -> None:
        if copy.calls.pop(call, None) is not None and copy.phase is not Phase.FAILED:
            then(answer)

    def _ask_all(
        self, method: str, *args: Any, done: Callable[[dict[Copy, Answer]], None]
    ) -> Group:
        """The same of all that are ready."""
        copies = self._ready()
        group = Group(copies, self._desk.clock() + LATE_SECONDS, done)
        self._groups.append(group)
        for copy in copies:
            self._ask(copy, partial(group.answered, copy), method, self._key, *args)
        return group

    # --- what is there ---

    @property
    def sorting(self) -> int:
        """See ``Landing``."""
        return self._looks + sum(len(tasks) for tasks, _ in self._unsorted)

    def sort(self, tasks: list[Task], wanted: Callable[[list[Task]], None]) -> None:
        """See ``Landing``: once it is known who is there."""
        self._unsorted.append((tasks, wanted))

    def _sort_on(self, now: float) -> None:
        if not self._unsorted or self._first_at is None:
            return
        is_gathered = not any(c.phase is Phase.OPENING for c in self._copies.values())
        if (is_gathered or now - self._first_at > GATHER_SECONDS) and self._ready():
            unsorted, self._unsorted = self._unsorted, []
            for tasks, wanted in unsorted:
                self._looks += len(tasks)
                places = [tuple(task.place) for task in tasks]
                self._ask_all("look", places, done=partial(self._looked, tasks, wanted))

    def _looked(
        self,
        tasks: list[Task],
        wanted: Callable[[list[Task]], None],
        answers: dict[Copy, Answer],
    ) -> None:
        self._looks -= len(tasks)
        by_copy = {copy: found for copy, found in self._results(answers).items() if found}
        if not by_copy:
            self._unsorted.append((tasks, wanted))
            return
        lacking: list[Task] = []
        for number, task in enumerate(tasks):
            found = {copy: Found(*each[number]) for copy, each in by_copy.items()}
            if self._is_wanted(task, found):
                lacking.append(task)
        wanted(lacking)

    def _is_wanted(self, task: Task, found: dict[Copy, Found]) -> bool:
        """Whether to ask the origin; else some node has it, and those that lack it catch up."""
        have = [copy for copy, each in found.items() if each.state == HAS]
        sources = [found[copy] for copy in have if found[copy].stamp is not None]
        if self._if_changed and sources:
            versions = {(each.etag, each.last_modified) for each in found.values()}
            if len(versions) == 1:
                task.etag, task.last_modified = versions.pop()
            return True
        if not have or (len(have) < len(found) and not sources):
            return True
        size = found[have[0]].size
        self._account.skipped(task, size)
        known = sources[0] if sources else found[have[0]]
        digest = str(task.item.digest or "")
        self._enrol(Row(task.place, size, known.etag, known.last_modified, digest), have)
        return False

    def _results(self, answers: dict[Copy, Answer]) -> dict[Copy, Any]:
        """The results of those that have one. A disk that fails ends its copy."""
        results = {}
        for copy, (problem, result) in answers.items():
            if problem is None:
                results[copy] = result
            elif problem[0] != LOST:
                self._fail(copy, *problem)
        return results

    def _enrol(self, row: Row, have: Iterable[Copy]) -> None:
        """These copies have it; all others lack it, as far as is known."""
        start = self._roll.end
        self._roll.add(row)
        for copy in have:
            copy.came(start, self._roll.end)

    # --- what comes ---

    def writes(self, hand: Hand) -> bool:  # noqa: ARG002 - as others need it
        """See ``Landing``: all that comes is put on the disks from the object store."""
        return False

    def wish(self, task: Task, hand: Hand) -> Wish:  # noqa: ARG002
        """See ``Landing``."""
        return task.wish(None, self._options.origin_digest, self._options.overwrite)

    @property
    def has_room(self) -> bool:
        """See ``Landing``."""
        limit = self._options.max_memory // 2
        taken = sum(self._saving.values())
        return bool(self._ready()) and (not taken or taken + MOST_KEPT <= limit)

    def save(
        self, payload: Payload | None, came: Came, node: str, saved: Saved, lost: Lost
    ) -> None:
        """See ``Landing``."""
        rows = [Row(task.place, b.size, b.etag, b.last_modified, b.digest) for task, b in came]
        ref = [] if payload is None else [payload.ref]

        def done(answers: dict[Copy, Answer]) -> None:
            self._saving.pop(group)
            if payload is not None:
                payload.release()
            results = self._results(answers)
            if not results:
                lost([task for task, _ in came])
            for number, (row, (task, brought)) in enumerate(zip(rows, came, strict=True)):
                if results:
                    refusals = {copy: each[number] for copy, each in results.items()}
                    saved(task, brought, node, self._outcome(row, refusals))

        copies = [row.copy for row in rows]
        group = self._ask_all("put", copies, self._if_changed, False, ref, done=done)
        self._saving[group] = sum(row.size for row in rows)

    def _outcome(self, row: Row, refusals: dict[Copy, Any]) -> RaydlError | None:
        """Note who has the file; the error where one cannot have it for what is there."""
        error = None
        have = []
        for copy, refusal in refusals.items():
            if refusal is None:
                have.append(copy)
            elif refusal[0] == TargetError.__name__:
                error = TargetError(f"{copy.node}: {refusal[1]}", refusal[2])
            elif copy.phase is Phase.READY:
                self._fail(copy, *refusal)
        if have and error is None:
            self._enrol(row, have)
        return error

    def fetch_large(self, job: Job, options: Options) -> Brought:
        """See ``Landing``."""
        return onelarge.to_nodes(job, options)

    def note(self, task: Task, brought: Brought) -> None:
        """Nothing: each node knows what it has."""

    def forget(self, task: Task) -> None:
        """Nothing, either."""

    def is_there(self, task: Task) -> bool:  # noqa: ARG002 - as others need it
        """See ``Landing``: an error of a node says what it is."""
        return False

    # --- the end ---

    def turn(self, now: float) -> None:
        """See ``Landing``."""
        self._meet_nodes()
        self._look_after(now)
        over = [group for group in self._groups if group.end_if_over(now)]
        self._groups = [group for group in self._groups if group not in over]
        self._sort_on(now)
        for copy in self._ready():
            if copy.at < self._roll.end and not copy.is_catching_up:
                CatchUp(self._desk, self._key, copy, self._roll, self._ready, self._ask).begin()

    def is_over(self, now: float) -> bool:
        """See ``Landing``."""
        if self._groups or self.sorting or any(c.at < self._roll.end for c in self._ready()):
            return False
        return self._are_linked() and not any(
            self._may_come(copy, now) for copy in self._copies.values()
        )

    def _look_after(self, now: float) -> None:
        for copy in list(self._copies.values()):
            if copy.phase is Phase.OPENING and copy.team is None:
                if now - copy.since > START_SECONDS or copy.node not in self._desk.nodes:
                    copy.lose(UNSTARTED, now)
            elif now >= copy.reopen_at:
                self._open(copy)
            elif any(now - began > STUCK_SECONDS for began in copy.calls.values()):
                self._fail(copy, "OutputError", "its disk does not answer", "")

    def _may_come(self, copy: Copy, now: float) -> bool:
        """Whether one that is not ready may yet be."""
        if copy.phase is Phase.LOST:
            is_there = copy.node in self._desk.nodes
            return is_there and now - copy.since < RETURN_SECONDS
        return copy.phase is Phase.OPENING

    def _are_linked(self) -> bool:
        """Whether all have the names that they are to have; if not, have them made."""
        links = self._links
        if links is None:
            return True
        for copy in self._ready():
            if not copy.is_linked and not copy.calls:
                linked = partial(self._linked, copy)
                arguments = links.commit, links.revision, links.names
                self._ask(copy, linked, "link", self._key, *arguments)
        return all(copy.is_linked for copy in self._ready())

    def _linked(self, copy: Copy, answer: Answer) -> None:
        problem, _ = answer
        if problem is None:
            copy.is_linked = True
        else:
            self._fail(copy, *problem)

    @property
    def missing(self) -> dict[str, str]:
        """All nodes that are to have the files, and why one lacks some of them."""
        return {
            copy.node: copy.problem if copy.phase is Phase.READY else copy.problem or OVERDUE
            for copy in self._copies.values()
        }

    def close(self) -> None:
        """Have all directories closed, and what came brought to the disks, if that is soon done."""
        open_ones = [copy for copy in self._copies.values() if copy.team is not None]
        for copy in open_ones:
            assert copy.team is not None
            copy.team.shelf("close", self._key, done=self._closed.put)
        deadline = time.monotonic() + CLOSE_SECONDS
        for _ in open_ones:
            try:
                self._closed.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return


def _ignore(answer: Answer) -> None:
    """It does not matter what it says."""
