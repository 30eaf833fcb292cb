"""Many files, to what a person sees: one bar for all, and a line for the first that fail."""

from __future__ import annotations

import time
from typing import TextIO

from raydl.model.events import ClusterChosen, Event, Failed
from raydl.model.fileevents import AllEnded, FileEnded, FilesNow, SlowFile
from raydl.model.units import format_duration, format_size
from raydl.view.bar import Line
from raydl.view.pace import LEFT_SECONDS, Pace
from raydl.view.progress import PLAIN_SECONDS, Silent
from raydl.view.terminal import Block, shorten, size_of

MOST_FAILURES = 10
"""That have a line each; the report has all of them."""

LONGEST_NAME = 24
"""Columns of a file's name beside the bar."""


class Speed:
    """How fast they come, of late: a small file counts once it is whole, so that is a while."""

    def __init__(self) -> None:
        self._bytes, self._share = Pace(LEFT_SECONDS), Pace(LEFT_SECONDS)

    def take(self, event: FilesNow) -> tuple[float, float | None]:
        """Bytes a second, and how many are left at that pace, if that can be known."""
        now, share = time.monotonic(), event.share
        self._bytes.take(now, event.fetched)
        if share is None:
            return self._bytes.rate, None
        self._share.take(now, share)
        return self._bytes.rate, self._share.seconds_for(1 - share)


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
    return str(file._replace(path=shorten(file.path.rpartition("/")[2], LONGEST_NAME)))


BESIDE_BAR = (
    (150, "{files}, {fetched}, {speed}, {left}, {who}, {failed}, {slowest}"),
    (112, "{files}, {fetched}, {speed}, {left}, {who}, {failed}"),
    (92, "{files}, {fetched}, {speed}, {left}, {failed}"),
    (70, "{files}, {speed}, {left}, {failed}"),
    (54, "{files}, {speed}, {left}"),
    (36, "{files}, {speed}"),
    (20, "{files}"),
    (0, ""),
)
"""What stands beside the bar from which width on."""


class FilesBar:
    """The bar of all files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._block = stream, Block(stream)
        self._files = Files()
        self._line = Line(self._block)

    def __call__(self, event: Event) -> None:
        """Move the bar, or write a line above it."""
        if isinstance(event, FilesNow):
            self._draw(event)
        elif isinstance(event, AllEnded | Failed):
            self._block.clear()
            if isinstance(event, AllEnded):
                self._block.say(str(event))
        elif line := self._files.line_of(event):
            self._block.say(line)

    def close(self) -> None:
        """Leave nothing of the bar."""
        self._block.clear()

    def _draw(self, event: FilesNow) -> None:
        pace, columns = self._files.speed.take(event), size_of(self._stream).columns
        if self._line.is_due(columns):
            self._line.say(event.share, beside_bar(event, *pace, columns))
        self._block.draw([self._line.draw(event.share)])


def beside_bar(event: FilesNow, speed: float, seconds: float | None, columns: int) -> str:
    """How all of them stand, in as many fields as there is room for."""
    layout = next(layout for least, layout in BESIDE_BAR if columns >= least)
    text = layout.format(
        files=event.files,
        fetched=format_size(event.fetched),
        speed=f"{format_size(speed)}/s",
        left="" if seconds is None else f"{format_duration(seconds)} left",
        who=event.at_work,
        failed=f"{event.failed:,} failed" if event.failed else "",
        slowest=f"slowest {_brief(event.slowest[0])}" if event.slowest else "",
    )
    return ", ".join(part for part in text.split(", ") if part)
