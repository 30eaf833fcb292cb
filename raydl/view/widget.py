"""Progress in a notebook: one live widget, drawn from events."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

from raydl.model.events import Event, Failed, Paused, Verifying
from raydl.model.units import format_size
from raydl.view import html
from raydl.view.partmap import STRENGTH, Cell, CellState, PartMap
from raydl.view.status import DownloadStatus
from raydl.view.theme import TROUBLE, colour

DRAW_SECONDS = 0.25

CELLS = 160
NOTES = 3
"""Lines of what a person should know: the last ones."""


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


def running_cell() -> int:
    """The number of the notebook's cell that runs."""
    from IPython import get_ipython

    shell: Any = get_ipython()
    return int(shell.execution_count) if shell is not None else 0


class Widget:
    """A bar, the part map and the nodes' speeds, or what each node has where each gets the file; in
    the end what became of it."""

    def __init__(self) -> None:
        import ipywidgets
        from IPython.display import display

        self._html: Any = ipywidgets.HTML()
        self._map, self._status = PartMap(CELLS), DownloadStatus()
        self._drawn_at = 0.0
        self._cell = running_cell()
        display(self._html)  # type: ignore[no-untyped-call]

    def __call__(self, event: Event) -> None:
        """Take it in; draw a few times a second."""
        self._map.take(event)
        self._status.take(event)
        if self._status.report is not None:
            self._show(self._status.report._repr_html_())
            self._status.report.is_shown_in(self._cell)
            return
        now = time.monotonic()
        if now - self._drawn_at >= DRAW_SECONDS or isinstance(event, Failed | Paused | Verifying):
            self._drawn_at = now
            self._draw()

    def close(self) -> None:
        """Leave the widget as it was drawn last."""

    def _show(self, text: str) -> None:
        # A kernel that is going away is no reason to stop a download.
        with contextlib.suppress(Exception):
            self._html.value = text

    def _draw(self) -> None:
        status = self._status
        notes = list(status.notes)
        parts = [html.line(notes.pop() if status.state.can_go_on else status.summary())]
        if status.share is not None:
            parts += [html.bar(status.share)]
        parts += self._who_fetches() if status.copies is None else [html.copies(status.copies)]
        parts += [html.line(note) for note in notes[-NOTES:]]
        self._show(html.block(status.name, *parts))

    def _who_fetches(self) -> list[str]:
        status, pictures = self._status, []
        if status.size and status.progress:
            pictures += [html.strip([self._drawn(cell) for cell in self._map.cells()])]
        nodes = list(status.nodes.values())
        most = max((node.speed for node in nodes), default=0.0) or 1.0
        if len(nodes) > 1:
            pictures += [
                html.nodes(
                    html.NodeLine(
                        node.name,
                        colour(node.number),
                        node.speed / most,
                        f"{format_size(node.speed)}/s",
                    )
                    for node in nodes
                )
            ]
        return pictures

    def _drawn(self, cell: Cell) -> tuple[str, float, str]:
        word = f"{cell.state.value}, {cell.node}" if cell.node else cell.state.value
        if cell.state is CellState.FAILED:
            return TROUBLE, 0.8, word
        if cell.state is CellState.WAITING:
            return html.EMPTY, 1.0, word
        node = self._status.nodes.get(cell.node)
        return colour(node.number if node else 0), STRENGTH[cell.state], word
