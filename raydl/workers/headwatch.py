"""When a cluster's head counts as gone: what is refused soon, what is merely slow much later."""

from __future__ import annotations

from collections.abc import Callable

from raydl.cluster.head import HeadLink
from raydl.model.errors import ClusterError

HEAD_SECONDS = 5.0
"""A head that cannot be reached is gone after that: connecting is refused, or nobody is heard."""

BUSY_SECONDS = 30.0
"""A head that is silent, while workers answer, is busy for that long. Ray would end this process
after a minute without its head."""


class HeadWatch:
    """When the head was heard of last, and why it is not now.

    One thread knocks, others ask. A head whose ``link`` is None cannot be watched.
    """

    def __init__(self, link: HeadLink | None, clock: Callable[[], float]) -> None:
        self._link, self._clock = link, clock
        self._heard_at = clock()
        self._problem: ClusterError | None = None
        self._is_silent = False

    def knock(self) -> None:
        """See whether it lives, which takes some seconds where it does not."""
        if self._link is None:
            return
        self._problem, self._is_silent = self._link.knock()
        if self._problem is None:
            self._heard_at = self._clock()

    @property
    def answers(self) -> bool:
        """Whether it did when it was asked last: Ray's calls wait for one that does not."""
        return self._problem is None

    def check(self, now: float, *, alone: bool) -> None:
        """Raise ClusterError once it counts as gone. ``alone``: no worker is heard either."""
        patience = BUSY_SECONDS if self._is_silent and not alone else HEAD_SECONDS
        if self._problem is not None and now - self._heard_at > patience:
            raise self._problem

    def stood_still(self, seconds: float) -> None:
        """Exclude ``seconds`` in which this process was suspended."""
        self._heard_at += seconds

    def close(self) -> None:
        """Let go of the connection."""
        if self._link is not None:
            self._link.close()
