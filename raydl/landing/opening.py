"""Each node's copy is opened: what is there from before, and whether the node can have the file."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from raydl.landing.desk import Desk
from raydl.landing.replicas import UNDER_WAY, Phase, Replica, Replicas
from raydl.model.coverage import Coverage
from raydl.model.errors import BusyError
from raydl.model.events import Emit, Notice
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import Answer

RETURN_SECONDS = 10.0
"""How long a node that has lost its worker is waited for, and a worker that has the copy still."""

SHARED = "wait for it; where several nodes see one directory: --to shared"

REOPEN_SECONDS = 0.5
"""Until a copy is opened again that the worker before still has."""


class Opening:
    """Has workers open their copy, known by ``key``, as ``spec`` says (``nodefiles.open_spec``).

    ``failed`` is called for one that cannot have the file, with the error's class, message and
    hint; ``ended`` for one that has it, with its phase; ``begun`` for one that takes bytes.
    """

    def __init__(
        self,
        desk: Desk,
        replicas: Replicas,
        key: str,
        spec: dict[str, Any],
        emit: Emit,
        failed: Callable[[Replica, str, str, str], None],
        ended: Callable[[Replica, Phase], None],
        begun: Callable[[Replica], None],
    ) -> None:
        self._desk, self._replicas, self._key, self._spec = desk, replicas, key, spec
        self._emit = emit
        self._failed, self._ended, self._begun = failed, ended, begun
        self._began = desk.clock()
        self.first_at: float | None = None
        """When the first worker answered."""

    def open(self, replica: Replica, team: ActorTeam) -> None:
        """Have it opened by this worker."""
        replica.reopen_at, replica.opening = None, team
        replica.due = self._desk.clock() + self._replicas.patience
        opened = self._desk.answer(self._opened, replica, team)
        spec = {**self._spec, "verify": self._spec["verify"] or replica.was_read}
        team.disk("open", self._key, spec, done=opened)

    def again(self, replica: Replica, how: str) -> None:
        """Have it closed, or dropped, and opened anew."""
        team = replica.team
        assert team is not None
        replica.phase, replica.digest = Phase.OPENING, ""
        replica.written, replica.claimed = Coverage(), Coverage()
        replica.team, replica.opening = None, team
        replica.due = self._desk.clock() + self._replicas.patience
        ended = self._desk.answer(self._open_if_there, replica, team)
        team.disk(how, self._key, done=ended)

    def _open_if_there(self, replica: Replica, team: ActorTeam, _: Answer) -> None:
        if self._desk.teams.get(replica.node) is team and replica.phase is Phase.OPENING:
            self.open(replica, team)

    def go_on(self) -> None:
        """Open again what could not be opened yet."""
        now = self._desk.clock()
        for replica in self._replicas:
            team = self._desk.teams.get(replica.node)
            if replica.reopen_at is not None and now >= replica.reopen_at and team is not None:
                self.open(replica, team)

    def _opened(self, replica: Replica, team: ActorTeam, answer: Answer) -> None:
        problem, found = answer
        if self._desk.teams.get(replica.node) is not team:
            return
        replica.due, replica.opening = math.inf, None
        if self.first_at is None:
            self.first_at = self._desk.clock()
        if problem is not None and problem[0] == BusyError.__name__ and self._may_end(replica):
            replica.reopen_at = self._desk.clock() + REOPEN_SECONDS
            if not replica.problem:
                replica.problem = problem[1]
                self._emit(Notice(f"{replica.node} waits: {problem[1]}"))
        elif problem is not None and problem[0] == BusyError.__name__:
            self._failed(replica, *problem[:2], SHARED)
        elif problem is not None and replica.phase.has_file:
            return  # its worker was lost meanwhile: it has the file, and is no source any more
        elif problem is not None:
            self._failed(replica, *problem)
        else:
            self._begin(replica, team, *found)

    def _may_end(self, replica: Replica) -> bool:
        """Whether who has the copy may be about to let go of it: the worker that was there until
        just now, that of a run which was interrupted, or of another node on the same disk."""
        if self._desk.clock() - max(replica.lost_at, self._began) < RETURN_SECONDS:
            return True
        return any(
            other is not replica and other.phase in UNDER_WAY and other.shares_address(replica)
            for other in self._replicas
        )

    def _begin(
        self, replica: Replica, team: ActorTeam, state: str, covered: str, note: str, digest: str
    ) -> None:
        if state == "skipped":
            replica.digest = digest
            self._ended(replica, Phase.SKIPPED)
            return
        replica.begin(team, Coverage.parse(covered))
        if state == "have":
            replica.digest = digest or replica.digest
            if not replica.phase.is_over:
                if self._spec["verify"] or replica.was_read:
                    self._emit(Notice(f"{replica.node}: the file was read, and is as recorded"))
                self._ended(replica, Phase.HAD)
            return
        if replica.phase.is_over:  # it had the file, and that is gone; or it was given up
            return
        replica.phase, replica.problem = Phase.RECEIVING, ""
        if note:
            self._emit(Notice(f"{replica.node}: {note}"))
        self._begun(replica)
