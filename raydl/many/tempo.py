"""How many lanes ask one host for small files at once, and how fast: found by trying. Pure state.

What counts is work: a request, and what it brings. Hosts say that it is too much by 429 or 503.
"""

from __future__ import annotations

from collections import deque

A_REQUEST = 32 << 10
"""Bytes that a request is worth."""

FIRST_OF_NODE, MOST_OF_NODE = 4, 64

LEAST_FILES = 8
"""A level is judged by as many files as it has lanes, and so many at least, of those that began on
it: after two round trips. What counts is the work of a lane's second, so that bursts mislead
nobody."""

GAIN = 1.25
"""Twice the lanes must bring this much more to be kept."""

HOLD_SECONDS = 5.0
LONGEST_HOLD = 60.0
"""What brought nothing is tried again after a while, and then after twice as long."""

SLOWER = 0.85
"""How much of what the host has just borne is asked of it, once it has complained."""

ONE_COMPLAINT = 1.0
"""Seconds in which all complaints are one: they are of requests that were under way together."""

LEAST = 0.5
"""Requests a second that are asked of a host which has borne none at all."""

PATIENCE = 2.0
FASTER, MUCH_FASTER = 1.03, 2.0
"""Without a complaint for PATIENCE seconds, the rate grows by that much a second: by the second
number where nobody knows what the host bears, for it complained before it served anything. Once
lanes need not wait any more to keep it, it is forgotten, and more lanes are tried."""

WINDOW = 1.0


class Tempo:
    """The lanes that one host gets, of all nodes together, and the pace of each."""

    def __init__(self, nodes: int, now: float, most: int | None = None) -> None:
        self._most = most
        self.lanes = 0
        self.rate: float | None = None
        """Requests a second, where the host has said that it bears no more."""
        self._nodes = 0
        self._work = self._seconds = 0.0
        self._files = self._to_pass = 0
        self._before: float | None = None
        self._is_trial = False
        self._try_at = now
        self._hold = HOLD_SECONDS
        self._served: deque[tuple[float, int]] = deque()
        self._complained_at = -ONE_COMPLAINT
        self._grown_at = now
        self._has_served = self._is_guess = False
        """The second: whether ``rate`` is of no use but to begin with."""
        self.fleet(nodes)

    def fleet(self, nodes: int) -> None:
        """So many nodes ask."""
        if nodes == self._nodes:
            return
        self._nodes = nodes
        self._set(max(self.lanes, min(FIRST_OF_NODE * nodes, self._top)))
        self._before, self._is_trial = None, False

    @property
    def _top(self) -> int:
        top = MOST_OF_NODE * max(1, self._nodes)
        return top if self._most is None else min(top, self._most)

    @property
    def pace(self) -> float:
        """Seconds from one request of a lane to its next, at least."""
        return self.lanes / self.rate if self.rate else 0.0

    def came(self, files: int, size: int, seconds: float, now: float) -> None:
        """So many files were answered, with so many bytes; together they took lanes so long."""
        if self._to_pass > 0:
            self._to_pass -= files
        else:
            self._work += size + files * A_REQUEST
            self._seconds += seconds
            self._files += files
        self._has_served = self._has_served or files > 0
        self._served.append((now, files))
        while self._served[0][0] < now - WINDOW:
            self._served.popleft()

    def complained(self, seconds: float, now: float) -> None:
        """The host wants fewer requests; ``seconds`` is what a request takes there."""
        if now - self._complained_at < ONE_COMPLAINT:
            return
        self._complained_at = self._grown_at = now
        span = max(0.2, now - self._served[0][0]) if self._served else WINDOW
        borne = sum(files for _, files in self._served) / min(span, WINDOW)
        self.rate = max(LEAST, SLOWER * (borne if self.rate is None else min(self.rate, borne)))
        self._is_guess = not self._has_served
        if self._is_trial:  # it was of too many, as one that brought nothing
            self._hold = min(2 * self._hold, LONGEST_HOLD)
        enough = round(2 * self.rate * max(seconds, 0.01)) + self._nodes
        self._set(max(1, min(self.lanes, enough)))
        self._is_trial = False

    def look(self, is_busy: bool, seconds: float, now: float) -> None:
        """Act on what came; ``is_busy``: whether all lanes had something to do."""
        if self.rate is not None:
            self._speed_up(self.rate, seconds, now)
            return
        if not is_busy:
            self._begin()
        elif self._files >= max(LEAST_FILES, self.lanes) and self._seconds:
            self._judge(self.lanes * self._work / self._seconds, now)

    def _judge(self, rate: float, now: float) -> None:
        if self._is_trial and self._before is not None:
            self._is_trial = False
            if rate < GAIN * self._before:
                self._try_at = now + self._hold
                self._hold = min(2 * self._hold, LONGEST_HOLD)
                self._set(max(1, self.lanes // 2))
                return
            self._hold = HOLD_SECONDS
        self._before = rate
        if now >= self._try_at and 2 * self.lanes <= self._top:
            self._is_trial = True
            self._set(2 * self.lanes)
        else:
            self._begin()

    def _speed_up(self, rate: float, seconds: float, now: float) -> None:
        if now - self._complained_at > PATIENCE and now - self._grown_at >= 1.0:
            self.rate = rate * (MUCH_FASTER if self._is_guess else FASTER)
            self._grown_at = now
            if self.pace < seconds:
                self._try_at = now if self._is_guess else now + self._hold
                self.rate, self._before = None, None
                self._set(self.lanes)

    def _set(self, lanes: int) -> None:
        self.lanes = max(1, min(lanes, self._top))
        self._to_pass = self.lanes
        self._begin()

    def _begin(self) -> None:
        self._work = self._seconds = 0.0
        self._files = 0
