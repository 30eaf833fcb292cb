"""Files that are too large for one lane: each is a download of its own, a few at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from raydl.many.account import UnderWay
from raydl.many.host import MOST_WRONG, Task
from raydl.model.control import Control
from raydl.model.errors import (
    BadPieceError,
    ChecksumError,
    HttpError,
    IncompleteError,
    NetworkError,
    RaydlError,
    WrongAnswerError,
)
from raydl.model.events import Event, Notice, Probed, Progress, Resumed, Verifying
from raydl.model.fileevents import SlowFile
from raydl.model.log import error_of
from raydl.model.report import Report
from raydl.settings.options import Options
from raydl.workers.smallfiles import Brought

MOST_MIRRORS = 8
"""Of a file, that are asked at once."""

MOST_FIRST = 10
"""Of a file, that are looked at first, one after the other, where that fails."""

MIRRORS_FAULT = (NetworkError, HttpError, WrongAnswerError, BadPieceError)

AT_ONCE = 4
"""They share all lanes; more of them would only end later, each. Those of which all bytes are there
have their digest computed, and are brought to the disk: the next ones are fetched meanwhile."""


CLOSE_SECONDS = 3.0
"""What has come is kept within a second; who waits for an answer after that is left alone."""


@dataclass(eq=False)
class Job:
    """One of them. ``fetched`` of ``size`` is in bytes, with those that were ``kept`` from before;
    ``arrivals`` nodes had come before it.

    ``tell`` gets what is said of mirrors that are left out; ``url`` is the one that is asked first.
    ``was_fetched`` is called once all bytes are there.
    """

    task: Task
    path: Path
    tell: Callable[[str], None]
    was_fetched: Callable[[], None]
    url: str = ""
    is_told: bool = False
    control: Control = field(default_factory=Control)
    is_fetched: bool = False
    began: float = 0.0
    fetched: int = 0
    kept: int = 0
    lanes: int = 0
    size: int = 0
    etag: str | None = None
    last_modified: str | None = None
    arrivals: int = 0
    was_there: bool = False
    """Whether nothing had to be fetched."""
    missing: dict[str, str] = field(default_factory=dict)
    """The nodes that do not have it, and why, once it has ended."""
    late: Sequence[str] = ()
    """Those that came since it was fetched first."""

    def heard(self, event: Event) -> None:
        """Take in what its download tells."""
        if isinstance(event, Progress):
            self.fetched, self.size, self.lanes = event.fetched, event.size or 0, event.lanes
        elif isinstance(event, Resumed):
            self.kept = event.kept
        elif isinstance(event, Probed):
            self.kept = 0
            self.etag, self.last_modified = event.remote.etag, event.remote.last_modified
        elif isinstance(event, Verifying):
            self.is_fetched, self.lanes = True, 0
            self.was_fetched()
        elif isinstance(event, Notice) and self.task.item.mirrors and "left out" in event.text:
            self.tell(f"{self.task.path}: {event}")


Fetch = Callable[[Job, Options], Brought]
Ended = Callable[[Job, "Brought | None", "RaydlError | None"], None]


def brought_by(report: Report) -> Brought:
    """What a download's report says."""
    digest = next((f"{name}:{hex}" for name, hex in report.digests.items()), "")
    name = Path(report.path or "").name
    kept = max(0, report.size - report.fetched)
    return Brought(report.size, 0, name, None, None, digest, report.proof, report.seconds, kept)


class LargeFiles:
    """Downloads them beside the small ones; ``ended`` is called by the download's thread, and so is
    ``tell``, with what is said of mirrors that are left out.

    ``options_for`` has those for a name, without what is private where that is another host's.
    ``fetch`` brings one from a mirror to where it belongs, in a thread of its own, by options that
    name the mirrors that may be asked beside it; ``arrivals`` counts the nodes
    that are to have the files and came so far. ``mirror_left`` is called by the desk's thread: one
    that a file would have begun with fails. ``again`` gets, once a
    file has ended, those that were to go to its path meanwhile: a list may name it twice.
    """

    def __init__(
        self,
        options_for: Callable[[str], Options],
        fetch: Fetch,
        arrivals: Callable[[], Sequence[str]],
        post: Callable[[Callable[[], None]], None],
        ended: Ended,
        tell: Callable[[str], None],
        mirror_left: Callable[[Task, str, RaydlError], None],
        again: Callable[[list[Task]], None],
        clock: Callable[[], float],
    ) -> None:
        self._mirror_left, self._again, self._clock = mirror_left, again, clock
        self._options_for, self._fetch, self._arrivals = options_for, fetch, arrivals
        self._post, self._ended, self._tell = post, ended, tell
        self._waiting: deque[Job] = deque()
        self._twins: dict[Path, list[Task]] = {}  # of what waits or runs
        self._running: set[Job] = set()
        self._over: list[Job] = []
        self._threads: list[threading.Thread] = []
        self._is_held = False

    @property
    def is_idle(self) -> bool:
        """Whether all of them have ended."""
        return not (self._waiting or self._running)

    def __len__(self) -> int:
        return len(self._waiting) + sum(map(len, self._twins.values()))

    @property
    def under_way(self) -> UnderWay:
        """What there is so far of those that are under way."""
        new = [job for job in list(self._running) if not job.is_told]
        return UnderWay(
            came=sum(max(0, job.fetched - job.kept) for job in new),
            there=sum(job.fetched for job in new),
            files=sum(job.fetched / job.size for job in new if job.size),
            lanes=sum(job.lanes for job in self._running),
        )

    def running(self) -> list[SlowFile]:
        """All that are under way, with how long they have been."""
        now = self._clock()
        return [
            SlowFile(job.task.path, now - job.began, job.fetched, job.size or None)
            for job in self._running
        ]

    @property
    def missing(self) -> dict[str, str]:
        """The nodes that lack one of them, and why."""
        return {
            node: f"{job.task.path}: {why}"
            for job in self._over
            for node, why in job.missing.items()
        }

    def add(self, task: Task, path: Path) -> None:
        """It is to be downloaded to ``path``, after what is being downloaded there."""
        if path in self._twins:
            self._twins[path].append(task)
            return
        self._twins[path] = []
        self._waiting.append(Job(task, path, self._hear, self._look))
        self._go_on()

    def catch_up(self) -> None:
        """Have those again that ended before the last node came: it gets them from the others."""
        now = len(self._arrivals())
        late = [job for job in self._over if job.arrivals < now]
        self._over = [job for job in self._over if job.arrivals >= now]
        for job in late:
            again = Job(job.task, job.path, job.tell, job.was_fetched, job.url, is_told=True)
            again.missing, again.late = job.missing, self._arrivals()[job.arrivals :]
            self._waiting.append(again)
        self._go_on()

    def hold(self, paused: bool) -> None:
        """Ask for nothing more, or go on."""
        self._is_held = paused
        for job in list(self._running):
            job.control.pause(paused)

    def close(self) -> None:
        """End those that are under way; what came is kept. What does not answer holds up nobody."""
        self._waiting.clear()
        for job in list(self._running):
            job.control.cancel()
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _look(self) -> None:
        self._post(self._go_on)

    def _go_on(self) -> None:
        while self._waiting and self._has_room():
            job = self._waiting.popleft()
            self._running.add(job)
            job.began = self._clock()
            job.arrivals = len(self._arrivals())
            if self._is_held:
                job.control.pause()
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(
                target=self._download, args=(job,), name="raydl-large", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _has_room(self) -> bool:
        fetching = sum(not job.is_fetched for job in self._running)
        return fetching < AT_ONCE and len(self._running) < 2 * AT_ONCE

    def _download(self, job: Job) -> None:
        brought: Brought | None = None
        error: RaydlError | None = None
        try:
            brought = self._from_any(job)
            if job.task.is_first(job.url):
                brought = brought._replace(etag=job.etag, last_modified=job.last_modified)
            job.missing = {}
        except IncompleteError as raised:
            if raised.report is None:
                error = raised
            else:
                brought = brought_by(raised.report)
                job.missing = {
                    share.node: share.problem for share in raised.report.nodes if share.problem
                }
        except BaseException as raised:
            error = error_of(raised, job.control.how_to_go_on())
        self._post(lambda: self._has_ended(job, brought, error))

    def _from_any(self, job: Job) -> Brought:
        """Bring it from its mirrors; where the first cannot begin, without that one. Where the
        digest of the whole is wrong, of which nobody knows who lied, from some of them alone.

        Raises RaydlError.
        """
        item = job.task.item
        urls = [item.url, *item.mirrors]
        first = urls.index(job.url) if job.url else 0  # the one that others have it from
        most, at_once = min(len(urls), MOST_FIRST), MOST_MIRRORS
        error: RaydlError
        while True:
            job.url, mirrors = urls[first], urls[first + 1 : first + at_once]
            options = replace(
                self._options_for(job.url),
                progress="none", output_dir=None, mirror=tuple(mirrors), repair=job.task.mends,
            )  # fmt: skip
            try:
                return self._fetch(job, options)
            except MIRRORS_FAULT as raised:
                first, error, is_found = first + 1, raised, True
            except ChecksumError as raised:
                # Where pieces were right, nothing else would come from anybody.
                if item.pieces is not None or len(urls) == 1:
                    raise
                error, is_found = raised, at_once == 1
                first, at_once = (first + 1, 1) if is_found else (0, 1)
                most = min(len(urls), MOST_WRONG)
            if first >= most:
                raise error
            if is_found:
                self._post(partial(self._mirror_left, job.task, job.url, error))

    def _hear(self, text: str) -> None:
        self._post(partial(self._tell, text))

    def _has_ended(self, job: Job, brought: Brought | None, error: RaydlError | None) -> None:
        self._running.remove(job)
        if self._arrivals():
            self._over.append(job)
        if not job.is_told:
            self._ended(job, brought, error)
            if twins := self._twins.pop(job.path):
                self._again(twins)
        elif error is not None:  # those that came since do not have it, whatever became of others
            job.missing |= dict.fromkeys(job.late, error.message)
        self._go_on()
