"""How often parts were tried, and when they are tried again. Pure state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from raydl.model import backoff
from raydl.model.errors import RaydlError
from raydl.model.failure import Failure
from raydl.model.parts import Part
from raydl.scheduler.mirrors import Mirror

MOST_LOSSES = 20
"""Node losses allowed per part, before they are no longer taken for accidents."""

UNCONFIRMED = 3
"""Tries after which one node's unconfirmed failure is accepted."""


class Retries:
    """``most`` is how often a part that makes no progress is tried again, at each mirror."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tries: dict[int, Counter[Mirror]] = {}
        self._blamed: dict[int, Counter[str]] = {}
        self._over: dict[int, RaydlError] = {}

    def at(self, start: int) -> Mapping[Mirror, int]:
        """How often the bytes at ``start`` were tried in vain at each mirror."""
        return self._tries.get(start, {})

    def is_spent(self, start: int, mirror: Mirror) -> bool:
        """Whether those bytes are not asked for there any more."""
        return self.at(start).get(mirror, 0) > self._most

    def failed(
        self,
        part: Part,
        mirror: Mirror,
        mirrors: Collection[Mirror],
        failure: Failure,
        may_join: bool = False,
    ) -> tuple[int, float]:
        """One more try at ``mirror``: how many that makes, and seconds to wait before the next.

        Raises what the failure means for the download when there was one too many at each of
        ``mirrors``, which are all that there are, unless more ``may_join``: then they wait for
        ``searched``.
        """
        tries = self._tries.setdefault(part.start, Counter())
        tries[mirror] += 1
        count = tries[mirror]
        most = self._most if failure.retryable else min(self._most, UNCONFIRMED)
        if min((tries[m] for m in mirrors), default=count) > most:
            error = failure.to_error(f" ({count} tries)" if count > 1 else "")
            if not may_join:
                raise error
            self._over[part.start] = error
            tries[mirror] = self._most + 1
            return count, 0.0
        if any(tries[m] < count for m in mirrors):
            return count, 0.0
        # What one of several asks for is no reason to wait for the others.
        return count, backoff.delay(count, failure.retry_after if len(mirrors) == 1 else None)

    def searched(self, mirrors: Collection[Mirror]) -> None:
        """No other mirror will join. Raises the stored error of a part that waited for one."""
        for start, error in self._over.items():
            if all(self.is_spent(start, mirror) for mirror in mirrors):
                raise error

    def blamed(self, part: Part, node: str) -> bool:
        """FailurePolicy ``node``, without counting a try; returns whether that is the first time.

        A node that fails the same bytes repeatedly uses up tries: else nothing would ever end it.
        """
        blamed = self._blamed.setdefault(part.start, Counter())
        blamed[node] += 1
        return blamed[node] == 1

    def has_failed(self, start: int, node: str) -> bool:
        """Whether that node was to blame that those bytes did not come."""
        return node in self._blamed.get(start, ())

    def lost(self, part: Part, failure: Failure) -> None:
        """The node that fetched it is gone: no try, but it may not go on for ever."""
        blamed = self._blamed.setdefault(part.start, Counter())
        blamed[""] += 1
        if blamed[""] > MOST_LOSSES:
            raise failure.to_error(f" ({blamed['']} times)")

    def fitted(self, start: int) -> None:
        """The bytes at ``start`` came."""
        self._tries.pop(start, None)
        self._over.pop(start, None)
        self._blamed.pop(start, None)
