"""Which limit a download met, concluded from what was seen of it. Pure.

What was not seen is not said: a node's link, what an origin gives to one address and what it gives
in all look the same until lanes or nodes come or go.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

from raydl.model.units import counted

MOSTLY = 0.5
"""The share of the time in which something held up the rest for it to be called the limit."""

BUSY = 0.95
"""From this share of its processor time on, a machine's processors are what it waits for."""

LEAST_LOOKS = 10
"""Fewer looks than this, a second's worth, prove nothing."""

LINK_LOOKS = 20
"""Fewer than this show no link: in a second or two lanes and parts are still growing."""

FIRST_LOOKS = 5
"""Ignore this many looks after nodes or lanes came or went: they do not show the new rate yet."""

SCALES, SHARED = 0.7, 0.4
"""Of what the nodes would bring together if each brought as much as one alone: from ``SCALES`` on
each has a limit of its own, below ``SHARED`` they share one."""


class Holdup(Enum):
    """What holds the lanes up at a moment, with what to say of it."""

    NONE = ""
    OUTPUT = "the output (disk or reader) is the limit: more nodes would not help"
    TRANSFER = "this machine's way to the nodes is the limit: more nodes would not help"
    RATE = "--limit-rate is the limit: more nodes would not help"
    CPU_HERE = "this machine's processors are the limit: more nodes would not help"
    CPU = "the nodes' processors are the limit: more nodes would help"
    PARTS = "small requests (--part-size, --max-memory) may be the limit: larger ones would show"
    CONNECTIONS = "--max-connections-per-origin was reached: it may be the limit, nodes are not"
    LANES = "all connections of --connections were busy: more of them, or more nodes, may help"


WAITS = {
    Holdup.OUTPUT: "output",
    Holdup.TRANSFER: "transfer",
    Holdup.RATE: "rate",
    Holdup.CPU_HERE: "processors",
    Holdup.CPU: "processors",
    Holdup.CONNECTIONS: "connections",
}
"""The word for what lanes wait for, where they do: small requests and few lanes make none wait."""

PAUSED, NO_NODES, ASKED_TO_WAIT = "paused", "nodes", "origin"
"""The same for what is not about lanes: the user, that nobody is there, that an origin wants it."""


class Bottleneck:
    """Takes in a look at the download several times a second, and says what it adds up to."""

    def __init__(self) -> None:
        self._looks: Counter[Holdup] = Counter()
        self._strained = 0
        self._now, self._since = (0, 0), 0
        self._rates: dict[tuple[int, int], tuple[int, float]] = {}

    def look(self, holdup: Holdup, nodes: int, lanes: int, rate: float, strained: bool) -> None:
        """``rate`` is what all ``nodes``, with ``lanes`` lanes each, bring in bytes a second.

        ``strained``: whether the processors of a node have no time for more.
        """
        self._looks[holdup] += 1
        self._strained += strained
        if (nodes, lanes) != self._now:
            self._now, self._since = (nodes, lanes), 0
        self._since += bool(rate or self._since)
        if self._since > FIRST_LOOKS:
            looks, mean = self._rates.get(self._now, (0, 0.0))
            self._rates[self._now] = (looks + 1, mean + (rate - mean) / (looks + 1))

    def explain(
        self, more_brings: bool | None, refused: bool, node: str, borne: int | None = None
    ) -> str:
        """A line that says what more nodes would do; empty where too little was seen.

        ``more_brings``: whether more connections had brought as much more, or nothing; None
        where neither was seen. ``refused``: whether the origin wanted fewer. ``node`` is the one
        that fetched most. ``borne``: with more connections than that a node, it slowed down.
        """
        seen = sum(self._looks.values())
        if seen < LEAST_LOOKS:
            return ""
        holdup, times = self._looks.most_common(1)[0]
        if holdup is not Holdup.NONE and times > MOSTLY * seen:
            return str(holdup.value)
        if refused:
            return "the origin refuses more requests: more nodes would not help"
        if borne is not None:
            return (
                f"the origin slows down above {counted(borne, 'connection')} from a machine: "
                f"raydl keeps to {borne}"
            )
        if more_brings:
            return "the origin's cap per connection is the limit: more nodes would help"
        if self._strained > MOSTLY * seen:  # then no speed says anything about a link
            return "which limit was met is unclear: processors had hardly any time left"
        if more_brings is None or seen < LINK_LOOKS:
            return "which limit was met is unclear"
        nodes, share = self._scaling()
        if nodes == 1:
            return (
                f"{node}'s link is the limit, or what the origin gives to one address, or in "
                "all: nodes with links of their own may help"
            )
        if share is None:
            return "which limit was met is unclear"
        if share >= SCALES:
            return (
                "the nodes' links are the limit, or what the origin gives to one address: "
                "more nodes would help"
            )
        if share < SHARED:
            return (
                "the nodes share one way to the origin (one address behind NAT, one link), or it "
                "gives no more: more nodes bring nothing"
            )
        return "what the nodes share is nearly the limit: more nodes would help a little"

    def _scaling(self) -> tuple[int, float | None]:
        """The largest node count, and the scaling efficiency there, relative to the fewest nodes.

        Only what was seen with the same number of lanes a node is compared.
        """
        most = max((nodes for nodes, _ in self._rates), default=0)
        shares = [
            (looks, rate / nodes / (self._rates[fewest, lanes][1] / fewest))
            for (nodes, lanes), (looks, rate) in self._rates.items()
            if nodes == most
            and (fewest := min(n for n, same in self._rates if same == lanes and n)) < most
            and self._rates[fewest, lanes][1]
        ]
        return most, max(shares)[1] if shares else None
