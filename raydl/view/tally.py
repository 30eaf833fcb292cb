"""What events add up to for monitoring. Pure: who hands it to Ray is ``download/monitoring``."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable

from raydl.model.events import Event, PartFailed, PartFetched, PartHedged, Progress
from raydl.model.fileevents import FileEnded, FilesNow, HandNow
from raydl.model.manyreport import DONE
from raydl.model.metrics import (
    FETCHED,
    HEDGES,
    IN_FLIGHT,
    LANES,
    RETRIES,
    SECONDS,
    WAITING,
    WASTED,
    Changes,
    Key,
)

MOST_NODES, MOST_ORIGINS = 256, 32
"""So many of each have a label of their own, in a process; who comes later is OTHER. A series for
each pair is 8,000 at most, of which a Prometheus with a few GB holds hundreds of times as many. And
no download has 32 mirrors, while a list of files may name a thousand hosts, and clusters that
scale have new addresses for ever."""

OTHER = "other"

MOST_SEEN = 10_000
"""Seconds of parts that wait to be handed on: more come in a second of no download."""

LONGEST_LOOK = 5.0
"""Two looks at a download are no farther apart, unless the process was suspended."""


class Names:
    """Values of a label: the first ``most``, and OTHER."""

    def __init__(self, most: int) -> None:
        self._most, self._known = most, set[str]()

    def label(self, name: str) -> str:
        """What it is called."""
        if name not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(name)
        return name


class Tally:
    """Of one transfer, or of the small files of a run, to a kind of ``destination``.

    ``stream`` is the node and the origin of a file that comes in one stream, of which no parts are
    told. Events come from one thread, and another one takes what they add up to.
    """

    def __init__(
        self,
        destination: str,
        stream: tuple[str, str] | None = None,
        *,
        nodes: Names | None = None,
        origins: Names | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._to, self._stream, self._clock = destination, stream, clock
        self._nodes, self._origins = nodes or Names(MOST_NODES), origins or Names(MOST_ORIGINS)
        self._lock = threading.Lock()
        self._added: defaultdict[Key, float] = defaultdict(float)
        self._seen: deque[tuple[Key, float]] = deque(maxlen=MOST_SEEN)
        self._now: dict[Key, float] = {}
        self._before: Counter[str] = Counter()
        self._looked_at: float | None = None

    def take(self, event: Event) -> None:
        """Count an event; a few microseconds, whatever it is."""
        with self._lock:
            match event:
                case PartFetched():
                    self._fetched(event.node, event.origin, event.stop - event.start)
                    self._seen.append(
                        ((SECONDS, (self._origins.label(event.origin),)), event.seconds)
                    )
                case PartFailed():
                    self._added[RETRIES, (self._nodes.label(event.node), self._to)] += 1
                case PartHedged():
                    self._added[HEDGES, (self._nodes.label(event.node), self._to)] += 1
                case Progress():
                    self._progress(event)
                case FileEnded() if event.node and event.report.state == DONE:
                    self._fetched(event.node, event.origin, event.report.size)
                case FilesNow():
                    self._added[RETRIES, ("", self._to)] += self._more("retries", event.retries)
                    self._now = self._lanes(event.by_node)

    def rest(self) -> None:
        """It is over: nothing is in flight."""
        with self._lock:
            self._now.clear()

    def drain(self) -> Changes:
        """What is new since this was asked last."""
        with self._lock:
            added = {key: more for key, more in self._added.items() if more}
            changes = Changes(added, dict(self._now), list(self._seen))
            self._added.clear()
            self._seen.clear()
        return changes

    def _fetched(self, node: str, origin: str, size: int) -> None:
        self._added[FETCHED, (self._nodes.label(node), self._origins.label(origin), self._to)] += (
            size
        )

    def _progress(self, event: Progress) -> None:
        by_node: Iterable[HandNow] = (HandNow(node.node, node.lanes) for node in event.by_node)
        if self._stream is not None:
            self._fetched(*self._stream, self._more("fetched", event.fetched))
            by_node = (HandNow(self._stream[0], event.lanes),)
        self._added[WASTED, (self._to,)] += self._more("wasted", event.wasted)
        self._now = self._lanes(by_node)
        self._now[IN_FLIGHT, (self._to,)] = event.lanes
        now, before = self._clock(), self._looked_at
        self._looked_at = now
        if event.waiting and before is not None:
            self._added[WAITING, (event.waiting,)] += min(now - before, LONGEST_LOOK)

    def _lanes(self, by_node: Iterable[HandNow]) -> dict[Key, float]:
        return _sum(((LANES, (self._nodes.label(node),)), lanes) for node, lanes in by_node)

    def _more(self, what: str, now: int) -> int:
        """By how much a number that is told again and again has grown."""
        more, self._before[what] = now - self._before[what], now
        return more


class Tallies:
    """Those of a process: their sums, with labels that are bounded for all of them together."""

    def __init__(self) -> None:
        self.nodes, self.origins = Names(MOST_NODES), Names(MOST_ORIGINS)
        self._open: list[Tally] = []
        self._shown: set[Key] = set()
        self._lock = threading.Lock()

    def open(self, destination: str, stream: tuple[str, str] | None = None) -> Tally:
        """One more, to be closed."""
        tally = Tally(destination, stream, nodes=self.nodes, origins=self.origins)
        with self._lock:
            self._open.append(tally)
        return tally

    def close(self, tally: Tally) -> None:
        """What was not drained of it is forgotten: Ray was not there."""
        with self._lock:
            self._open.remove(tally)

    def drain(self) -> Changes:
        """What is new in all of them. A gauge that none has any more is 0, once."""
        with self._lock:
            all_changes = [tally.drain() for tally in self._open]
            added = _sum(item for changes in all_changes for item in changes.added.items())
            now = _sum(item for changes in all_changes for item in changes.now.items())
            seen = [each for changes in all_changes for each in changes.seen]
            gone, self._shown = self._shown - now.keys(), set(now)
        return Changes(added, {**now, **dict.fromkeys(gone, 0.0)}, seen)


def _sum(items: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    sums: defaultdict[Key, float] = defaultdict(float)
    for key, number in items:
        sums[key] += number
    return dict(sums)
