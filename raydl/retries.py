"""Whether a part whose request failed is asked for again, and when. Pure state."""

from __future__ import annotations

from raydl import backoff
from raydl.models import Failure, Part

DOUBTFUL = ("no-range", "changed", "wrong")
"""Answers that do not fit. One is asked for once more: an odd answer of one server behind a name
is no reason to throw everything away. A second one is."""


class Retries:
    """``most`` is how often a part that makes no progress is tried again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._in_doubt: set[int] = set()

    def delay(self, part: Part, tries: int, failure: Failure) -> float:
        """Seconds to wait before ``part`` is tried again, after ``tries`` that failed.

        Raises what the failure means for the download where it is not tried again.
        """
        if not failure.retryable:
            if failure.kind not in DOUBTFUL or self._in_doubt:
                raise failure.to_error()
            self._in_doubt.add(part.number)
        if tries > self._most:
            raise failure.to_error(f" ({tries} tries)" if tries > 1 else "")
        if failure.kind == "lane":  # the node's fault, not the origin's: another can do it now
            return 0.0
        return backoff.delay(tries, failure.retry_after)

    def fitted(self, part: Part) -> None:
        """An answer for it that fits came after all."""
        self._in_doubt.discard(part.number)
