"""What became of many files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from raydl.model.units import counted, files_of, format_duration, format_size

DONE, SKIPPED, FAILED = "done", "skipped", "failed"


@dataclass(frozen=True)
class FileReport:
    """The result of one file: ``state`` is ``done``, ``skipped`` (it existed) or ``failed``.

    ``number`` is its position in the list, ``path`` its path relative to the directory of the run,
    ``size`` its size in bytes. ``error`` is the class of what went wrong, ``problem`` a line about
    it. ``digest`` is the one that was compared, as ``ALGORITHM:HEX``.
    """

    number: int
    url: str
    path: str
    state: str
    size: int = 0
    error: str = ""
    problem: str = ""
    digest: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as reports and events have it."""
        return asdict(self)


@dataclass(frozen=True)
class ManyReport:
    """The result of a run: how many files are ``done``, ``skipped`` and ``failed``.

    ``size`` is the bytes fetched, ``seconds`` is wall time. ``nodes`` maps each node to the number
    of files it fetched. With ``to="every-node"``, ``copies`` maps each selected node to the reason
    why it lacks files; empty if it has all. Iterating yields a FileReport for each failed file;
    ``failures`` has the same.
    """

    directory: str
    done: int
    skipped: int
    failed: int
    size: int
    seconds: float
    retries: int = 0
    nodes: dict[str, int] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    _failures: Callable[[], Iterator[FileReport]] = field(default=lambda: iter(()), repr=False)

    @property
    def files(self) -> int:
        """How many there were."""
        return self.done + self.skipped + self.failed

    @property
    def verdict(self) -> str:
        """How many failed, in words."""
        return f"{files_of(self.failed, self.files)} failed"

    @property
    def lacking(self) -> str:
        """Which of the ``copies`` lack files and why, in words; empty where none does."""
        missing = [f"{node}: {why}" for node, why in self.copies.items() if why]
        if not missing:
            return ""
        of = f"{len(missing)} of {len(self.copies)} nodes"
        return f"{of} do not have all files: {'; '.join(missing)}"

    @property
    def failures(self) -> Iterator[FileReport]:
        """A FileReport for each failed file, in the order in which they failed."""
        return self._failures()

    def __iter__(self) -> Iterator[FileReport]:
        return self._failures()

    @property
    def speed(self) -> float:
        """Bytes a second."""
        return self.size / self.seconds if self.seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; the failed files are not in it."""
        names = [name for name in self.__dataclass_fields__ if not name.startswith("_")]
        record = {name: getattr(self, name) for name in names}
        return {**record, "files": self.files, "speed": self.speed}

    def __str__(self) -> str:
        return self.summary()

    def summary(self) -> str:
        """The result in one line."""
        there = self.done + self.skipped
        files = files_of(there, self.files if self.failed else None)
        where = "the working directory" if self.directory == "." else self.directory
        line = f"{where}: {files} in {format_duration(self.seconds)}"
        line += f", {format_size(self.size)}"
        if self.copies:
            whole = sum(not problem for problem in self.copies.values())
            of = f"{whole} of " if whole < len(self.copies) else ""
            line += f", on {of}{counted(len(self.copies), 'node')}"
        if self.size:
            line += f", {format_size(self.speed)}/s"
        if len(self.nodes) > 1 and not self.copies:
            line += f", {counted(len(self.nodes), 'node')}"
        if self.skipped:
            line += f", {self.skipped:,} from before"
        if self.retries:
            line += f", {counted(self.retries, 'retry', 'retries')}"
        return line + (f", {self.failed:,} failed" if self.failed else "")

    def to_pandas(self) -> Any:
        """The failed files as a pandas DataFrame. Raises ImportError if pandas is not installed."""
        import pandas

        columns = list(FileReport.__dataclass_fields__)
        return pandas.DataFrame([each.to_dict() for each in self], columns=columns)


def line_of(report: FileReport) -> str:
    """A line of a report's file."""
    return json.dumps(report.to_dict(), ensure_ascii=False)
