"""Events to what a person or a program sees: a bar, plain lines, JSON lines. All on stderr."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from raydl.model.eventlog import warn
from raydl.model.events import CopiesNow, Event, Progress
from raydl.model.units import format_duration, format_size, printable
from raydl.view.copies import arrivals
from raydl.view.messages import Messages
from raydl.view.status import DownloadStatus
from raydl.view.terminal import is_drawable

PLAIN_SECONDS = 5.0

Render = Callable[[Event], None]


@contextlib.contextmanager
def renderer(style: str, stream: TextIO | None = None, many: bool = False) -> Iterator[Render]:
    """A function that shows events in ``style``; ``many``: those of a run of many files.

    ``auto`` is nothing in a Ray task, of which there may be thousands, a widget in a notebook, a
    bar on a terminal, and else plain lines; those of a notebook go to its standard output, for what
    is on the other one looks like an error.
    """
    out = stream if stream is not None else sys.stderr
    if style == "auto" and _is_ray_task():
        style = "none"
    if style == "auto" and stream is None and (found := _notebook_style()):
        style, out = found, sys.stdout
    if out is None:  # closed by the process that started this one
        style, out = "none", io.StringIO()
    if style == "auto":
        style = "bar" if is_drawable(out) else "plain"
    shown = _shown_of_many(style, out) if many else _shown(style, out)
    try:
        yield shown
    finally:
        shown.close()


def _is_ray_task() -> bool:
    """Whether this is one of Ray's workers, whose lines all come to the driver's terminal."""
    ray: Any = sys.modules.get("ray")
    if not hasattr(ray, "is_initialized") or not ray.is_initialized():
        return False
    return bool(ray.get_runtime_context().worker.mode == ray.WORKER_MODE)


def _notebook_style() -> str:
    """How a notebook shows events; empty where this is none, and then nothing is imported."""
    if "IPython" not in sys.modules:
        return ""
    from raydl.view.widget import has_widgets, is_notebook

    return ("widget" if has_widgets() else "plain") if is_notebook() else ""


def _shown(style: str, out: TextIO) -> Any:
    if style == "widget":
        from raydl.view.widget import Widget

        return Widget()
    if style == "bar":
        from raydl.view.bar import Bar

        return Bar(out)
    return {"plain": Plain, "json": JsonLines, "none": Silent}[style](out)


def _shown_of_many(style: str, out: TextIO) -> Any:
    from raydl.view.filesprogress import FilesBar, FilesPlain

    ways = {"bar": FilesBar, "plain": FilesPlain, "widget": FilesPlain}
    return {**ways, "json": JsonLines, "none": Silent}[style](out)


class Silent:
    """Shows nothing but that there is nothing to be had yet."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Show an event."""
        warn(event)

    def close(self) -> None:
        """Nothing more comes."""

    def _line(self, text: str) -> None:
        """A line for people, or several."""
        self._write(printable(text, "\n"))

    def _write(self, text: str) -> None:
        # The reader of standard error may have gone: that is no reason to stop a download.
        with contextlib.suppress(OSError, ValueError):
            print(text, file=self._stream, flush=True)


class JsonLines(Silent):
    """Every event as one JSON object a line; docs/events.md has the schema."""

    def __call__(self, event: Event) -> None:
        """Write the event's record."""
        record: dict[str, Any] = {"time": round(time.time(), 3), **event.to_dict()}
        self._write(json.dumps(record, ensure_ascii=False))


class Plain(Silent):
    """Lines for a log: what matters once, progress every few seconds."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._status, self._messages = DownloadStatus(), Messages()
        self._shown_at = time.monotonic()
        self._told = 0

    def __call__(self, event: Event) -> None:
        """Write a line if the event is worth one."""
        self._status.take(event)
        self._tell_copies()
        for line in self._messages.take(event):
            self._line(line)
        if isinstance(event, Progress | CopiesNow):
            now = time.monotonic()
            if now - self._shown_at >= PLAIN_SECONDS:
                self._shown_at = now
                self._progress()

    def _tell_copies(self) -> None:
        """Say who has the file since the last time."""
        status = self._status
        new = status.whole[self._told :]
        self._told = len(status.whole)
        for line in arrivals(new, status.size or 0):
            self._line(line)

    def _progress(self) -> None:
        status = self._status
        line = status.amount
        if status.share is not None:
            line = f"{100 * status.share:3.0f} %, {line}"
        if status.seconds_left is not None:
            line += f", {format_duration(status.seconds_left)} left"
        line += f", {format_size(status.speed)}/s"
        self._line(f"{line}, {status.at_work}" if status.at_work else line)
