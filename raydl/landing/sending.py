"""Blocks on their way into a bucket: collected, sent by whoever has most of them, tried again."""

from __future__ import annotations

import base64
import heapq
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from raydl.landing.blocks import Block, Blocks, Held
from raydl.landing.desk import Desk
from raydl.landing.hands import AT_ONCE, Hand
from raydl.landing.hashing import Hashing
from raydl.landing.s3 import CRC, Bucket, Sent, UnreachedError, refusal
from raydl.model import backoff
from raydl.model.errors import OutputError
from raydl.model.events import Emit, Notice
from raydl.model.failure import Failure
from raydl.model.log import log
from raydl.model.parts import Part
from raydl.model.units import counted
from raydl.workers.nodefiles import LOST, Answer
from raydl.workers.protocol import Payload

TAKE_SECONDS = 60.0
"""Bytes that a node cannot have in this time are fetched again."""

MOST_REFUSALS = 3
"""Tries of a block that is refused with 403: a signature may have expired, and is made anew."""

DAMAGED = ("BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "IncompleteBody",
           "RequestTimeout")  # fmt: skip
"""Refusals with 400 that tell of the way, not of the request."""

SLOW = ("SlowDown", "TooManyRequests", "RequestLimitExceeded", "ServiceUnavailable")

LATE_SECONDS = 30.0
LATE_TIMES = 4
"""A PUT is late after so many seconds, and so many times what one usually takes, if another node
was faster meanwhile."""


@dataclass(frozen=True)
class Into:
    """Where blocks go: an upload, whose parts have digests by ``algorithm``. ``ca`` are the
    certificates that workers trust; ``retries`` and ``timeout`` are for each PUT."""

    bucket: Bucket
    upload: str
    algorithm: str
    ca: str | None
    retries: int
    timeout: float


@dataclass(eq=False)
class _Try:
    """A hand on its way with a block. ``put_at`` is when its PUT began, or has to begin."""

    block: Block
    hand: Hand
    pieces: list[Held]
    began: float
    digest: str = ""

    def __post_init__(self) -> None:
        self.put_at = self.began + TAKE_SECONDS


class Pace:
    """How many PUTs there may be at once: half as many once the service asks for that, then more
    again, one after as many as there are have gone well."""

    def __init__(self) -> None:
        self.most = math.inf
        self._slowed_at = -math.inf

    def slow(self, flying: int, began: float, now: float) -> bool:
        """One that ``began`` then was asked to slow down; whether that was news."""
        if began < self._slowed_at:
            return False
        self.most, self._slowed_at = max(1.0, flying // 2), now
        return True

    def went_well(self) -> None:
        """One did."""
        self.most += 1 / self.most


class Sending:
    """The destination of a download into a bucket.

    ``hands`` are who can send, by node; ``sent`` what the service has, by part number. What comes
    waits until a block of it is whole. It is summed where most of it lies, signed for here, and
    sent from there; only then are its bytes acknowledged, and those of a ``hashing`` once they are
    in the digest, too. All but ``take`` and ``end`` is done in the desk's thread.
    """

    here, in_order = False, False

    def __init__(
        self,
        desk: Desk,
        blocks: Blocks,
        into: Into,
        sent: dict[int, Sent],
        hashing: Hashing | None,
        emit: Emit,
    ) -> None:
        self.grid, self.sent = blocks.grid, sent
        self.hands: dict[str, Hand] = {}
        self._desk, self._blocks, self._into = desk, blocks, into
        self._hashing, self._emit = hashing, emit
        self._pace = Pace()
        self._ready: list[int] = []
        self._later: list[tuple[float, int]] = []
        self._tries: dict[int, _Try] = {}
        self._busy: Counter[str] = Counter()
        self._overtaken: set[_Try] = set()
        """Tries that took so long that another was begun: whichever is taken first counts."""
        self._usual = 0.0
        """Seconds that a PUT has taken of late."""
        self._won: dict[str, float] = {}
        """When the PUT began that a node ended well last."""
        self._late: set[str] = set()
        """The nodes whose last block took so long that another was asked to send it."""
        self._is_over = self._was_slow = False

    # --- from the scheduler's thread ---

    def take(self, part: Part, payload: Payload, node: str, done: Callable[[str], None]) -> None:
        """Keep it until its block is whole."""
        self._desk.post(partial(self._took, Held(part, payload, node, done)))

    def end(self, error: BaseException | None) -> None:
        """All of it is sent, or never will be."""
        if error is not None:
            self._desk.fail(error)
        else:
            self._desk.post(self._ended)

    # --- from the desk ---

    def turn(self) -> bool:
        """Start what can be started; whether all is sent."""
        now = self._desk.clock()
        while self._later and self._later[0][0] <= now:
            heapq.heappush(self._ready, heapq.heappop(self._later)[1])
        self._overtake_the_late(now)
        while self._ready:
            block = self._blocks.get(self._ready[0])
            if block is None or block.is_sent or not block.is_whole:
                heapq.heappop(self._ready)  # something of it was lost: it comes again
                if block is not None:
                    block.is_queued = False
                continue
            hand = self._hand_for(block)
            if hand is None:
                break
            heapq.heappop(self._ready)
            self._start(block, hand, now)
        if self._hashing is not None:
            self._hashing.turn(self._blocks, self._go_on)
        return self._is_over

    def _overtake_the_late(self, now: float) -> None:
        """Have another send, too, what takes a node much longer than it takes others."""
        limit = LATE_SECONDS + LATE_TIMES * self._usual
        for attempt in list(self._tries.values()):
            block, node = attempt.block, attempt.hand.node
            are_faster = any(n != node and at > attempt.began for n, at in self._won.items())
            if now - attempt.put_at > limit and are_faster and not block.is_doubled:
                self._late.add(node)
                block.failed_at.add(node)
                block.is_doubled = True
                self._overtake(attempt)
                self._queue(block, 0.0)

    def _overtake(self, attempt: _Try) -> None:
        del self._tries[attempt.block.number]
        self._overtaken.add(attempt)
        attempt.block.is_queued = False

    def left(self, node: str, reason: str) -> None:
        """Nobody is there any more: what it was sending is sent by another."""
        self.hands.pop(node, None)
        for late in [t for t in self._overtaken if t.hand.node == node]:
            self._overtaken.remove(late)
            self._busy[node] -= 1
        for attempt in [t for t in self._tries.values() if t.hand.node == node]:
            self._failed(attempt, Failure("lane", f"{node} was lost: {reason}"), "")

    def idlest(self) -> Hand | None:
        """The hand that has the least to do."""
        return min(self.hands.values(), key=lambda hand: self._busy[hand.node], default=None)

    def _ended(self) -> None:
        self._is_over = True

    def _took(self, held: Held) -> None:
        block = self._blocks.add(held)
        if block.is_whole:
            self._go_on(block)

    def _go_on(self, block: Block) -> None:
        """Something was done with the block, or it became whole."""
        if not block.is_sent:
            self._queue(block, 0.0)
        elif self._hashing is None or block.is_hashed:
            self._blocks.close(block)

    def _queue(self, block: Block, delay: float) -> None:
        if not block.is_queued:
            block.is_queued = True
            heapq.heappush(self._later, (self._desk.clock() + delay, block.number))

    def _hand_for(self, block: Block) -> Hand | None:
        if len(self._tries) >= self._pace.most:
            return None
        by_node = block.by_node()
        free = (hand for hand in self.hands.values() if self._busy[hand.node] < AT_ONCE)
        return max(
            free,
            key=lambda hand: (
                hand.node not in block.failed_at,
                hand.node not in self._late,
                by_node[hand.node],
                -self._busy[hand.node],
            ),
            default=None,
        )

    def _start(self, block: Block, hand: Hand, now: float) -> None:
        attempt = _Try(block, hand, block.pieces(), now)
        self._tries[block.number] = attempt
        self._busy[hand.node] += 1
        self._ask(attempt, self._summed, "checksum", self._into.algorithm)

    def _ask(
        self, attempt: _Try, then: Callable[[_Try, Any], None], method: str, *args: Any
    ) -> None:
        answered = self._desk.answer(self._answered, attempt, then)
        attempt.hand.ask(method, *args, of=attempt.pieces, limit=TAKE_SECONDS, done=answered)

    def _answered(self, attempt: _Try, then: Callable[[_Try, Any], None], answer: Answer) -> None:
        problem, result = answer
        if attempt in self._overtaken:
            self._overtaken_answered(attempt, then, answer)
        elif self._tries.get(attempt.block.number) is not attempt:
            return  # its node was given up, and the block went to another
        elif problem is None:
            then(attempt, result)
        elif problem[0] != LOST:  # another node may do better
            self._failed(attempt, Failure("lane", f"{attempt.hand.node}: {problem[1]}"), "")
        elif result:
            self._end(attempt)
            attempt.block.lose([attempt.pieces[index] for index in result], problem[1])
            self._go_on_if_whole(attempt.block)
        else:
            self._failed(attempt, Failure("lane", problem[1]), "")

    def _overtaken_answered(
        self, attempt: _Try, then: Callable[[_Try, Any], None], answer: Answer
    ) -> None:
        """It is too late, but what it has sent counts, if the other one has not."""
        problem, result = answer
        self._overtaken.remove(attempt)
        self._busy[attempt.hand.node] -= 1
        block = attempt.block
        current = self._tries.get(block.number)
        if problem is None and not block.is_sent and then == self._put and result[2] is None:
            if current is not None:
                self._overtake(current)
            self._tries[block.number] = attempt
            self._busy[attempt.hand.node] += 1
            self._put(attempt, result)

    def _go_on_if_whole(self, block: Block) -> None:
        if block.is_whole:
            self._go_on(block)

    def _summed(self, attempt: _Try, digest: str) -> None:
        into, number = self._into, attempt.block.number + 1
        attempt.digest, attempt.put_at = digest, self._desk.clock()
        url, headers = into.bucket.sign(into.upload, number, into.algorithm, digest)
        self._ask(attempt, self._put, "put", (url, headers, into.timeout), into.ca)

    def _put(self, attempt: _Try, result: Any) -> None:
        etag, checksums, problem, code = result
        if problem is not None:
            self._failed(attempt, Failure(*problem), code)
            return
        digest = base64.b64encode(bytes.fromhex(attempt.digest)).decode()
        if not etag or dict(checksums).get(self._into.algorithm, digest) != digest:
            self._failed(attempt, Failure("wrong", "the answer does not fit what was sent"), "")
            return
        self._end(attempt)
        self._pace.went_well()
        took = self._desk.clock() - attempt.put_at
        self._usual = 0.8 * self._usual + 0.2 * took if self._usual else took
        self._won[attempt.hand.node] = attempt.put_at
        self._late.discard(attempt.hand.node)
        block = attempt.block
        block.is_sent = True
        crc = int(attempt.digest, 16) if self._into.algorithm == CRC else None
        self.sent[block.number + 1] = Sent(etag, block.size, crc)
        self._go_on(block)

    def _end(self, attempt: _Try) -> None:
        attempt.block.is_queued = False
        del self._tries[attempt.block.number]
        self._busy[attempt.hand.node] -= 1

    def _failed(self, attempt: _Try, failure: Failure, code: str) -> None:
        """Try once more, by another if there is one. Raises OutputError where that is no use."""
        now, block = self._desk.clock(), attempt.block
        log.debug("block %d by %s: %s", block.number, attempt.hand.node, failure.message)
        if failure.status == 429 or code in SLOW or (failure.status == 503 and not code):
            self._slow_down(attempt, now)
        self._end(attempt)
        block.tries += 1
        block.failed_at.add(attempt.hand.node)
        if not may_help(failure, code, block.tries) or block.tries > self._into.retries:
            raise self._error(failure, code, block.tries)
        is_expired = failure.status == 403
        self._queue(block, 0 if is_expired else backoff.delay(block.tries, failure.retry_after))

    def _slow_down(self, attempt: _Try, now: float) -> None:
        if self._pace.slow(len(self._tries), attempt.began, now) and not self._was_slow:
            self._was_slow = True
            self._emit(Notice("the bucket asks for fewer requests: fewer parts are sent at once"))

    def _error(self, failure: Failure, code: str, tries: int) -> OutputError:
        place = self._into.bucket.place
        if failure.kind == "status":
            return refusal(place, "write", code, failure.status)
        times = f" ({counted(tries, 'try', 'tries')})" if tries > 1 else ""
        return UnreachedError(f"cannot write {place}: {failure.message}{times}")


def may_help(failure: Failure, code: str, tries: int) -> bool:
    """Whether a block that was refused like this may be taken when it is sent again."""
    match failure.status:
        case 403:
            return tries < MOST_REFUSALS
        case 400:
            return code in DAMAGED
        case 301 | 307 | 409:
            return True
    return failure.kind != "status" or failure.retryable
