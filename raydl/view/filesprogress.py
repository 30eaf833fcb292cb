"""Many files, to what a person sees: one bar for all, and a line for the first that fail."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, TextIO

from raydl.model.events import ClusterChosen, Event, Failed
from raydl.model.fileevents import AllEnded, FileEnded, FilesNow
from raydl.model.units import format_duration, format_size
from raydl.view.progress import PLAIN_SECONDS, Silent, width_of

MOST_FAILURES = 10
"""That have a line each; the report has all of them."""

SPEED_SECONDS = 2.0


class Files(Silent):
    """What both ways have in common: the speed, and what is worth a line."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._failures = 0
        self._samples: deque[tuple[float, int, int]] = deque()

    def _line_of(self, event: Event) -> str:
        """What is said of it; empty where that is nothing."""
        if isinstance(event, FileEnded):
            if not event.has_failed:
                return ""
            self._failures += 1
            if self._failures == MOST_FAILURES + 1:
                return "more files fail: the report has them"
            return str(event) if self._failures <= MOST_FAILURES else ""
        is_told = event.level != "detail" or isinstance(event, ClusterChosen)
        return str(event) if is_told and not isinstance(event, Failed | AllEnded) else ""

    def _speeds(self, event: FilesNow) -> tuple[float, float]:
        """Bytes and files a second, of late."""
        now = time.monotonic()
        self._samples.append((now, event.fetched, event.ended))
        while self._samples[0][0] < now - SPEED_SECONDS and len(self._samples) > 2:
            self._samples.popleft()
        at, fetched, ended = self._samples[0]
        seconds = max(now - at, 0.001)
        return max(0, event.fetched - fetched) / seconds, (event.ended - ended) / seconds


class FilesPlain(Files):
    """Lines for a log."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._shown_at = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Write a line if the event is worth one."""
        if isinstance(event, FilesNow):
            now = time.monotonic()
            speed, _ = self._speeds(event)
            if now - self._shown_at >= PLAIN_SECONDS:
                self._shown_at = now
                self._line(f"{event}, {format_size(speed)}/s, {event.at_work}")
        elif isinstance(event, AllEnded):
            self._line(str(event))
        elif line := self._line_of(event):
            self._line(line)


BESIDE_BAR = (
    (92, "{files}, {fetched}, {speed}, {left}, {failed}"),
    (70, "{files}, {speed}, {left}, {failed}"),
    (54, "{files}, {speed}, {left}"),
    (36, "{files}, {speed}"),
    (20, "{files}"),
    (0, ""),
)
"""What stands beside the bar from which width on."""


class FilesBar(Files):
    """One tqdm bar, of files; lines above it for what a person should know."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._bar: Any = None

    def __call__(self, event: Event) -> None:
        """Move the bar, or write a line above it."""
        if isinstance(event, FilesNow):
            self._draw(event)
        elif isinstance(event, AllEnded | Failed):
            self.close()
            if isinstance(event, AllEnded):
                self._line(str(event))
        elif line := self._line_of(event):
            if self._bar is None:
                self._line(line)
            else:
                self._bar.write(line, file=self._stream)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, event: FilesNow) -> None:
        width = width_of(self._stream)
        text = self._fields(event, width)
        layout = "{percentage:3.0f} % |{bar}| " + text if event.total else text
        if self._bar is None:
            from tqdm import tqdm  # only where a bar is drawn

            self._bar = tqdm(
                total=event.total, initial=event.ended, leave=False, file=self._stream,
                bar_format=layout, ncols=width,
            )  # fmt: skip
            return
        self._bar.bar_format, self._bar.ncols = layout, width
        self._bar.total, self._bar.n = event.total, event.ended
        self._bar.refresh()

    def _fields(self, event: FilesNow, width: int) -> str:
        speed, files = self._speeds(event)
        left = ""
        if event.total and files > 0:
            left = f"{format_duration((event.total - event.ended) / files)} left"
        of = f" of {event.total:,}" if event.total else ""
        layout = next(layout for least, layout in BESIDE_BAR if width >= least)
        text = layout.format(
            files=f"{event.ended:,}{of} files",
            fetched=format_size(event.fetched),
            speed=f"{format_size(speed)}/s",
            left=left,
            failed=f"{event.failed:,} failed" if event.failed else "",
        )
        return ", ".join(part for part in text.split(", ") if part)
