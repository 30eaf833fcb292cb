"""Events to what a person or a program sees: a bar, plain lines, JSON lines. All on stderr."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from raydl.event import (
    ClusterChosen,
    Event,
    Failed,
    Finished,
    LanesJoined,
    PartFailed,
    Planned,
    Progress,
    Verifying,
    show_quietly,
)
from raydl.units import counted, format_duration, format_size

PLAIN_SECONDS = 5.0

Render = Callable[[Event], None]


@contextlib.contextmanager
def renderer(style: str, stream: TextIO | None = None) -> Iterator[Render]:
    """A function that shows events in ``style``.

    ``auto`` is a widget in a notebook, a bar on a terminal, and else plain lines; those of a
    notebook go to its standard output, for what is on the other one looks like an error.
    """
    out = stream if stream is not None else sys.stderr
    if style == "auto" and stream is None and (found := _notebook_style()):
        style, out = found, sys.stdout
    if out is None:  # closed by who started this process
        style, out = "none", io.StringIO()
    if style == "auto":
        style = "bar" if out.isatty() else "plain"
    shown = _shown(style, out)
    try:
        yield shown
    finally:
        shown.close()


def _notebook_style() -> str:
    """How a notebook shows events; empty where this is none, and then nothing is imported."""
    if "IPython" not in sys.modules:
        return ""
    from raydl.widget import has_widgets, is_notebook

    return ("widget" if has_widgets() else "plain") if is_notebook() else ""


def _shown(style: str, out: TextIO) -> Any:
    if style == "widget":
        from raydl.widget import Widget

        return Widget()
    return {"bar": Bar, "plain": Plain, "json": JsonLines, "none": Silent}[style](out)


class Silent:
    """Shows nothing but that there is nothing to be had yet."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Show an event."""
        show_quietly(event)

    def close(self) -> None:
        """Nothing more comes."""

    def _line(self, text: str) -> None:
        # Whoever read standard error may have gone: that is no reason to stop a download.
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
        self._shown_at = time.monotonic()
        self._before = (self._shown_at, 0)

    def __call__(self, event: Event) -> None:
        """Write a line if the event is worth one."""
        if isinstance(event, Progress):
            self._progress(event)
        elif _is_told(event):
            self._line(str(event))

    def _progress(self, event: Progress) -> None:
        now = time.monotonic()
        if now - self._shown_at < PLAIN_SECONDS:
            return
        then, fetched = self._before
        speed = (event.fetched - fetched) / (now - then) if now > then else 0.0
        self._shown_at, self._before = now, (now, event.fetched)
        line = format_size(event.fetched)
        if event.size:
            line = f"{100 * event.fetched / event.size:3.0f} %, {line} of {format_size(event.size)}"
            if speed > 0:
                line += f", {format_duration((event.size - event.fetched) / speed)} left"
        self._line(f"{line}, {format_size(speed)}/s, {_lanes(event)}")


class Bar(Silent):
    """One tqdm bar for the file; lines above it for what a person should know."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._bar: Any = None
        self._state = ""

    def __call__(self, event: Event) -> None:
        """Move the bar, or write a line above it."""
        match event:
            case Progress():
                self._move(event)
            case Verifying():
                if self._bar is not None:
                    self._bar.set_postfix_str("verifying")
            case Finished() | Failed():
                self.close()
                if isinstance(event, Finished):
                    self._line(str(event))
            case _ if _is_told(event):
                self._above(str(event))

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

    def _move(self, event: Progress) -> None:
        if self._bar is None:
            self._bar = _file_bar(event, self._stream)
        lanes = _lanes(event)
        if lanes != self._state:
            self._state = lanes
            self._bar.set_postfix_str(lanes, refresh=False)
        # Short of the edge, or the ^C that a terminal echoes would wrap the line.
        self._bar.ncols = shutil.get_terminal_size().columns - 4
        # Not below what is shown: bytes of a broken connection are fetched again.
        self._bar.update(max(0, event.fetched - self._bar.n))


def _file_bar(event: Progress, stream: TextIO) -> Any:
    """A tqdm bar that writes sizes as everything else here does, and goes when it is done."""
    from tqdm import tqdm  # only where a bar is drawn

    class FileBar(tqdm):  # type: ignore[type-arg]
        @property
        def format_dict(self) -> Any:
            fields = super().format_dict
            whole = f" of {format_size(self.total)}" if self.total else ""
            fields["amount"] = f"{format_size(self.n)}{whole}"
            fields["speed"] = f"{format_size(fields['rate'] or 0)}/s"
            return fields

    ending = "{amount}, {speed}, {remaining} left{postfix}"
    return FileBar(
        total=event.size,
        initial=event.fetched,
        smoothing=0.1,
        leave=False,
        file=stream,
        bar_format="{percentage:3.0f} % |{bar}| " + ending
        if event.size
        else "{amount}, {speed}{postfix}",
    )


def _lanes(event: Progress) -> str:
    return f"{counted(event.lanes, 'lane')} on {counted(event.nodes, 'node')}"


def _is_told(event: Event) -> bool:
    """Whether a person wants a line for it."""
    if isinstance(event, Planned):
        return bool(event.note)
    if isinstance(event, Failed):
        return False  # whoever called gets the error itself
    return event.level != "detail" or isinstance(event, LanesJoined | ClusterChosen | PartFailed)
