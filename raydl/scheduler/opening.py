"""Whether one lane is enough: where it takes all that a process has of processors. Pure state."""

from __future__ import annotations

FREE_LOOKS = 5
"""Lanes that were few for the processor's sake are as many as others again once it was free in so
many looks: the link may be slow by now, or stand still, or others have come."""


class Opening:
    """What is seen of the only lane at first, and of the processor later."""

    def __init__(self) -> None:
        self._free_looks = 0
        self.start_over()

    def start_over(self) -> None:
        """Another download begins with it."""
        self._since = 0.0
        self._has_come = False
        """Whether any bytes had come as it looked before."""

    def is_over(self, moved_at: float, now: float) -> bool:
        """Whether it was looked at for long enough: bytes have come for a while, or none do soon.

        ``moved_at`` is when it was last heard that any had come.
        """
        had_come, is_first = self._has_come, not self._since
        self._since = self._since or now
        self._has_come = moved_at > self._since
        return not (is_first or (self._has_come and not had_come))

    def is_enough(self, full: bool) -> bool:
        """Whether the lane took a processor, ``full``, with what came; else it was a hand-shake."""
        return full and self._has_come

    def is_free(self, full: bool) -> bool:
        """Take in whether the lanes take a processor; whether they have not for a while."""
        self._free_looks = 0 if full else self._free_looks + 1
        return self._free_looks >= FREE_LOOKS
