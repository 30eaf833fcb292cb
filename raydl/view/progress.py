"""Events to what a person or a program sees: a bar, plain lines, JSON lines. All on stderr."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from raydl.model.eventlog import warn
from raydl.model.events import (
    ClusterChosen,
    CopiesNow,
    Event,
    Failed,
    Finished,
    LanesJoined,
    PartFailed,
    Planned,
    Progress,
    Verifying,
)
from raydl.model.units import counted, format_duration, format_size
from raydl.view.copies import arrivals
from raydl.view.status import DownloadStatus, Step

PLAIN_SECONDS = 5.0

Render = Callable[[Event], None]


@contextlib.contextmanager
def renderer(style: str, stream: TextIO | None = None, many: bool = False) -> Iterator[Render]:
    """A function that shows events in ``style``; ``many``: those of a run of many files.

    ``auto`` is a widget in a notebook, a bar on a terminal, and else plain lines; those of a
    notebook go to its standard output, for what is on the other one looks like an error.
    """
    out = stream if stream is not None else sys.stderr
    if style == "auto" and stream is None and (found := _notebook_style()):
        style, out = found, sys.stdout
    if out is None:  # closed by the process that started this one
        style, out = "none", io.StringIO()
    if style == "auto":
        style = "bar" if out.isatty() else "plain"
    shown = _shown_of_many(style, out) if many else _shown(style, out)
    try:
        yield shown
    finally:
        shown.close()


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
    return {"bar": Bar, "plain": Plain, "json": JsonLines, "none": Silent}[style](out)


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
        # The reader of standard error may have gone: that is no reason to stop a download.
        with contextlib.suppress(OSError, ValueError):
            print(text, file=self._stream, flush=True)


class JsonLines(Silent):
    """Every event as one JSON object a line; docs/events.md has the schema."""

    def __call__(self, event: Event) -> None:
        """Write the event's record."""
        record: dict[str, Any] = {"time": round(time.time(), 3), **event.to_dict()}
        self._line(json.dumps(record, ensure_ascii=False))


class Plain(Silent):
    """Lines for a log: what matters once, progress every few seconds."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._status = DownloadStatus()
        self._shown_at = time.monotonic()
        self._told = 0

    def __call__(self, event: Event) -> None:
        """Write a line if the event is worth one."""
        self._status.take(event)
        self._tell_copies()
        if isinstance(event, Progress | CopiesNow):
            now = time.monotonic()
            if now - self._shown_at >= PLAIN_SECONDS:
                self._shown_at = now
                self._progress()
        elif _is_told(event):
            self._line(str(event))

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
        self._line(f"{line}, {status.at_work}" if status.progress else line)


class OneBar(Silent):
    """A tqdm bar, and lines above it for what a person should know."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._bar: Any = None

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _above(self, text: str) -> None:
        if self._bar is None:
            self._line(text)
        else:
            self._bar.write(text, file=self._stream)

    def _redraw(self, text: str, total: int | None, count: int) -> None:
        """Show ``count`` of ``total``, and the text beside the bar."""
        text = text.replace("{", "{{").replace("}", "}}")  # of names: tqdm's fields are in braces
        layout = "{percentage:3.0f} % |{bar}| " + text if total else text
        width = width_of(self._stream)
        if self._bar is None:
            from tqdm import tqdm  # only where a bar is drawn

            self._bar = tqdm(
                total=total, initial=count, leave=False, file=self._stream,
                bar_format=layout, ncols=width,
            )  # fmt: skip
            return
        self._bar.bar_format, self._bar.ncols = layout, width
        self._bar.total, self._bar.n = total, count
        self._bar.refresh()


class Bar(OneBar):
    """The bar of one file."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._status = DownloadStatus()

    def __call__(self, event: Event) -> None:
        """Move the bar, or write a line above it."""
        self._status.take(event)
        match event:
            case Progress() | CopiesNow():
                self._draw(_fields(self._status, width_of(self._stream)))
            case Verifying() if self._status.copies is None:
                if self._status.progress is not None:
                    self._draw("verifying")
            case Finished() | Failed():
                self.close()
                if isinstance(event, Finished):
                    self._line(str(event))
            case _ if _is_told(event):
                self._above(str(event))

    def _draw(self, text: str) -> None:
        status = self._status
        count = status.fetched
        if self._bar is not None and status.copies is None:
            # Not below what is shown: bytes of a broken connection are fetched again. (Nodes come
            # and go, and their copies with them.)
            count = max(self._bar.n, count)
        self._redraw(text, status.total, count)


BESIDE_BAR = (
    (89, "{amount}, {speed}, {left}, {lanes}"),
    (67, "{amount}, {speed}, {left}"),
    (54, "{fetched}, {speed}, {left}"),
    (43, "{speed}, {left}"),
    (30, "{speed}"),
    (0, ""),
)
"""What stands beside the bar from which width on: what fits at its longest with ten cells of bar,
so that no field comes and goes with the digits of another."""

WITHOUT_BAR = ((44, "{fetched}, {speed}, {lanes}"), (22, "{fetched}, {speed}"), (0, "{fetched}"))
"""The same where the size is not known."""


OF_COPIES = (
    (91, "{amount}, {speed}, {left}, {lanes}"),
    (69, "{amount}, {speed}, {left}"),
    (56, "{amount}, {speed}"),
    (43, "{amount}"),
    (32, "{count}"),
    (0, ""),
)
"""The same where each node gets the file."""


def _fields(status: DownloadStatus, width: int) -> str:
    """How it stands, in as many fields as there is room for."""
    copies = status.copies
    layouts = OF_COPIES if copies else BESIDE_BAR if status.size else WITHOUT_BAR
    layout = next(layout for least, layout in layouts if width >= least)
    seconds = status.seconds_left
    left = f"{'?' if seconds is None else format_duration(seconds)} left"
    if copies is not None and status.step is not Step.FETCHING:
        left = status.step.value
    text = layout.format(
        amount=status.amount,
        count=f"{copies.whole}/{counted(len(copies.copies), 'node')}" if copies else "",
        fetched=format_size(status.fetched),
        speed=f"{format_size(status.speed)}/s",
        left=left,
        lanes=status.at_work if status.progress else "",
    )
    return text.removesuffix(", ")


def width_of(stream: TextIO) -> int:
    """Columns to draw in: short of the edge, or the ^C that terminals echo would wrap the line."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return max(1, (columns or shutil.get_terminal_size().columns) - 4)


def _is_told(event: Event) -> bool:
    """Whether a person wants a line for it."""
    if isinstance(event, Planned):
        return bool(event.note)
    if isinstance(event, Failed):
        return False  # the caller gets the error itself
    if isinstance(event, PartFailed) and not event.tries:
        return False  # its node is gone, which has a line of its own
    return event.level != "detail" or isinstance(event, LanesJoined | ClusterChosen | PartFailed)
