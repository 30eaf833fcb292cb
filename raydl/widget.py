"""Progress in a notebook: one live widget, drawn from events."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from typing import Any

from raydl import html
from raydl.event import (
    ClusterChosen,
    Continued,
    Event,
    Failed,
    Finished,
    LanesJoined,
    Notice,
    PartFetched,
    Paused,
    Planned,
    Probed,
    Progress,
    Resumed,
    Verifying,
)
from raydl.partmap import Cell, PartMap, State
from raydl.units import counted, format_duration, format_size

DRAW_SECONDS = 0.25
SPEED_SECONDS = 2.0
"""Over so long a speed is averaged."""

CELLS = 160
NOTES = 3
"""Lines of what a person should know: the last ones."""

STRENGTH = {State.WRITTEN: 1.0, State.FETCHED: 0.7, State.FLYING: 0.35, State.HEDGED: 0.5}


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", lambda: None)() if ipython else None
    return hasattr(shell, "kernel")


def has_widgets() -> bool:
    """Whether widgets can be drawn."""
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return False
    return True


class Widget:
    """A bar, the part map and the nodes' speeds; in the end what became of it."""

    def __init__(self) -> None:
        import ipywidgets
        from IPython.display import display

        self._html: Any = ipywidgets.HTML()
        self._map = PartMap(CELLS)
        self._title, self._state = "", ""
        self._notes: list[str] = []
        self._progress: Progress | None = None
        self._colours: dict[str, str] = {}
        self._bytes: Counter[str] = Counter()
        self._marks: list[tuple[float, int, Counter[str]]] = []
        self._drawn_at = 0.0
        display(self._html)  # type: ignore[no-untyped-call]

    def __call__(self, event: Event) -> None:
        """Take it in; draw a few times a second."""
        self._map.take(event)
        match event:
            case Probed(remote):
                self._title = remote.name
            case Planned():
                self._bytes.clear()
            case LanesJoined(node) | PartFetched(_, _, _, node):
                self._colours.setdefault(node, html.colour(len(self._colours)))
                if isinstance(event, PartFetched):
                    self._bytes[node] += event.stop - event.start
            case Progress():
                self._progress = event
            case Verifying():
                self._state = "verifying"
            case Paused():
                self._state = "paused"
            case Continued():
                self._state = ""
            case Notice() | ClusterChosen() | Resumed():
                self._notes = [*self._notes, str(event)][-NOTES:]
            case Finished(report):
                self._show(report._repr_html_())
                return
            case Failed():
                self._notes.append(str(event))
                self._state = "failed"
        now = time.monotonic()
        if now - self._drawn_at >= DRAW_SECONDS or isinstance(event, Failed | Paused | Verifying):
            self._drawn_at = now
            self._draw(now)

    def close(self) -> None:
        """It stays as it was drawn last."""

    def _show(self, text: str) -> None:
        # A kernel that is going away is no reason to stop a download.
        with contextlib.suppress(Exception):
            self._html.value = text

    def _draw(self, now: float) -> None:
        progress = self._progress
        fetched = progress.fetched if progress else 0
        self._marks.append((now, fetched, self._bytes.copy()))
        while len(self._marks) > 1 and self._marks[1][0] <= now - SPEED_SECONDS:
            self._marks.pop(0)
        then, before, bytes_then = self._marks[0]
        seconds = max(now - then, 1e-3)
        parts = []
        if progress is not None:
            parts += [html.line(self._summary(progress, (fetched - before) / seconds))]
            if progress.size:
                parts += [html.bar(fetched / progress.size)]
                parts += [html.strip([self._drawn(cell) for cell in self._map.cells()])]
        speeds = {node: (self._bytes[node] - bytes_then[node]) / seconds for node in self._colours}
        most = max(speeds.values(), default=0.0) or 1.0
        if len(speeds) > 1:
            parts += [
                html.nodes(
                    html.NodeLine(
                        node, self._colours[node], speed / most, f"{format_size(speed)}/s"
                    )
                    for node, speed in speeds.items()
                )
            ]
        parts += [html.line(note) for note in self._notes]
        self._show(html.block(self._title, *parts))

    def _summary(self, progress: Progress, speed: float) -> str:
        text = format_size(progress.fetched)
        if progress.size:
            text += f" of {format_size(progress.size)}"
        if self._state:
            return f"{text}, {self._state}"
        text += f", {format_size(speed)}/s"
        if progress.size and speed > 0:
            text += f", {format_duration((progress.size - progress.fetched) / speed)} left"
        return f"{text}, {counted(progress.lanes, 'lane')} on {counted(progress.nodes, 'node')}"

    def _drawn(self, cell: Cell) -> tuple[str, float, str]:
        word = f"{cell.state.value}, {cell.node}" if cell.node else cell.state.value
        if cell.state is State.FAILED:
            return html.TROUBLE, 0.8, word
        if cell.state is State.WAITING:
            return html.EMPTY, 1.0, word
        return self._colours.get(cell.node, html.COLOURS[0]), STRENGTH[cell.state], word
