"""Files that are too large for one lane: each is a download of its own, a few at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from raydl.download.download import run
from raydl.many.host import Task
from raydl.model.control import Control
from raydl.model.digests import GIT, Checksum, Proof, new_hash_of
from raydl.model.errors import (
    IncompleteError,
    RaydlError,
    TargetError,
    UsageError,
    WrongAnswerError,
)
from raydl.model.events import Event, Probed, Progress
from raydl.model.log import error_of
from raydl.model.report import Report
from raydl.settings.options import Options
from raydl.settings.values import EVERY_NODE
from raydl.workers.smallfiles import Brought

AT_ONCE = 4
"""They share all lanes; more of them would only end later, each."""

READ_SIZE = 8 << 20

Ended = Callable[[Task, "Brought | None", "RaydlError | None"], None]


@dataclass(eq=False)
class Job:
    """One of them. ``fetched`` is in bytes; ``arrivals`` are the nodes that had come before it."""

    task: Task
    path: Path
    is_told: bool = False
    control: Control = field(default_factory=Control)
    fetched: int = 0
    arrivals: int = 0
    missing: dict[str, str] = field(default_factory=dict)
    """The nodes that do not have it, and why, once it has ended."""


class LargeFiles:
    """Downloads them beside the small ones; ``ended`` is called by the download's thread.

    ``options_for`` has those for a URL, without what is private where that is another host's. They
    go ``to`` this machine, or to every node; ``arrivals`` counts the nodes that came so far.
    """

    def __init__(
        self,
        options_for: Callable[[str], Options],
        to: str,
        arrivals: Callable[[], int],
        post: Callable[[Callable[[], None]], None],
        ended: Ended,
    ) -> None:
        self._options_for, self._to, self._arrivals = options_for, to, arrivals
        self._post, self._ended = post, ended
        self._waiting: deque[Job] = deque()
        self._running: set[Job] = set()
        self._over: list[Job] = []
        self._threads: list[threading.Thread] = []
        self._is_held = False

    @property
    def is_idle(self) -> bool:
        """Whether all of them have ended."""
        return not (self._waiting or self._running)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def fetched(self) -> int:
        """Bytes so far of those that are under way."""
        return sum(job.fetched for job in list(self._running))

    @property
    def missing(self) -> dict[str, str]:
        """The nodes that lack one of them, and why."""
        return {
            node: f"{job.task.path}: {why}"
            for job in self._over
            for node, why in job.missing.items()
        }

    def add(self, task: Task, path: Path) -> None:
        """It is to be downloaded to ``path``."""
        self._waiting.append(Job(task, path))
        self._go_on()

    def catch_up(self) -> None:
        """Have those again that ended before the last node came: it gets them from the others."""
        late = [job for job in self._over if job.arrivals < self._arrivals()]
        for job in late:
            self._over.remove(job)
            self._waiting.append(Job(job.task, job.path, is_told=True))
        self._go_on()

    def hold(self, paused: bool) -> None:
        """Ask for nothing more, or go on."""
        self._is_held = paused
        for job in list(self._running):
            job.control.pause(paused)

    def close(self) -> None:
        """End those that are under way; what came is kept."""
        self._waiting.clear()
        for job in list(self._running):
            job.control.cancel()
        for thread in self._threads:
            thread.join()

    def _go_on(self) -> None:
        while self._waiting and len(self._running) < AT_ONCE:
            job = self._waiting.popleft()
            self._running.add(job)
            job.arrivals = self._arrivals()
            if self._is_held:
                job.control.pause()
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(target=self._download, args=(job,), name="raydl-large")
            self._threads.append(thread)
            thread.start()

    def _download(self, job: Job) -> None:
        brought: Brought | None = None
        error: RaydlError | None = None
        try:
            brought = self._fetch(job)
        except IncompleteError as raised:
            if raised.report is None:
                error = raised
            else:
                brought = _brought(raised.report)
                job.missing = {
                    share.node: share.problem for share in raised.report.nodes if share.problem
                }
        except BaseException as raised:
            error = error_of(raised, job.control.how_to_go_on())
        self._post(lambda: self._has_ended(job, brought, error))

    def _fetch(self, job: Job) -> Brought:
        task, path = job.task, job.path

        def heard(event: Event) -> None:
            if isinstance(event, Progress):
                job.fetched = event.fetched
            elif isinstance(event, Probed):
                _must_have_size(event.remote.size, task)

        digest = task.item.digest
        is_seen, is_of_git = self._to != EVERY_NODE, digest is not None and digest.algorithm == GIT
        options = self._options_for(task.url or task.item.url)
        options = replace(
            options,
            progress="none", output_dir=None, to=self._to,
            skip_existing=options.skip_existing and not is_seen,  # here that was looked at before
            checksum=None if is_of_git else digest,
            overwrite=options.overwrite or task.stamp is not None,
        )  # fmt: skip
        if not is_seen:
            if is_of_git:
                raise UsageError(f"{task.path} is too large for an id of git on every node")
            return _brought(run(task.item.url, str(path), options, heard, job.control))
        path.parent.mkdir(parents=True, exist_ok=True)
        _must_be_as_it_was(path, task)
        brought = _brought(run(task.item.url, str(path), options, heard, job.control))
        try:
            _must_have_size(brought.size, task)
            if digest is not None and is_of_git:
                _compare(path, digest, job.control)
        except RaydlError:
            path.unlink()
            raise
        return brought._replace(written=path.stat().st_mtime_ns)

    def _has_ended(self, job: Job, brought: Brought | None, error: RaydlError | None) -> None:
        self._running.remove(job)
        if self._to == EVERY_NODE:
            self._over.append(job)
        if not job.is_told:
            self._ended(job.task, brought, error)
        self._go_on()


def _brought(report: Report) -> Brought:
    digest = next((f"{name}:{hex}" for name, hex in report.digests.items()), "")
    name = Path(report.path or "").name
    return Brought(report.size, 0, name, None, None, digest, report.proof, report.seconds)


def _must_be_as_it_was(path: Path, task: Task) -> None:
    """Raise TargetError where what may be replaced is another file by now."""
    if task.stamp is not None and path.exists():
        found = path.stat()
        if (found.st_size, found.st_mtime_ns) != task.stamp:
            raise TargetError(f"{path} exists already", "--overwrite replaces it")


def _must_have_size(size: int | None, task: Task) -> None:
    """Raise WrongAnswerError where that is not what the list says."""
    if None not in (size, task.item.size) and size != task.item.size:
        raise WrongAnswerError(f"the origin has {size} bytes, the list says {task.item.size}")


def _compare(path: Path, digest: Checksum, control: Control) -> None:
    """Hold a file against its id in git, which no digest of its bytes is. Raises RaydlError."""
    found = new_hash_of(GIT, path.stat().st_size)
    with path.open("rb") as file:
        while data := file.read(READ_SIZE):
            found.update(memoryview(data))
            control.wait(0)
    Proof(digest, "given").verify(found.hexdigest(), str(path))
