"""Several mirrors of the same file: which one the next request goes to. Pure state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from raydl.model.digests import Checksum
from raydl.model.failure import Failure
from raydl.model.remote import Remote, Source
from raydl.model.weburl import redact
from raydl.scheduler.origins import OriginHost

PATIENCE = 3
"""A mirror is dropped after this many consecutive failures, if there are others. A request that was
under way when one of them was counted belongs to the same event, and does not count."""


@dataclass(eq=False)
class Mirror:
    """A mirror and its statistics; ``resolve`` looks its URL up again.

    ``speed`` is that of one request in bytes a second, 0 while unknown; ``served`` counts bytes
    since the source was resolved. ``refused`` is set while it is not known whether a refusal means
    that the URL has expired. ``host`` is its origin, as all downloads know it. ``bad_pieces`` are
    the nodes that got pieces from it that do not have their digest, one for each.
    """

    source: Source
    resolve: Callable[[], Source] | None = None
    speed: float = 0.0
    in_flight: int = 0
    failures: int = 0
    failed_at: float = -math.inf
    served: int = 0
    is_resolving: bool = False
    refused: Failure | None = None
    host: OriginHost = field(default_factory=OriginHost)
    bad_pieces: list[str] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it is known where to ask."""
        return not self.is_resolving and self.refused is None

    def renew(self, source: Source) -> bool:
        """Take the new source over; False when it is another file."""
        old, self.source = self.source, source
        self.served, self.is_resolving = 0, False
        return old.version == source.version

    def __str__(self) -> str:
        return redact(self.source.url)


class Mirrors:
    """Spreads requests by the speed that each mirror shows.

    ``awaited`` is the number of mirrors that may still join.
    """

    def __init__(self, mirrors: Iterable[Mirror], awaited: int = 0) -> None:
        self._mirrors = list(mirrors)
        self.awaited = awaited

    def searched(self, mirror: Mirror | None) -> bool:
        """An awaited mirror joins or does not; returns whether there is any mirror at all."""
        self.awaited -= 1
        if mirror is not None:
            self._mirrors.append(mirror)
        return bool(self._mirrors or self.awaited)

    def __iter__(self) -> Iterator[Mirror]:
        return iter(self._mirrors)

    def __len__(self) -> int:
        return len(self._mirrors)

    def __contains__(self, mirror: object) -> bool:
        return mirror in self._mirrors

    def next(
        self,
        may_ask: Callable[[Mirror], bool] | None = None,
        tries: Mapping[Mirror, int] = MappingProxyType({}),
    ) -> Mirror | None:
        """Where the next request would be served soonest, of those that it may go to.

        ``tries`` counts what was tried in vain: the fewer, the sooner. None while there is none.
        """
        known = [m for m in self._mirrors if m.is_open and (may_ask is None or may_ask(m))]
        if len(known) < 2:
            return known[0] if known else None
        fastest = max(mirror.speed for mirror in known)
        # A mirror not tried yet is taken to be as fast as the best.
        return min(
            known,
            key=lambda m: (tries.get(m, 0), (m.in_flight + 1) / (m.speed or fastest or 1.0)),
        )

    def delivered(self, mirror: Mirror, source: Source, got: int, seconds: float) -> None:
        """``mirror`` delivered ``got`` bytes in ``seconds``, from where it was ``source``."""
        mirror.failures = 0
        if source is mirror.source:
            mirror.served += got
        if seconds > 0:
            speed = got / seconds
            mirror.speed = (3 * mirror.speed + speed) / 4 if mirror.speed else speed

    def failed(self, mirror: Mirror, failure: Failure, began: float, now: float) -> bool:
        """A request that ``began`` then failed. Whether the mirror is dropped: never the last."""
        if len(self._mirrors) == 1 or mirror not in self._mirrors:
            return False
        if failure.retryable:
            if began < mirror.failed_at:
                return False
            mirror.failures, mirror.failed_at = mirror.failures + 1, now
            if mirror.failures < PATIENCE:
                return False
        return self.leave(mirror)

    def leave(self, mirror: Mirror) -> bool:
        """Drop the mirror; False if it is the only one, and no other may join."""
        if len(self._mirrors) + self.awaited == 1:
            return False
        self._mirrors.remove(mirror)
        return True


def objection(first: Remote, other: Remote, proven: bool = False) -> str:
    """Why ``other`` cannot stand in for ``first``; empty where nothing that they state forbids it.

    Of the digests that both state, every one has to be the same, unless all bytes are ``proven``:
    then neither of the two is believed.
    """
    if other.size != first.size:
        return f"it has {other.size} bytes, not {first.size}"
    if not other.ranges:
        return other.why_no_ranges or "it serves no byte ranges"
    if other.coding != first.coding:
        return f"it has the file in {other.coding or 'no'} coding, not in {first.coding or 'none'}"
    if proven:
        return ""
    for ours, theirs in _common_digests(first, other):
        if ours != theirs:
            return f"it states another {ours.algorithm}"
    if first.validator and not other.validator:
        return "a change of its file could not be noticed: neither a strong ETag nor a date"
    return ""


def agrees(first: Remote, other: Remote) -> bool:
    """Whether a digest that both state shows that they have the same file.

    Equal ETags do not: what they are made of is each host's own matter.
    """
    return any(ours == theirs for ours, theirs in _common_digests(first, other))


def _common_digests(first: Remote, other: Remote) -> Iterator[tuple[Checksum, Checksum]]:
    for ours in first.digests:
        for theirs in other.digests:
            if ours.checksum.algorithm == theirs.checksum.algorithm:
                yield ours.checksum, theirs.checksum
