"""Which limit a download met, concluded from what was seen of it. Pure."""

from __future__ import annotations

from collections import Counter
from enum import Enum

from raydl.units import counted, format_size

MOSTLY = 0.5
"""The share of the time in which something held up the rest for it to be called the limit."""

BUSY = 0.95
"""From this share of its processor time on, a machine's processors are what it waits for."""

LEAST_LOOKS = 10
"""Fewer looks than that, a second's worth, tell nothing."""

FIRST_LOOKS = 5
"""So many looks after a node came or went say nothing yet of what the nodes bring."""

SCALES, SHARED = 0.7, 0.4
"""Of what the nodes would bring together if each brought as much as one alone: from ``SCALES`` on
they have links of their own, below ``SHARED`` they share one."""


class Holdup(Enum):
    """What holds the lanes up at a moment, with what to say of it."""

    NONE = ""
    OUTPUT = "the output (disk or reader) is the limit: more nodes would not help"
    TRANSFER = "this machine's way to the nodes is the limit: more nodes would not help"
    RATE = "--limit-rate is the limit: more nodes would not help"
    CPU_HERE = "this machine's processors are the limit: more nodes would not help"
    CPU = "the nodes' processors are the limit: more nodes would help"


class Limits:
    """Takes in a look at the download several times a second, and says what it adds up to."""

    def __init__(self) -> None:
        self._looks: Counter[Holdup] = Counter()
        self._nodes = self._since = 0
        self._rates: dict[int, tuple[int, float]] = {}

    def look(self, holdup: Holdup, nodes: int, rate: float) -> None:
        """``rate`` is what all ``nodes`` bring, in bytes a second."""
        self._looks[holdup] += 1
        if nodes != self._nodes:
            self._nodes, self._since = nodes, 0
        self._since += bool(rate or self._since)
        if holdup is Holdup.NONE and self._since > FIRST_LOOKS:
            looks, mean = self._rates.get(nodes, (0, 0.0))
            self._rates[nodes] = (looks + 1, mean + (rate - mean) / (looks + 1))

    def explain(self, capped: bool, refused: bool) -> str:
        """A line that says what more nodes would do; empty where too little was seen.

        ``capped`` tells that every connection more had brought more, ``refused`` that the origin
        wanted fewer.
        """
        seen = sum(self._looks.values())
        if seen < LEAST_LOOKS:
            return ""
        holdup, times = self._looks.most_common(1)[0]
        if holdup is not Holdup.NONE and times > MOSTLY * seen:
            return str(holdup.value)
        rates = {nodes: rate for nodes, (_, rate) in self._rates.items() if nodes and rate}
        if not rates:
            return ""
        nodes = max(rates)
        rate = rates[nodes]
        each = f"{counted(nodes, 'node')} at {format_size(rate / nodes)}/s" + (
            " each" if nodes > 1 else ""
        )
        if refused:
            return f"{each}; the origin refuses more requests: more nodes would not help"
        if capped:
            return f"{each}; the origin's cap per connection is the limit: more nodes would help"
        if nodes == 1:
            return f"{each}; its way to the origin is the limit: nodes with links of their own help"
        fewest = min(rates)
        if fewest == nodes:
            return each
        share = rate / nodes / (rates[fewest] / fewest)
        if share >= SCALES:
            return f"{each}; the nodes' links are the limit: more nodes would help"
        if share < SHARED:
            return f"{each}; what they share is the limit (origin, link): more would not help"
        return f"{each}; more nodes would help a little"
