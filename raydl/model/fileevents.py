"""What happens while many files are fetched, as frozen values beside those of one download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from raydl.model.events import SCHEMA, Event
from raydl.model.manyreport import FAILED, FileReport, ManyReport
from raydl.model.units import counted, files_of, format_duration, format_size, printable


@dataclass(frozen=True)
class FileEnded(Event):
    """One of many files has come, was there, or does not come; ``file`` is its number.

    ``node`` fetched it from the host ``origin``; both are empty where that was a download of its
    own, with events of its own.
    """

    report: FileReport
    node: str = ""
    origin: str = ""

    def details(self) -> dict[str, Any]:
        """The report's fields, flat, and who fetched it."""
        return {**self.report.to_dict(), "node": self.node, "origin": self.origin}

    @property
    def has_failed(self) -> bool:
        """Whether it does not come."""
        return self.report.state == FAILED

    def __str__(self) -> str:
        report = self.report
        name = printable(report.path or report.url) or f"line {report.number}"
        return f"{name}: {report.problem or report.state}"


class SlowFile(NamedTuple):
    """One that has been under way for ``seconds``; ``fetched`` and ``size`` are bytes, None where
    that is not known."""

    path: str
    seconds: float
    fetched: int | None = None
    size: int | None = None

    def __str__(self) -> str:
        share = f"{100 * self.fetched / self.size:.0f} % in " if self.fetched and self.size else ""
        return f"{printable(self.path)} ({share}{format_duration(self.seconds)})"


class HandNow(NamedTuple):
    """A node that fetches small files, and its lanes at work."""

    node: str
    lanes: int


@dataclass(frozen=True)
class FilesNow(Event):
    """A few times a second: how many of the files have ended, and how. ``fetched`` in bytes.

    ``total`` is None where the length of the list is not known yet. ``share`` is how much of it all
    is over and done with, 0 to 1: of the bytes where the list has every file's size, else of the
    files; None where neither is known. ``slowest`` are the few under way that take longest.
    ``by_node`` has the lanes for small files: large ones are downloads of their own.
    """

    done: int
    skipped: int
    failed: int
    total: int | None
    fetched: int
    lanes: int
    retries: int
    share: float | None = None
    slowest: tuple[SlowFile, ...] = ()
    by_node: tuple[HandNow, ...] = ()

    def details(self) -> dict[str, Any]:
        """With an object for each of the slowest, and for each node."""
        return {
            **super().details(),
            "slowest": [file._asdict() for file in self.slowest],
            "by_node": [hand._asdict() for hand in self.by_node],
        }

    @property
    def ended(self) -> int:
        """How many are done with, in whatever way."""
        return self.done + self.skipped + self.failed

    @property
    def files(self) -> str:
        """How many are done with, of how many, in words."""
        return files_of(self.ended, self.total)

    def __str__(self) -> str:
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.files}{failed}, {format_size(self.fetched)}"

    @property
    def at_work(self) -> str:
        """Who fetches; empty where nobody does at this moment."""
        return counted(self.lanes, "connection") if self.lanes else ""


@dataclass(frozen=True)
class AllEnded(Event):
    """Every file is accounted for."""

    report: ManyReport
    level: ClassVar[str] = "info"

    def details(self) -> dict[str, Any]:
        """The report's fields, flat."""
        return {"schema": SCHEMA, **self.report.to_dict()}

    def __str__(self) -> str:
        return self.report.summary()
