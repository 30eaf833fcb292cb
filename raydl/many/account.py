"""What became of each file, counted and written down; memory does not grow with their number."""

from __future__ import annotations

import json
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import IO, NamedTuple

from raydl.many.host import Task
from raydl.many.names import Extent
from raydl.model.errors import RaydlError, TargetError
from raydl.model.events import Emit
from raydl.model.fileevents import FileEnded, FilesNow, HandNow, SlowFile
from raydl.model.manyreport import DONE, FAILED, SKIPPED, FileReport, ManyReport, line_of
from raydl.model.weburl import host_of, redact
from raydl.workers.smallfiles import Brought

SHOW_SECONDS = 0.25

Write = Callable[[FileReport], None]
"""Puts a line into the report that the user wants."""


class UnderWay(NamedTuple):
    """What there is of files that are under way: bytes that ``came`` in this run, bytes that are
    ``there`` with those from before, how many whole ``files`` that would be, and ``lanes`` at
    work."""

    came: int = 0
    there: int = 0
    files: float = 0.0
    lanes: int = 0


class Account:
    """Counts and tells; ``write`` gets what became of each of the files, of which ``extent`` says
    how much they are."""

    def __init__(self, emit: Emit, write: Write, extent: Extent | None) -> None:
        self.emit, self._write, self._extent = emit, write, extent
        self.counts: Counter[str] = Counter()
        self.size = self.retries = self._over = 0
        self.large: Callable[[], UnderWay] = UnderWay
        """What there is of large files that are under way."""
        self.nodes: Counter[str] = Counter()
        self._failures: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        weakref.finalize(self, self._failures.close)
        self._show_at = 0.0

    def done(self, task: Task, brought: Brought, node: str) -> None:
        """It is there, whole."""
        self.size += brought.size - brought.kept
        if node:
            self.nodes[node] += 1
        origin = host_of(task.url or task.item.url) if node else ""
        self._ended(task, DONE, brought.size, digest=brought.digest, node=node, origin=origin)

    def skipped(self, task: Task, size: int) -> None:
        """It was there."""
        self._ended(task, SKIPPED, size)

    def failed(self, task: Task, error: RaydlError) -> None:
        """It is not there."""
        self._ended(task, FAILED, 0, error)

    def unreadable(self, number: int, error: RaydlError) -> None:
        """A line names no file."""
        self._tell(_failed(number, "", "", error))

    def look(
        self,
        now: float,
        hands: Callable[[], Iterable[HandNow]],
        slowest: Callable[[], Iterable[SlowFile]],
    ) -> None:
        """Show how far it is, every now and then; ``hands`` are those that fetch small files."""
        if now >= self._show_at:
            self._show_at = now + SHOW_SECONDS
            self._show(hands(), slowest())

    def report(self, directory: str, seconds: float, copies: dict[str, str]) -> ManyReport:
        """All of it."""
        self._show()
        self._failures.flush()
        return ManyReport(
            directory=directory,
            done=self.counts[DONE],
            skipped=self.counts[SKIPPED],
            failed=self.counts[FAILED],
            size=self.size,
            seconds=seconds,
            retries=self.retries,
            nodes=dict(self.nodes),
            copies=copies,
            _failures=self._read,
        )

    def _read(self) -> Iterator[FileReport]:
        self._failures.seek(0)
        for line in self._failures:
            yield FileReport(**json.loads(line))

    def _show(self, hands: Iterable[HandNow] = (), slowest: Iterable[SlowFile] = ()) -> None:
        counts, so_far, by_node = self.counts, self.large(), tuple(hands)
        self.emit(
            FilesNow(
                done=counts[DONE],
                skipped=counts[SKIPPED],
                failed=counts[FAILED],
                total=self._extent.files if self._extent else None,
                fetched=self.size + so_far.came,
                lanes=sum(hand.lanes for hand in by_node) + so_far.lanes,
                retries=self.retries,
                share=self._share(so_far),
                slowest=tuple(slowest),
                by_node=by_node,
            )
        )

    def _share(self, so_far: UnderWay) -> float | None:
        if self._extent is None:
            return None
        count, size = self._extent
        if size:
            return min(1.0, (self._over + so_far.there) / size)
        return min(1.0, (sum(self.counts.values()) + so_far.files) / count) if count else 1.0

    def _ended(
        self,
        task: Task,
        state: str,
        size: int,
        error: RaydlError | None = None,
        digest: str = "",
        node: str = "",
        origin: str = "",
    ) -> None:
        item = task.item
        self._over += item.size or 0
        if error is not None:
            self._tell(_failed(item.number, item.url, task.path, error))
        else:
            url = redact(item.url)
            report = FileReport(item.number, url, task.path, state, size, digest=digest)
            self._tell(report, node, origin)

    def _tell(self, report: FileReport, node: str = "", origin: str = "") -> None:
        self.counts[report.state] += 1
        if report.state == FAILED:
            self._failures.write(line_of(report) + "\n")
        self._write(report)
        self.emit(FileEnded(report, node, origin, file=report.number))


def _failed(number: int, url: str, path: str, error: RaydlError) -> FileReport:
    kind, problem = type(error).__name__, error.message
    if isinstance(error, TargetError):  # the same command again is no help, what the hint says is
        problem = error.line
    shown = redact(url) if url else f"number {number}"
    return FileReport(number, shown, path, FAILED, error=kind, problem=problem)
