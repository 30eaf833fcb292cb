"""Many files to a directory of every node: fetched once, and put on the disk by each.

A node fetches a batch into its object store, and all nodes that lack files of it take them from
there. Who comes late, or back, catches up from the disks of others: the roll says what there is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from raydl.landing.desk import Desk
from raydl.landing.everynode import GATHER_SECONDS
from raydl.many import onelarge
from raydl.many.account import Account
from raydl.many.catchup import CatchUp
from raydl.many.copies import Copy, Roll, Row
from raydl.many.directories import Directories
from raydl.many.hands import Hand
from raydl.many.host import Task
from raydl.many.landing import Came, Links, Lost, Saved
from raydl.many.large import Job
from raydl.model.errors import DiskError, RaydlError, error_named
from raydl.model.events import Emit
from raydl.output.shelf import HAS, Found
from raydl.settings.options import Options
from raydl.settings.values import EVERY_NODE
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import Answer
from raydl.workers.protocol import Payload
from raydl.workers.smallfiles import LARGEST, MOST_KEPT, Brought, Wish

Wanted = Callable[[list[Task]], None]


class EveryNode:
    """The destination. All is done in the desk's thread."""

    kind = EVERY_NODE
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
        self._options, self._if_changed, self._account = options, if_changed, account
        self._links = links
        self._nodes = Directories(desk, directory, options, emit)
        self._roll = Roll()
        self._unsorted: list[tuple[list[Task], Wanted]] = []
        self._looks = 0
        self._under_way: dict[str, Task] = {}
        """By path: of two files of one name the second waits for the first."""
        self._doubles: deque[tuple[Task, Wanted]] = deque()
        self._unchanged: dict[bytes, tuple[Row, list[Copy]]] = {}
        """Of files that are asked for a change: what there is, and who has it."""
        self._saving: dict[object, int] = {}

    @property
    def arrivals(self) -> Sequence[str]:
        """See ``Landing``."""
        return self._nodes.arrivals

    @property
    def missing(self) -> dict[str, str]:
        """See ``Landing``."""
        return self._nodes.missing

    def joined(self, team: ActorTeam) -> None:
        """See ``Landing``."""
        self._nodes.joined(team)

    def left(self, node: str, reason: str) -> None:
        """See ``Landing``."""
        self._nodes.left(node, reason)

    # --- what is there ---

    @property
    def sorting(self) -> int:
        """See ``Landing``."""
        return self._looks + sum(len(tasks) for tasks, _ in self._unsorted) + len(self._doubles)

    def sort(self, tasks: list[Task], wanted: Wanted) -> None:
        """See ``Landing``: once it is known who is there."""
        self._unsorted.append((tasks, wanted))

    def _sort_on(self, now: float) -> None:
        while self._doubles and self._doubles[0][0].path not in self._under_way:
            task, wanted = self._doubles.popleft()
            self._unsorted.append(([task], wanted))
        first_at = self._nodes.first_at
        if not self._unsorted or first_at is None or not self._nodes.ready:
            return
        if self._nodes.are_gathered or now - first_at > GATHER_SECONDS:
            unsorted, self._unsorted = self._unsorted, []
            for tasks, wanted in unsorted:
                self._look(self._first_of_each_name(tasks, wanted), wanted)

    def _first_of_each_name(self, tasks: list[Task], wanted: Wanted) -> list[Task]:
        first = []
        for task in tasks:
            if self._under_way.setdefault(task.path, task) is task:
                first.append(task)
            else:
                self._doubles.append((task, wanted))
        return first

    def _look(self, tasks: list[Task], wanted: Wanted) -> None:
        self._looks += len(tasks)
        places = [tuple(task.place) for task in tasks]
        self._nodes.ask_all("look", places, done=partial(self._looked, tasks, wanted))

    def _looked(self, tasks: list[Task], wanted: Wanted, results: dict[Copy, Any]) -> None:
        self._looks -= len(tasks)
        if not results:
            for task in tasks:
                self._done_with(task)
            self._unsorted.append((tasks, wanted))
            return
        lacking: list[Task] = []
        for number, task in enumerate(tasks):
            found = {copy: Found(*each[number]) for copy, each in results.items()}
            if self._is_wanted(task, found):
                lacking.append(task)
            else:
                self._done_with(task)
        wanted(lacking)

    def _is_wanted(self, task: Task, found: dict[Copy, Found]) -> bool:
        """Whether to ask the origin; else some node has it, and those that lack it catch up."""
        have = [copy for copy, each in found.items() if each.state == HAS]
        sources = [found[copy] for copy in have if found[copy].stamp is not None]
        known = next(iter(sources), None)
        if known is None:
            if len(have) < len(found) or found[have[0]].size > LARGEST:
                return True  # a large one is looked at by a download of its own
            size = found[have[0]].size
            self._account.skipped(task, size)
            self._enrol(Row(task.place, size, None, None, "", False), have)
            return False
        row = Row(task.place, known.size, known.etag, known.last_modified, known.digest, False)
        same = [copy for copy in have if row.copy.is_at(found[copy])]
        if len(same) < len(have):
            return True  # some have another version: all get the one that there is now
        if self._if_changed:
            task.etag, task.last_modified = known.etag, known.last_modified
            self._unchanged[task.key] = row, same
            return True
        self._account.skipped(task, known.size)
        self._enrol(row, same)
        return False

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
        wish = task.wish(None, self._options.origin_digest, self._options.overwrite)
        return wish._replace(by_digest=True)

    @property
    def has_room(self) -> bool:
        """See ``Landing``."""
        limit = self._options.max_memory // 2
        taken = sum(self._saving.values())
        return bool(self._nodes.ready) and (not taken or taken + MOST_KEPT <= limit)

    def save(
        self, payload: Payload | None, came: Came, node: str, saved: Saved, lost: Lost
    ) -> None:
        """See ``Landing``."""
        rows = [
            Row(task.place, b.size, b.etag, b.last_modified, b.digest, True) for task, b in came
        ]
        saving = object()
        self._saving[saving] = sum(row.size for row in rows)

        def done(results: dict[Copy, Any]) -> None:
            self._saving.pop(saving)
            if payload is not None:
                payload.release()
            again = []
            for number, (row, (task, brought)) in enumerate(zip(rows, came, strict=True)):
                refusals = {copy: each[number] for copy, each in results.items()}
                error, have = self._outcome(refusals)
                if error is None and not have:
                    again.append(task)  # nobody has it, and it was nobody's fault
                else:
                    if error is None:
                        self._enrol(row, have)
                    compared = brought.digest if brought.proof else ""
                    saved(task, brought._replace(digest=compared), node, error)
            if again:
                lost(again)

        ref = [] if payload is None else [payload.ref]
        self._nodes.ask_all("put", [tuple(row.copy) for row in rows], False, ref, done=done)

    def _outcome(self, refusals: dict[Copy, Any]) -> tuple[RaydlError | None, list[Copy]]:
        """The error where one cannot have the file for what is there, and who has it."""
        error, have = None, []
        for copy, refusal in refusals.items():
            if refusal is None:
                have.append(copy)
            elif refusal[0] == DiskError.__name__:
                self._nodes.refused(copy, refusal)
            else:
                error = error_named(refusal[0], f"{copy.node}: {refusal[1]}", refusal[2])
        return error, have

    def fetch_large(self, job: Job, options: Options) -> Brought:
        """See ``Landing``."""
        return onelarge.to_nodes(job, options)

    def note(self, task: Task, brought: Brought) -> None:  # noqa: ARG002 - as others need it
        """See ``Landing``: each node knows itself what it has."""
        self._done_with(task)

    def forget(self, task: Task) -> None:
        """See ``Landing``."""
        self._done_with(task)

    def same(self, task: Task) -> None:
        """See ``Landing``."""
        unchanged = self._unchanged.get(task.key)
        if unchanged is not None:
            self._enrol(*unchanged)
        self._done_with(task)

    def _done_with(self, task: Task) -> None:
        self._unchanged.pop(task.key, None)
        if self._under_way.get(task.path) is task:
            del self._under_way[task.path]

    def is_there(self, task: Task) -> bool:  # noqa: ARG002 - as others need it
        """See ``Landing``: an error of a node says what it is."""
        return False

    # --- the end ---

    def turn(self, now: float) -> None:
        """See ``Landing``."""
        self._nodes.turn(now)
        self._sort_on(now)
        for copy in self._nodes.ready:
            is_behind = copy.at < self._roll.end and not copy.is_catching_up
            if is_behind and now >= copy.catch_up_at:
                rows, end = self._roll.page(copy.at)
                CatchUp(self._nodes, copy, rows, end).begin()

    def is_over(self, now: float) -> bool:  # noqa: ARG002 - as others need it
        """See ``Landing``."""
        if self._nodes.is_asking or self.sorting:
            return False
        if any(copy.at < self._roll.end for copy in self._nodes.ready):
            return False
        return self._are_linked() and not self._nodes.may_come()

    def _are_linked(self) -> bool:
        """Whether all have the names that they are to have; if not, have them made."""
        links = self._links
        if links is None:
            return True
        for copy in self._nodes.ready:
            if not copy.is_linked and not copy.calls:
                linked = partial(self._linked, copy)
                how = links.commit, links.revision, links.names
                self._nodes.ask(copy, linked, "link", *how)
        return all(copy.is_linked for copy in self._nodes.ready)

    def _linked(self, copy: Copy, answer: Answer) -> None:
        problem, _ = answer
        if problem is None:
            copy.is_linked = True
        else:
            self._nodes.refused(copy, problem)

    def close(self) -> None:
        """See ``Landing``."""
        self._nodes.close()
