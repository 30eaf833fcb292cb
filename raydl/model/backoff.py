"""How long to wait before the next try."""

from __future__ import annotations

import random

FIRST = 0.5
LONGEST = 30.0
LONGEST_ASKED = 300.0


def delay(tries: int, retry_after: float | None = None) -> float:
    """Seconds before try ``tries`` + 1: exponential with full jitter on its upper half.

    ``retry_after`` is what the origin asked for (RFC 9110, section 10.2.3): it is obeyed up
    to five minutes, plus a little jitter so that not every lane comes back at once.
    """
    if retry_after is not None:
        return min(retry_after, LONGEST_ASKED) + random.uniform(0, FIRST)
    ceiling = min(LONGEST, FIRST * 2.0 ** max(0, tries - 1))
    return random.uniform(ceiling / 2, ceiling)
