"""How a run of many files stands: what its events add up to. Windows draw from this."""

from __future__ import annotations

from collections import deque

from raydl.model.events import ClusterChosen, Event, Failed, Notice
from raydl.model.fileevents import AllEnded, FileEnded, FilesNow
from raydl.model.manyreport import FileReport, ManyReport
from raydl.model.state import DownloadState
from raydl.model.units import counted, format_duration, format_size
from raydl.view.filesprogress import Speed

MOST_FAILURES = 100
"""That are kept; the report has all of them."""


class FilesStatus:
    """Takes in events, one after the other. Whoever asks for a pause or an end sets ``state``."""

    def __init__(self, state: DownloadState = DownloadState.RUNNING) -> None:
        self.state = state
        self.now: FilesNow | None = None
        self.report: ManyReport | None = None
        self.failures: list[FileReport] = []
        """The first files that do not come."""
        self.notes: deque[str] = deque(maxlen=100)
        """Lines that a person should know, the last ones."""
        self._speed = Speed()
        self._of_late: tuple[float, float | None] = (0.0, None)

    def take(self, event: Event) -> None:
        """Take in what happened."""
        match event:
            case FilesNow():
                self.now, self._of_late = event, self._speed.take(event)
            case FileEnded(report) if event.has_failed and len(self.failures) < MOST_FAILURES:
                self.failures.append(report)
            case AllEnded(report):
                self.report, self.state = report, DownloadState.DONE
            case Failed(error):
                self.state = DownloadState.after(error)
        if isinstance(event, Notice | ClusterChosen):
            self.notes.append(str(event))

    @property
    def share(self) -> float | None:
        """How much of it all is over and done with, 0 to 1; None while unknown."""
        return self.now.share if self.now else None

    @property
    def speed(self) -> float:
        """Bytes a second, over the last seconds."""
        return self._of_late[0] if self.state is DownloadState.RUNNING else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the pace of late; None while unknown."""
        return self._of_late[1] if self.state is DownloadState.RUNNING else None

    @property
    def counts(self) -> list[tuple[str, int]]:
        """How many files have come, were there, do not come, and are left, where that is known."""
        now = self.now
        if now is None:
            return []
        left = [] if now.total is None else [("left", max(0, now.total - now.ended))]
        return [("done", now.done), ("from before", now.skipped), ("failed", now.failed), *left]

    def summary(self) -> str:
        """How it stands, in a line."""
        if self.report is not None:
            return self.report.summary().partition(": ")[2]
        now = self.now
        if now is None:
            return "begins …"
        text = f"{now.files}, {format_size(now.fetched)}"
        if self.state is not DownloadState.RUNNING:
            return f"{text}, {self.state.value}"
        speed, left = self._of_late
        text += f", {format_size(speed)}/s"
        if left is not None:
            text += f", {format_duration(left)} left"
        if now.at_work:
            text += f", {now.at_work}"
        if now.retries:
            text += f", {counted(now.retries, 'retry', 'retries')}"
        return text
