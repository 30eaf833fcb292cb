"""Many files, to what a person sees: one bar for all, and a line for the first that fail."""

from __future__ import annotations

import time
from collections import deque
from typing import TextIO

from raydl.model.events import ClusterChosen, Event, Failed
from raydl.model.fileevents import AllEnded, FileEnded, FilesNow, SlowFile
from raydl.model.units import format_duration, format_size
from raydl.view.progress import PLAIN_SECONDS, OneBar, Silent, width_of

MOST_FAILURES = 10
"""That have a line each; the report has all of them."""

SPEED_SECONDS = 2.0

LONGEST_NAME = 24
"""Characters of a file's name beside the bar."""


class Speed:
    """How fast they come, of late."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, float]] = deque()

    def take(self, event: FilesNow) -> tuple[float, float | None]:
        """Bytes a second, and how many are left at that pace, if that can be known."""
        now, share = time.monotonic(), event.share or 0.0
        self._samples.append((now, event.fetched, share))
        while self._samples[0][0] < now - SPEED_SECONDS and len(self._samples) > 2:
            self._samples.popleft()
        at, fetched, before = self._samples[0]
        seconds = max(now - at, 0.001)
        gain = (share - before) / seconds
        left = (1 - share) / gain if gain > 0 else None
        return max(0, event.fetched - fetched) / seconds, left


class Files:
    """What both ways have in common: the speed, and what is worth a line."""

    def __init__(self) -> None:
        self._failures = 0
        self.speed = Speed()

    def line_of(self, event: Event) -> str:
        """What is said of it; empty where that is nothing."""
        if isinstance(event, FileEnded):
            if not event.has_failed:
                return ""
            self._failures += 1
            if self._failures == MOST_FAILURES + 1:
                return "more files fail: --report FILE lists all"
            return str(event) if self._failures <= MOST_FAILURES else ""
        is_told = event.level != "detail" or isinstance(event, ClusterChosen)
        return str(event) if is_told and not isinstance(event, Failed | AllEnded) else ""


class FilesPlain(Silent):
    """Lines for a log."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._files = Files()
        self._shown_at = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Write a line if the event is worth one."""
        if isinstance(event, FilesNow):
            now = time.monotonic()
            speed, _ = self._files.speed.take(event)
            if now - self._shown_at >= PLAIN_SECONDS:
                self._shown_at = now
                parts = (str(event), f"{format_size(speed)}/s", event.at_work)
                line = ", ".join(part for part in parts if part)
                self._line(line + _slowest(event))
        elif isinstance(event, AllEnded):
            self._line(str(event))
        elif line := self._files.line_of(event):
            self._line(line)


def _slowest(event: FilesNow) -> str:
    return f"; slowest: {', '.join(map(str, event.slowest))}" if event.slowest else ""


def _brief(file: SlowFile) -> str:
    name = file.path.rpartition("/")[2]
    if len(name) > LONGEST_NAME:
        name = f"…{name[1 - LONGEST_NAME :]}"
    return str(file._replace(path=name))


BESIDE_BAR = (
    (130, "{files}, {fetched}, {speed}, {left}, {failed}, {slowest}"),
    (92, "{files}, {fetched}, {speed}, {left}, {failed}"),
    (70, "{files}, {speed}, {left}, {failed}"),
    (54, "{files}, {speed}, {left}"),
    (36, "{files}, {speed}"),
    (20, "{files}"),
    (0, ""),
)
"""What stands beside the bar from which width on."""


STEPS = 1000
"""Of the bar."""


class FilesBar(OneBar):
    """The bar of all files."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._files = Files()

    def __call__(self, event: Event) -> None:
        """Move the bar, or write a line above it."""
        if isinstance(event, FilesNow):
            text = self._fields(event, width_of(self._stream))
            known = event.share is not None
            self._redraw(text, STEPS if known else None, round(STEPS * (event.share or 0)))
        elif isinstance(event, AllEnded | Failed):
            self.close()
            if isinstance(event, AllEnded):
                self._line(str(event))
        elif line := self._files.line_of(event):
            self._above(line)

    def _fields(self, event: FilesNow, width: int) -> str:
        speed, seconds = self._files.speed.take(event)
        left = "" if seconds is None else f"{format_duration(seconds)} left"
        layout = next(layout for least, layout in BESIDE_BAR if width >= least)
        text = layout.format(
            files=event.files,
            fetched=format_size(event.fetched),
            speed=f"{format_size(speed)}/s",
            left=left,
            failed=f"{event.failed:,} failed" if event.failed else "",
            slowest=f"slowest {_brief(event.slowest[0])}" if event.slowest else "",
        )
        return ", ".join(part for part in text.split(", ") if part)
