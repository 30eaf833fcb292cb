"""Bodies of answers: read into buffers as they come, or as a text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from raydl.model.failure import Failure
from raydl.model.units import format_size
from raydl.origin.answers import check_framing
from raydl.origin.faults import OriginFailure
from raydl.origin.headers import content_coding, content_length
from raydl.origin.redirects import Requester
from raydl.origin.reply import Reply
from raydl.origin.wire import Answer

LARGEST_READ = 4 << 20
SMALLEST_READ = 16 << 10
QUICK_READ, SLOW_READ = 0.0125, 0.05
"""Seconds. A speed is seen, and a request is cut off, in steps of one read."""


Translated = Callable[[], AbstractContextManager[None]]
"""Within it, errors of the connection become an OriginFailure."""


class Place(Protocol):
    """Where bytes go without a buffer of theirs."""

    def take(self, body: Answer, position: int, amount: int, translated: Translated) -> int:
        """Put up to ``amount`` bytes of the body at ``position``, from 0 on; returns how many, 0
        at its end. Reads are done within ``translated``. Raises OriginFailure."""


def fill(
    requester: Requester,
    reply: Reply,
    into: memoryview | Place,
    size: int,
    may_end: bool = False,
    left: Callable[[], int] | None = None,
) -> Iterator[int]:
    """Read until ``size`` bytes are there, and yield the size of each read.

    The reads adapt to the speed: large ones cost least, but what a broken connection had
    delivered of the read under way is lost, so a slow connection gets small ones. ``left`` says how
    many bytes the next one may be for.
    """
    amount, position = SMALLEST_READ * 4, 0
    body = reply.answer
    while position < size:
        if requester.aborted:
            raise OriginFailure(Failure("cancelled", "cancelled"))
        began = time.monotonic()
        most = min(amount, size - position)
        if left is not None:
            most = min(most, left())
        if isinstance(into, memoryview):
            with requester.translated():
                count = body.readinto(into[position : position + most])
        else:
            count = into.take(body, position, most, requester.translated)
        if not count:
            if requester.aborted:
                continue
            if may_end and not body.is_cut_off:
                return
            how = "ended TLS without a word" if may_end else "closed the connection early"
            raise OriginFailure(Failure("broken", f"the origin {how}"))
        position += count
        yield count
        took = time.monotonic() - began
        if took < QUICK_READ:
            amount = min(amount * 4, LARGEST_READ)
        elif took > SLOW_READ:
            amount = max(amount // 2, SMALLEST_READ)


def settle(requester: Requester, reply: Reply) -> None:
    """After the last byte that was wanted: keep the connection, if nothing follows."""
    if content_length(reply.headers) is None:
        with requester.translated():
            if reply.answer.read(1):
                raise OriginFailure(Failure("wrong", "the origin sent more than it said"))
    reply.keep()


def read_text(requester: Requester, reply: Reply, limit: int) -> str:
    """All of it, in one timeout. Raises OriginFailure, also beyond ``limit`` bytes."""
    check_framing(reply)
    if content_coding(reply.headers):
        raise OriginFailure(Failure("wrong", "the origin sent a text packed"))
    answer, length = reply.answer, content_length(reply.headers)
    answer.bound(requester.timeout, 2 * limit + SMALLEST_READ)  # with the framing of chunks
    with requester.translated():
        data = answer.read(limit + 1)
    if len(data) > limit:
        much = f"more than {format_size(limit)}"
        raise OriginFailure(Failure("wrong", f"no list of digests, but {much} came"))
    if answer.is_cut_off or len(data) < (length or 0):
        raise OriginFailure(Failure("broken", "the origin closed the connection early"))
    return data.decode(errors="replace")
