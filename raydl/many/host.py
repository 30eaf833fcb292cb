"""One origin host among many: what is to be asked there, and how it is doing. Pure state."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from raydl.many.tempo import Tempo
from raydl.model import backoff
from raydl.model.errors import RaydlError
from raydl.model.item import Item
from raydl.model.remote import Source
from raydl.output.shelf import Place
from raydl.workers.smallfiles import LARGEST, Wish

MOST_WRONG = 3
"""Mirrors of a file that bring it with another digest than it must have: it is the digest, then."""

MOST_IN_BATCH = 64
BATCH_BYTES = 8 << 20

FIRST_SECONDS = 0.02
"""What a file takes, while that is not known."""

LONGEST_REST, GONE_SECONDS = 10.0, 60.0

NEWS = 0.2


@dataclass(eq=False)
class Task:
    """A file that is to be fetched to ``path`` in the directory of the run.

    ``url`` is what to ask, without user and password; a store's is signed when its turn has come,
    and once more where it ``was_refused``. ``stamp`` is of what it may replace, ``may_be_there``: a
    run that was killed may have put it there. ``etag`` and ``last_modified`` are what it had, where
    only a change is to be fetched. ``known_as`` is the URL in the list, where another mirror's is
    asked by now, and ``wrong`` counts those that brought another digest. ``mends``: what is there
    has pieces that are kept.
    """

    item: Item
    path: str
    url: str = ""
    key: bytes = b""
    tries: int = 0
    losses: int = 0
    refusals: int = 0
    refused_at: float | None = None
    """When it was refused first, because there were too many requests."""
    stamp: tuple[int, int] | None = None
    may_be_there: bool = False
    etag: str | None = None
    last_modified: str | None = None
    was_refused: bool = False
    known_as: str = ""
    mends: bool = False
    replaces: str = ""
    """In a bucket: the ETag of what it may replace, or ANYTHING."""
    wrong: int = 0

    @property
    def is_large(self) -> bool:
        """Whether it is a download of its own, as the list shows before it is asked for; also
        where nothing but its pieces shows that it is right."""
        if self.mends or (self.item.pieces is not None and self.item.digest is None):
            return True
        # Of one that has not changed an answer says so, whatever its size.
        return (self.item.size or 0) > LARGEST and not (self.etag or self.last_modified)

    @property
    def listed(self) -> Item:
        """What the list says of it, by the URL that it has there."""
        return replace(self.item, url=self.known_as or self.item.url)

    def is_first(self, url: str) -> bool:
        """Whether that is what the list has first: the only URL that is asked for a change, so
        what validates another mirror's bytes is not kept."""
        return url == (self.known_as or self.item.url)

    def next_mirror(self) -> bool:
        """Go on with the next of its mirrors; whether there is one."""
        if not self.item.mirrors:
            return False
        self.known_as = self.known_as or self.item.url
        url, *rest = self.item.mirrors
        self.item = replace(self.item, url=url, mirrors=tuple(rest))
        self.url, self.tries, self.losses, self.was_refused = "", 0, 0, False
        self.etag = self.last_modified = self.refused_at = None
        return True

    @property
    def size(self) -> int:
        """What it may bring, in bytes."""
        return min(self.item.size or 0, LARGEST)

    @property
    def place(self) -> Place:
        """Where it is to be."""
        return Place(self.key, self.path, str(self.item.digest or ""), self.item.size)

    def wish(
        self,
        target: str | None,
        stated: bool,
        overwrite: bool,
        put: tuple[str, str, str] | None = None,
    ) -> Wish:
        """What to ask for, to be put there; see ``Wish``."""
        return Wish(
            self.url,
            target,
            str(self.item.digest or ""),
            stated,
            self.item.size,
            overwrite,
            self.stamp,
            self.may_be_there,
            self.etag,
            self.last_modified,
            put,
            self.replaces,
        )


@dataclass(eq=False)
class Signing:
    """How a store's URLs are signed: so many batches ``under_way``. The last ``strikes`` times it
    could not be asked, first of one that began ``since`` then; and nothing is before ``until``."""

    under_way: int = 0
    was_reached: bool = False
    strikes: int = 0
    since: float = 0.0
    struck_at: float = 0.0
    until: float = 0.0

    def reached(self) -> None:
        """It signed something."""
        self.was_reached, self.strikes = True, 0

    def unreached(self, began: float, now: float) -> None:
        """It could not be asked. Those that were under way together are one strike."""
        if self.strikes and began < self.struck_at:
            return
        self.since = self.since if self.strikes else began
        self.strikes += 1
        self.struck_at = now
        self.until = now + min(LONGEST_REST, backoff.delay(self.strikes))

    def is_over(self, retries: int, now: float) -> bool:
        """Whether it is not to be waited for once for each file: one would have been given up."""
        return self.strikes > retries or (self.strikes > 0 and now - self.since >= GONE_SECONDS)


class Host:
    """A queue of files of one origin, all of which are asked for with ``source``.

    Batches of a store are ``signed`` before they are given out; see ``Signer``.
    """

    def __init__(self, source: Source, tempo: Tempo, is_store: bool = False) -> None:
        self.source, self.tempo, self.is_store = source, tempo, is_store
        self.signing, self.signed = Signing(), deque[list[Task]]()
        self.gone: RaydlError | None = None
        """Why nothing is to be added: it could never be asked to sign anything."""
        self.until = 0.0
        """Nothing is asked before, as the host has wished."""
        self.flying = 0
        self.seconds = FIRST_SECONDS
        self._strikes: dict[str, tuple[int, float]] = {}
        self._resting: dict[str, float] = {}
        self._served: dict[str, float] = {}
        self._queue: deque[Task] = deque()
        self._later: list[tuple[float, Task]] = []
        self._largest = 0

    def __len__(self) -> int:
        return len(self._queue) + len(self._later) + sum(map(len, self.signed))

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to do there."""
        return not (self._queue or self._later or self.signed or self.flying)

    def add(self, task: Task) -> None:
        """It is to be fetched, when its turn comes."""
        self._queue.append(task)

    def put_back(self, tasks: Iterable[Task]) -> None:
        """They were not asked for, and are next."""
        self._queue.extendleft(reversed(list(tasks)))

    def retry(self, task: Task, at: float) -> None:
        """It is to be asked for again, not before then."""
        self._later.append((at, task))

    def ripen(self, now: float) -> None:
        """What waited for its time is next."""
        if self._later and now >= self.until:
            ripe = [task for at, task in self._later if at <= now]
            self._later = [entry for entry in self._later if entry[0] > now]
            self.put_back(ripe)

    def may_ask(self, now: float) -> bool:
        """Whether a lane can get something to do."""
        if now < self.until or self.flying >= self.tempo.lanes:
            return False
        has_lane = self.flying + len(self.signed) < self.tempo.lanes
        return bool(self.signed) or (bool(self._queue) and has_lane)

    def rests(self, node: str, now: float) -> bool:
        """Whether that node is set aside here."""
        return now < self._resting.get(node, 0.0)

    def expects(self, task: Task) -> int:
        """The bytes that it has: those of the largest that came, where the list does not say."""
        return (self._largest or LARGEST) if task.item.size is None else task.size

    def served(self, node: str, size: int, seconds: float, now: float) -> None:
        """A file of so many bytes came there, in so many seconds."""
        self._largest = max(self._largest, size)
        self._served[node] = now
        self._strikes.pop(node, None)
        self.seconds += NEWS * (seconds - self.seconds)

    def unreached(self, node: str, now: float) -> bool:
        """It could not reach the host, and is set aside for a while; whether that is its own
        fault, as others could since it first failed. What comes while it rests began before: it is
        no further strike."""
        strikes, since = self._strikes.get(node, (0, now))
        if now - self._resting.get(node, now) >= GONE_SECONDS:  # nobody has tried for long
            strikes, since = 0, now
        if not self.rests(node, now):
            self._strikes[node] = strikes + 1, since
            self._resting[node] = now + min(LONGEST_REST, backoff.delay(strikes + 1))
        return any(at > since for other, at in self._served.items() if other != node)

    def is_gone(self, now: float) -> bool:
        """Whether nobody has reached the host for long."""
        first = self._unreached_since()
        return first is not None and now - first >= GONE_SECONDS

    def drain_to_mirrors(self) -> list[Task]:
        """What waits and can be had elsewhere, where nobody has reached the host since it failed
        first: that is no reason to wait at all."""
        if self._unreached_since() is None:
            return []
        return self.drain(lambda task: bool(task.item.mirrors))

    def _unreached_since(self) -> float | None:
        """When it failed first; None where somebody has reached it since."""
        last = max(self._served.values(), default=-math.inf)
        return min((since for _, since in self._strikes.values() if since >= last), default=None)

    def drain(self, which: Callable[[Task], bool] = lambda _: True) -> list[Task]:
        """What waits, of that sort, which is not to be asked for."""
        waiting = [*self._queue, *(task for _, task in self._later)]
        self._queue = deque(task for task in self._queue if not which(task))
        self._later = [entry for entry in self._later if not which(entry[1])]
        return [task for task in waiting if which(task)]

    def batch(self, seconds: float) -> list[Task]:
        """What a lane gets next: as much as keeps it busy for so long, and no more than its share
        of what there is."""
        each = max(self.seconds, self.tempo.pace, 1e-4)
        share = -(-len(self._queue) // (2 * self.tempo.lanes))
        most = max(1, min(MOST_IN_BATCH, int(seconds / each), share))
        batch: list[Task] = []
        size = 0
        while self._queue and len(batch) < most:
            task = self._queue.popleft()
            if batch and (size + task.size > BATCH_BYTES or task.tries):
                self._queue.appendleft(task)  # one that failed before holds nobody else up
                break
            batch.append(task)
            size += task.size
            if task.tries:
                break
        return batch
