"""A download of one file, as a row of the window's list. No Tk in here."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from raydl.gui.backend import Backend
from raydl.gui.leftover import Leftover, discard, leftover
from raydl.gui.memory import Unfinished, nodes_of
from raydl.model.errors import IncompleteError, OutputError, RaydlError, TargetError
from raydl.model.events import Event, Failed, Finished, Planned
from raydl.model.naming import file_name
from raydl.model.report import Report
from raydl.model.state import DownloadState
from raydl.model.weburl import redact
from raydl.view.partmap import PartMap
from raydl.view.status import DownloadStatus

CELLS = 240


@dataclass(eq=False)
class Item:
    """A download in the list. ``target`` is a path, or a directory/ for the origin's name."""

    key: int
    url: str = field(repr=False)
    target: str
    options: dict[str, Any] = field(repr=False)
    status: DownloadStatus = field(default_factory=lambda: DownloadStatus(DownloadState.QUEUED))
    parts: PartMap = field(default_factory=lambda: PartMap(CELLS))
    report: Report | None = None
    error: RaydlError | None = None
    left: Leftover = Leftover()
    """Once it has ended without the file."""
    process: int = 0
    """The number of the process that downloads it."""
    typed: dict[str, str] = field(default_factory=dict, repr=False)
    """What was typed for it alone, by the option's name; empty for one of before."""

    @property
    def name(self) -> str:
        """What it is called in the list."""
        if self.report is not None and self.report.path:
            return Path(self.report.path).name
        if self.path is not None:
            return self.path.name
        try:
            return file_name(None, self.url)
        except ValueError:
            return redact(self.url)

    @property
    def path(self) -> Path | None:
        """Where the file is to be; None while its name is not known."""
        if self.target and not self.target.endswith(("/", "\\")):
            return Path(self.target)
        return Path(self.target, self.status.name) if self.status.name else None

    @property
    def folder(self) -> Path | None:
        """Where the file is, once it is there."""
        path = self.report.path if self.report is not None else None
        return Path(path).resolve().parent if path else None

    @property
    def file(self) -> Path | None:
        """What there is to open; None while it is not there."""
        path = self.report.path if self.report is not None and self.is_here else None
        return Path(path) if path and os.path.exists(path) else None  # noqa: PTH110

    @property
    def partial(self) -> int:
        """Bytes in a partial file of this machine's, which nobody needs once this is given up."""
        if not self.is_here or self.state is DownloadState.DONE:
            return 0
        if self.state.is_under_way:
            return self.status.fetched
        return leftover(self.path, self.url).kept if self.path is not None else 0

    @property
    def beside(self) -> str:
        """A target like its own whose name is free: "name (1).iso"."""
        path = self.path
        assert path is not None
        is_tar = path.suffixes[-2:-1] == [".tar"]
        ending = "".join(path.suffixes[-2:]) if is_tar else path.suffix
        stem = path.name.removesuffix(ending)
        for number in count(1):
            other = path.with_name(f"{stem} ({number}){ending}")
            if not any(os.path.lexists(name) for name in (other, f"{other}.part")):
                return str(other)
        raise AssertionError("unreachable")

    @property
    def to(self) -> str:
        """Where its bytes go."""
        return str(self.options.get("to", "here"))

    @property
    def is_here(self) -> bool:
        """Whether its bytes go to a file of this machine, which can be looked at."""
        return self.to == "here" and "://" not in self.target

    @property
    def can_resume(self) -> bool:
        """Whether something is left to go on from, as far as it can be known here."""
        return bool(self.left.kept) or not self.is_here

    @property
    def is_in_the_way(self) -> bool:
        """Whether it failed for a file, or a part of one, that is where its own is to be."""
        if self.path is None or not isinstance(self.error, TargetError):
            return False
        if not self.is_here:
            return True
        return os.path.lexists(self.path) or self.left.is_anothers

    @property
    def wants_another_place(self) -> bool:
        """Whether it failed for where it is to be."""
        return isinstance(self.error, TargetError | OutputError)

    @property
    def state(self) -> DownloadState:
        """Which decides what may be done with it now."""
        return self.status.state

    @property
    def fetched(self) -> int:
        """Bytes that have arrived, or that are left where it has ended without the file."""
        return self.left.kept if self.state.can_go_on and self.is_here else self.status.fetched

    @property
    def share(self) -> float | None:
        """How much of it that is, 0 to 1; None while unknown."""
        if self.state is DownloadState.DONE:
            return 1.0
        return self.fetched / self.status.total if self.status.total else None

    @property
    def again(self) -> str:
        """What it is called to go on with it."""
        return "Resume" if self.can_resume else "Try again"

    @property
    def unfinished(self) -> Unfinished:
        """What is remembered of it."""
        checksum = str(self.options.get("checksum") or "")
        nodes = nodes_of(self.options)
        return Unfinished(self.url, self.target, checksum, self.status.name, self.to, nodes)

    def begin(self, backend: Backend, address: str) -> None:
        """Have it downloaded, with that cluster."""
        options = {"address": address, **self.options}
        self.process = backend.start(self.key, self.url, self.target or None, options)

    def reset(self) -> None:
        """It waits for its turn again."""
        self.status = DownloadStatus(DownloadState.QUEUED)
        self.error, self.parts, self.left = None, PartMap(CELLS), Leftover()

    def take(self, event: Event) -> None:
        """Take in what happened."""
        if not isinstance(event, Finished | Failed):  # it has not ended before "ended" comes
            self.status.take(event)
            self.parts.take(event)

    def end(self, report: Report | None, error: RaydlError | None) -> None:
        """It has ended, as the backend says."""
        self.report, self.error = report, error
        if isinstance(error, IncompleteError) and error.report is not None:
            self.status.end_copies(error.report)
        if error is not None:
            self.status.take(Failed.of(error))
        elif report is not None:
            self.status.take(Finished(report))

    def discard(self) -> None:
        """Delete its partial file."""
        if self.is_here and self.path is not None:
            discard(self.path, self.url)

    def look_what_is_left(self) -> None:
        """The download ended without the file: find out what the next run resumes, and show it."""
        if not self.is_here:
            return
        path = self.path
        self.left = Leftover() if path is None else leftover(path, self.url)
        self.status.size = self.status.size or self.left.size
        self.parts = PartMap(CELLS)
        if self.status.size:
            self.parts.take(Planned(self.left.kept, self.status.size, None, 0, ""))
