"""Which copies are right: by a digest that is known, else because two of them are equal."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from raydl.landing.desk import Desk
from raydl.landing.replicas import Phase, Replica, Replicas
from raydl.model.coverage import Coverage
from raydl.model.digests import Proof
from raydl.model.errors import ChecksumError
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import LOST, Answer

ALGORITHM = "sha256"
"""What copies are compared by, where no digest was given or stated."""


class Agreement:
    """Gives whole copies their name, at ``path``, once they are known to be right.

    ``failed`` is called for one that is not, with the error's class, message and hint, and with
    what its worker is to do: ``drop`` or ``close`` it; ``published`` for one that has its name.
    ``doubted`` is asked before that: whether it starts over, as what it came from may be wrong.
    """

    def __init__(
        self,
        desk: Desk,
        replicas: Replicas,
        key: str,
        proof: Proof | None,
        path: Path,
        failed: Callable[[Replica, str, str, str, str], None],
        published: Callable[[Replica], None],
        doubted: Callable[[Replica], bool],
    ) -> None:
        self._desk, self._replicas, self._key = desk, replicas, key
        self._proof, self._path = proof, path
        self._failed, self._is_published, self._is_doubted = failed, published, doubted
        self.algorithm = proof.checksum.algorithm if proof else ALGORITHM
        self.digest = proof.checksum.hex if proof else ""
        """That is known; empty where there is none."""
        self._believed = ""
        """What copies agreed on. It stays: what comes later does not make others wrong."""

    def look(self, replica: Replica) -> None:
        """Have its digest computed, if it is whole."""
        if replica.phase is Phase.RECEIVING and replica.written.size == self._replicas.size:
            replica.phase = Phase.VERIFYING
            assert replica.team is not None
            replica.due = self._desk.clock() + self._replicas.patience
            summed = self._desk.answer(self._summed, replica, replica.team)
            replica.team.disk("digest", self._key, done=summed)

    def judge(self) -> None:
        """Give the copies their name whose digest is right, and drop the others."""
        expected = self.digest or self._believed
        if expected:
            wrong = [r for r in self._replicas if r.digest not in ("", expected)]
        else:
            expected, wrong = self._replicas.verdict()
            self._believed = expected
        for replica in wrong:
            if replica.phase is Phase.VERIFYING and self._is_doubted(replica):
                return
            if replica.phase in (Phase.VERIFYING, Phase.HAD):
                self._refuse(replica, expected)
        for replica in self._replicas:
            right = replica.digest == expected != ""
            if replica.phase is Phase.VERIFYING and right and replica.team is not None:
                published = self._desk.answer(self._published, replica, replica.team)
                replica.phase = Phase.PUBLISHING
                replica.due = self._desk.clock() + self._replicas.patience
                replica.team.disk("publish", self._key, done=published)

    def _summed(self, replica: Replica, team: ActorTeam, answer: Answer) -> None:
        problem, digest = answer
        if replica.team is not team or replica.phase is not Phase.VERIFYING:
            return
        replica.due = math.inf
        if problem is not None:
            if problem[0] != LOST:
                self._failed(replica, *problem, "close")
            return
        replica.digest = digest
        self.judge()

    def _refuse(self, replica: Replica, expected: str) -> None:
        proof = self._proof
        if proof is not None:
            what = f"{self._path} has {self.algorithm} {replica.digest}, not {expected}"
            hint = "the file is another one, or the checksum is; the bytes were discarded"
        else:
            what = f"its {self.algorithm} {replica.digest} is not that of the others"
            hint = "run the same command again, with --verify if some had the file before"
        how = "drop" if replica.phase is Phase.VERIFYING else "close"
        self._failed(replica, ChecksumError.__name__, what, hint, how)
        replica.written, replica.claimed = Coverage(), Coverage()

    def _published(self, replica: Replica, team: ActorTeam, answer: Answer) -> None:
        problem, _ = answer
        if replica.team is not team or replica.phase is not Phase.PUBLISHING:
            return
        replica.due = math.inf
        if problem is None:
            self._is_published(replica)
        elif problem[0] != LOST:
            self._failed(replica, *problem, "close")
