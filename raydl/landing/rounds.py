"""What the scheduler brings to a landing at one go, and what comes of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from raydl.landing.desk import Desk, Placing
from raydl.landing.writer import Item
from raydl.model.parts import Part
from raydl.model.report import NodeShare
from raydl.workers.protocol import Payload


class Round:
    """A destination of the scheduler: bytes stay where they were fetched."""

    here = in_order = False

    def __init__(self, desk: Desk, take: Callable[[Item, str], None], end: Callable[[], None]):
        self._desk, self._take, self._end = desk, take, end

    def take(self, part: Part, payload: Payload, node: str, done: Callable[[str], None]) -> None:
        """Leave it to the thread of the download."""
        self._desk.post(partial(self._take, Item(part, payload, done), node))

    def end(self, error: BaseException | None) -> None:
        """Nothing more comes."""
        if error is None:
            self._desk.post(self._end)
        else:
            self._desk.fail(error)


@dataclass(frozen=True)
class Fetched:
    """What the scheduler brought at one go."""

    seconds: float
    parts: int
    retries: int
    wasted: int
    limit: str
    shares: tuple[NodeShare, ...]

    @classmethod
    def of(cls, placing: Placing, seconds: float) -> Fetched:
        """What came of this job."""
        meter = placing.meter
        return cls(
            seconds, placing.parts, meter.retried, meter.wasted, placing.limit, meter.shares()
        )


def shares(rounds: list[Fetched]) -> tuple[NodeShare, ...]:
    """What each node did in all of them."""
    found: dict[str, NodeShare] = {}
    for share in (share for round in rounds for share in round.shares):
        before = found.get(share.node, NodeShare(share.node, 0, 0))
        lanes = max(share.lanes, before.lanes)
        found[share.node] = replace(share, bytes=share.bytes + before.bytes, lanes=lanes)
    return tuple(found.values())
