"""Many files that are fetched together, as one row of the window's list. No Tk in here.

They are one run of ``many``: its queue, its lanes, its budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raydl.gui.backend import Backend
from raydl.gui.memory import Unfinished, nodes_of
from raydl.gui.names import is_listed, shown, wanted
from raydl.model.errors import FilesFailedError, OutputError, RaydlError
from raydl.model.events import Event, Failed
from raydl.model.fileevents import AllEnded
from raydl.model.manyreport import ManyReport
from raydl.model.state import DownloadState
from raydl.model.units import counted
from raydl.view.filesstatus import FilesStatus


@dataclass(eq=False)
class ManyItem:
    """``names`` are URLs, repositories and lists; ``target`` is a directory/, empty for the hub's
    cache. ``files`` is how many there are, as far as that is known, ``template`` names them."""

    key: int
    names: Sequence[str] = field(repr=False)
    target: str
    options: dict[str, Any] = field(repr=False)
    files: int | None = None
    template: str = ""
    status: FilesStatus = field(default_factory=lambda: FilesStatus(DownloadState.QUEUED))
    report: ManyReport | None = None
    error: RaydlError | None = None
    process: int = 0
    """The number of the process that downloads it."""
    typed: dict[str, str] = field(default_factory=dict, repr=False)
    """What was typed for it alone, by the option's name; empty for one of before."""
    report_path: Path | None = None
    """Where the run writes what became of each file."""

    @property
    def url(self) -> str:
        """What is remembered of it: a name a line."""
        return "\n".join(self.names)

    @property
    def name(self) -> str:
        """What it is called in the list."""
        total = self.report.files if self.report is not None else self.files
        if self.status.now is not None and self.report is None:
            total = self.status.now.total
        how_many = "" if total is None else f"{total:,} {'file' if total == 1 else 'files'}"
        if len(self.names) > 1:
            return how_many or counted(len(self.names), "list")
        what = shown(self.names[0])
        return f"{what}, {how_many}" if how_many else what

    @property
    def to(self) -> str:
        """Where the files go."""
        return str(self.options.get("to", "here"))

    @property
    def is_here(self) -> bool:
        """Whether they go to a directory of this machine, which can be looked at."""
        return self.to == "here"

    @property
    def folder(self) -> Path | None:
        """Where the files are."""
        found = self.report.directory if self.report is not None else self.target
        return Path(found).absolute() if found else None

    @property
    def file(self) -> Path | None:
        """What there is to open: their folder."""
        return self.folder if self.report is not None and self.is_here else None

    @property
    def partial(self) -> int:
        """None that are told: what is left of some among many files is not looked for."""
        return 0

    @property
    def has_report(self) -> bool:
        """Whether something is written down of how it ended, and it is worth a look."""
        path = self.report_path
        return self.state.is_over and bool(self.status.failures) and bool(path and path.is_file())

    @property
    def can_resume(self) -> bool:
        """Whether it goes on from what is there: the directory knows what came."""
        return True

    @property
    def again(self) -> str:
        """What it is called to go on with it."""
        return "Try again" if isinstance(self.error, FilesFailedError) else "Resume"

    @property
    def is_in_the_way(self) -> bool:
        """Whether files failed for others that are where they are to be."""
        return any(failure.error == "TargetError" for failure in self.status.failures)

    @property
    def wants_another_place(self) -> bool:
        """Whether all of it failed for where it is to be."""
        return isinstance(self.error, OutputError)

    @property
    def state(self) -> DownloadState:
        """Which decides what may be done with it now."""
        return self.status.state

    @property
    def share(self) -> float | None:
        """How much of it is over and done with, 0 to 1, and in the end how much of it is there;
        None while unknown."""
        if self.report is None:
            return self.status.share
        return 1.0 - self.report.failed / max(1, self.report.files)

    def __post_init__(self) -> None:
        if self.files is None and not any(map(is_listed, self.names)):
            self.files = len(self.names)

    @property
    def unfinished(self) -> Unfinished:
        """What is remembered of it."""
        return Unfinished(self.url, self.target, "", self.template, self.to, nodes_of(self.options))

    def begin(self, backend: Backend, address: str) -> None:
        """Have it fetched, with that cluster."""
        options = {"address": address, **self.options, "output_dir": self.target or None}
        self.report_path = backend.report_path(self.key)
        self.process = backend.start_many(
            self.key, wanted(self.names), self.template or None, options, self.report_path
        )

    def reset(self) -> None:
        """It waits for its turn again."""
        self.status = FilesStatus(DownloadState.QUEUED)
        self.error = self.report = None

    def take(self, event: Event) -> None:
        """Take in what happened."""
        if not isinstance(event, AllEnded | Failed):  # it has not ended before "ended" comes
            self.status.take(event)

    def end(self, report: ManyReport | None, error: RaydlError | None) -> None:
        """It has ended, as the backend says."""
        self.report, self.error = report, error
        if report is not None:
            self.status.take(AllEnded(report))
        if error is not None:
            self.status.take(Failed.of(error))

    def discard(self) -> None:
        """Nothing: what came is kept."""

    def look_what_is_left(self) -> None:
        """Nothing: the run finds out when it goes on."""
