"""The digest of a file that never passes through this process: one hand computes it, in order."""

from __future__ import annotations

import os
from collections.abc import Callable

from raydl.landing.blocks import Block, Blocks, Held
from raydl.landing.desk import Desk
from raydl.landing.hands import Hand
from raydl.model.digests import Proof
from raydl.model.errors import ClusterError, RaydlError
from raydl.workers.nodefiles import LOST, Answer

TAKE_SECONDS = 60.0


class HashLost(ClusterError):  # noqa: N818 - what ends an attempt, after which there is another
    """The worker that computed the digest is gone, with all it had computed."""


class Hashing:
    """A running digest at one hand, which ``pick`` chooses: blocks go there one after the other.

    With a cluster every byte crosses its network once more for that, from the store of the node
    that fetched it. A digest that is under way can be handed on to nobody, so it ends with the
    worker: ``HashLost``, and everything is fetched again.
    """

    def __init__(
        self, desk: Desk, proof: Proof, size: int, pick: Callable[[], Hand | None]
    ) -> None:
        self._desk, self._proof, self._size, self._pick = desk, proof, size, pick
        self._key = os.urandom(8).hex()
        self._hand: Hand | None = None
        self._at = 0
        self._is_busy = False
        self._digest: str | None = None

    def turn(self, blocks: Blocks, hashed: Callable[[Block], None]) -> None:
        """Have the next block hashed, if it is whole; ``hashed`` is called once it is."""
        if self._is_busy or self._at >= self._size:
            return
        block = blocks.get(self._at // blocks.grid)
        self._hand = self._hand or self._pick()
        if block is None or not block.is_whole or self._hand is None:
            return
        self._is_busy = True
        pieces = block.pieces()
        answered = self._desk.answer(self._answered, block, pieces, hashed)
        self._hand.ask(
            "hash", self._key, self._proof.checksum.algorithm, self._at,
            of=pieces, limit=TAKE_SECONDS, done=answered,
        )  # fmt: skip

    def left(self, node: str, reason: str) -> None:
        """Nobody is there any more."""
        if self._hand is not None and self._hand.node == node:
            raise HashLost(f"{node}, which computed the digest, was lost: {reason}")

    def verify(self, what: str) -> dict[str, str]:
        """Hold the digest of all of it against what it must be. Raises ChecksumError."""
        if self._hand is not None:
            self._hand.digest(self._key, self._at, self._desk.answer(self._told))
            self._desk.run(lambda: self._digest is not None)
        if not self._digest:
            raise HashLost("the digest was lost")
        self._proof.verify(self._digest, what)
        return {self._proof.checksum.algorithm: self._digest}

    def _told(self, answer: Answer) -> None:
        problem, digest = answer
        self._digest = "" if problem is not None else str(digest)

    def _answered(
        self, block: Block, pieces: list[Held], hashed: Callable[[Block], None], answer: Answer
    ) -> None:
        self._is_busy = False
        problem, result = answer
        if problem is None and result:
            self._at = block.stop
            block.is_hashed = True
            hashed(block)
        elif problem is None or (problem[0] == LOST and not result):
            raise HashLost("the worker that computed the digest was lost")
        elif problem[0] == LOST:
            block.lose([pieces[index] for index in result], problem[1])
        else:
            raise RaydlError(str(problem[1]))
