"""The nodes' directories: who has one open, what is asked of it, and who is given up."""

from __future__ import annotations

import math
import queue
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from raydl.landing.account import AGAIN, OVERDUE, UNSTARTED
from raydl.landing.desk import Desk
from raydl.landing.everynode import CLOSE_SECONDS, START_SECONDS, no_such_label
from raydl.landing.opening import REOPEN_SECONDS, RETURN_SECONDS
from raydl.landing.replicas import STUCK_SECONDS
from raydl.many.copies import Copy, Group, Phase, Row
from raydl.model.errors import BusyError, IncompleteError, error_named
from raydl.model.events import Emit, Notice
from raydl.settings.options import Options
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import LOST, Answer
from raydl.workers.protocol import Payload

LATE_SECONDS = 10.0
"""A node that takes so much longer than another catches up later."""

READ_SECONDS = 30.0
"""A node that takes so long to read a page is no source for it."""

MOST_LOSSES = 5
"""Of a node's worker, after which it is not waited for."""


class Directories:
    """Those of the nodes with the labels that are wanted. All is done in the desk's thread."""

    def __init__(self, desk: Desk, path: Path, options: Options, emit: Emit) -> None:
        self._desk, self._path, self._options, self._emit = desk, path, options, emit
        self._key = secrets.token_hex(8)  # no two runs have the same, on any node
        self._copies: dict[str, Copy] = {}
        self._groups: list[Group] = []
        self._closed: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self.arrivals: list[str] = []
        self.first_at: float | None = None
        """When the first one was ready."""

    @property
    def ready(self) -> list[Copy]:
        """Those that take files."""
        return [copy for copy in self._copies.values() if copy.is_ready]

    @property
    def are_gathered(self) -> bool:
        """Whether it is known of all whether they are ready."""
        return not any(copy.phase is Phase.OPENING for copy in self._copies.values())

    @property
    def is_asking(self) -> bool:
        """Whether several are asked for something."""
        return bool(self._groups)

    def now(self) -> float:
        """The time."""
        return self._desk.clock()

    # --- who is there ---

    def joined(self, team: ActorTeam) -> None:
        """A node has a worker: have it open its directory."""
        self._meet()
        copy = self._copies.get(team.node)
        if copy is not None and copy.team is not team and copy.phase is not Phase.FAILED:
            self._begin(copy, team)

    def left(self, node: str, reason: str) -> None:
        """It has none any more; it may come back."""
        copy = self._copies.get(node)
        if copy is None or copy.phase is Phase.FAILED:
            return
        if copy.is_ready:
            others = "; the others go on" if len(self.ready) > 1 else ""
            self._emit(Notice(f"{node} is lost: {reason}{others}"))
        copy.lose(reason, self.now())
        self._drop_from_groups(copy)
        if copy.losses >= MOST_LOSSES:
            self.give_up(copy, f"its worker ends again and again: {reason}", "ClusterError")

    def turn(self, now: float) -> None:
        """See who is there, who is stuck, and what is over."""
        self._meet()
        for copy in list(self._copies.values()):
            if copy.phase is Phase.OPENING and copy.team is None:
                if now - copy.since > START_SECONDS or copy.node not in self._desk.nodes:
                    copy.lose(UNSTARTED, now)
            elif now >= copy.reopen_at:
                self._open(copy)
            elif copy.silent(now) > STUCK_SECONDS:
                self.give_up(copy, "its disk does not answer")
        if self._copies and not self.ready and not self.may_come():
            each = "; ".join(f"{node}: {why}" for node, why in self.missing.items())
            raise IncompleteError(f"no node is left that takes the files: {each}", AGAIN)
        over = [group for group in self._groups if group.end_if_over(now)]
        self._groups = [group for group in self._groups if group not in over]

    def _meet(self) -> None:
        wanted = self._options.nodes
        for node, labels in self._desk.nodes.items():
            fits = all(labels.get(key) == value for key, value in wanted)
            if fits and node not in self._copies:
                copy = self._copies[node] = Copy(node, self.now())
                if node in self._desk.teams:
                    self._begin(copy, self._desk.teams[node])
        if self._desk.nodes and not self._copies:
            raise no_such_label(wanted, self._desk.nodes.values())

    def _begin(self, copy: Copy, team: ActorTeam) -> None:
        self._drop_from_groups(copy)
        copy.begin(team, self.now())
        self._open(copy)

    def _open(self, copy: Copy) -> None:
        options, copy.reopen_at = self._options, math.inf
        how = str(self._path), options.overwrite, options.skip_existing
        self.ask(copy, partial(self._opened, copy), "open", *how)

    def _opened(self, copy: Copy, answer: Answer) -> None:
        problem, _ = answer
        now = self.now()
        if problem is None:
            copy.phase, copy.problem = Phase.READY, ""
            self.first_at = self.first_at or now
            self.arrivals.append(copy.node)
        elif problem[0] == BusyError.__name__ and now - copy.since < RETURN_SECONDS:
            copy.reopen_at = now + REOPEN_SECONDS  # the run before may be about to let go of it
        elif problem[0] == BusyError.__name__:
            what = f"another raydl has {self._path}, or another node has it, too"
            self.give_up(copy, f"{what} (--to shared is for what nodes share)", problem[0])
        elif problem[0] != LOST:
            self.refused(copy, problem)

    def give_up(self, copy: Copy, why: str, kind: str = "OutputError", hint: str = "") -> None:
        """It gets nothing more. Raises RaydlError where no other is left."""
        if copy.phase is Phase.FAILED:
            return
        copy.phase, copy.problem = Phase.FAILED, why
        self._drop_from_groups(copy)
        if copy.team is not None:
            copy.team.shelf("close", self._key, done=_ignore)
        self._emit(Notice(f"{copy.node} does not get the files: {why}"))
        if all(each.phase is Phase.FAILED for each in self._copies.values()):
            raise error_named(kind, f"every node: {copy.node}: {why}", hint)

    def refused(self, copy: Copy, problem: tuple[str, str, str]) -> None:
        """The same for what its worker has answered."""
        kind, why, hint = problem
        self.give_up(copy, why, kind, hint)

    def _drop_from_groups(self, copy: Copy) -> None:
        for group in self._groups:
            group.awaited.discard(copy)

    # --- what is asked of them ---

    def ask(self, copy: Copy, then: Callable[[Answer], None], method: str, *args: Any) -> None:
        """Have its worker do something; ``then`` gets the answer, unless it is lost before."""
        team, call = copy.team, object()
        assert team is not None
        copy.calls[call] = self.now()
        answered = self._desk.answer(self._answered, copy, call, then)
        team.shelf(method, self._key, *args, done=answered)

    def _answered(
        self, copy: Copy, call: object, then: Callable[[Answer], None], answer: Answer
    ) -> None:
        if copy.calls.pop(call, None) is not None and copy.phase is not Phase.FAILED:
            copy.answered_at = self.now()
            then(answer)

    def ask_all(self, method: str, *args: Any, done: Callable[[dict[Copy, Any]], None]) -> Group:
        """The same of all that are ready, but those that are late: they catch up.

        ``done`` gets the results of those that have one. A disk that fails ends its copy.
        """
        now = self.now()
        copies = [copy for copy in self.ready if copy.oldest(now) < LATE_SECONDS] or self.ready
        group = Group(copies, now + LATE_SECONDS, lambda answers: done(self._results(answers)))
        self._groups.append(group)
        for copy in copies:
            self.ask(copy, partial(group.answered, copy), method, *args)
        return group

    def _results(self, answers: dict[Copy, Answer]) -> dict[Copy, Any]:
        results = {}
        for copy, (problem, result) in answers.items():
            if problem is None:
                results[copy] = result
            elif problem[0] != LOST:
                self.refused(copy, problem)
        return results

    def read(
        self,
        copy: Copy,
        rows: list[Row],
        then: Callable[[list[int] | None, Payload | None], None],
    ) -> None:
        """Have it read files: ``then`` gets their sizes and bytes, None where that is late."""
        team, payloads = copy.team, list[Payload]()
        assert team is not None
        call = object()

        def done(answers: dict[Copy, Answer]) -> None:
            problem, sizes = answers.get(copy, ((LOST, "", ""), None))
            then(None if problem is not None else sizes, payloads[0] if payloads else None)

        group = Group([copy], self.now() + READ_SECONDS, done, must=False)

        def came(answer: Answer, payload: Payload | None) -> None:
            if copy.calls.pop(call, None) is not None:
                copy.answered_at = self.now()
            if copy in group.awaited:
                payloads.extend([payload] if payload is not None else [])
                group.answered(copy, answer)
            elif payload is not None:
                payload.release()

        self._groups.append(group)
        copy.calls[call] = self.now()
        posted = self._desk.post
        team.read_shelf(
            self._key,
            [tuple(row.copy) for row in rows],
            lambda answer, payload: posted(partial(came, answer, payload)),
        )

    def sources(self, but: Copy, end: int) -> list[Copy]:
        """Who may have what the roll has up to there, the best first."""
        others = [copy for copy in self.ready if copy is not but]
        # Who is behind, too, may have it; who is not has it. The least busy goes first.
        return sorted(others, key=lambda copy: (copy.at < end, len(copy.calls)))

    def may_come(self, but: Copy | None = None) -> bool:
        """Whether one that is not ready may yet be."""
        now = self.now()
        return any(self._may_come(c, now) for c in self._copies.values() if c is not but)

    def _may_come(self, copy: Copy, now: float) -> bool:
        if copy.phase is Phase.LOST:
            return copy.node in self._desk.nodes and now - copy.since < RETURN_SECONDS
        return copy.phase is Phase.OPENING

    # --- the end ---

    @property
    def missing(self) -> dict[str, str]:
        """All nodes that are to have the files, and why one lacks some of them."""
        return {
            copy.node: copy.problem if copy.is_ready else copy.problem or OVERDUE
            for copy in self._copies.values()
            if not self._has_come_anew(copy)
        }

    def _has_come_anew(self, copy: Copy) -> bool:
        """Whether its Ray is gone, and one that came later to the same address is ready."""
        address = copy.node.partition("#")[0]
        return copy.node not in self._desk.nodes and any(
            other.is_ready and other.node.partition("#")[0] == address and other is not copy
            for other in self._copies.values()
        )

    def close(self) -> None:
        """Have all closed, and what came brought to the disks, if that is soon done."""
        open_ones = [copy.team for copy in self._copies.values() if copy.team is not None]
        for team in open_ones:
            team.shelf("close", self._key, done=self._closed.put)
        deadline = time.monotonic() + CLOSE_SECONDS
        for _ in open_ones:
            try:
                self._closed.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return


def _ignore(answer: Answer) -> None:
    """It does not matter what it says."""
