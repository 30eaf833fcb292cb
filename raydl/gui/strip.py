"""The part map and the history of a speed, drawn."""

from __future__ import annotations

import tkinter as tk
from collections import deque
from tkinter import ttk

from raydl.gui.look import Look
from raydl.model.units import format_size
from raydl.view.partmap import STRENGTH, Cell, CellState, PartMap
from raydl.view.status import DownloadStatus
from raydl.view.theme import TROUBLE, blend, colour


class Strip(tk.Canvas):
    """The file as a strip of cells; only those that changed are drawn again."""

    def __init__(self, parent: tk.Misc, look: Look, cells: int) -> None:
        super().__init__(
            parent, height=look.px(30), background=look.palette.empty, highlightthickness=0, width=1
        )
        self._look, self._count = look, cells
        self._cells = [self.create_rectangle(0, 0, 0, 0, width=0) for _ in range(cells)]
        self._source: tuple[PartMap, DownloadStatus] | None = None
        self.word = tk.StringVar(self)
        """What is under the pointer."""
        self.bind("<Configure>", lambda _: self._place())
        self.bind("<Motion>", self._point)
        self.bind("<Leave>", lambda _: self.word.set(""))

    def show(self, parts: PartMap | None, status: DownloadStatus | None) -> None:
        """Draw that map from now on."""
        self._source = (parts, status) if parts is not None and status is not None else None
        self.configure(background=self._look.palette.empty)
        for number in range(self._count):
            self.itemconfigure(self._cells[number], fill=self._colour(number))
        if parts is not None:
            parts.changed.clear()

    def draw(self) -> int:
        """Draw what changed; returns how many cells that were."""
        if self._source is None:
            return 0
        changed, parts = 0, self._source[0]
        for number in parts.changed:
            self.itemconfigure(self._cells[number], fill=self._colour(number))
            changed += 1
        parts.changed.clear()
        return changed

    def _place(self) -> None:
        width, height = self.winfo_width(), self.winfo_height()
        for number, cell in enumerate(self._cells):
            left, right = (width * n // self._count for n in (number, number + 1))
            self.coords(cell, left, 0, right, height)

    def _colour(self, number: int) -> str:
        empty = self._look.palette.empty
        if self._source is None:
            return empty
        parts, status = self._source
        cell: Cell = parts.cell(number)
        if cell.state is CellState.WAITING:
            return empty
        if cell.state is CellState.FAILED:
            return TROUBLE
        known = status.nodes.get(cell.node)
        return blend(colour(known.number if known else 0), empty, STRENGTH[cell.state])

    def _point(self, event: tk.Event[tk.Canvas]) -> None:
        if self._source is None or not self.winfo_width():
            return
        number = min(self._count - 1, max(0, event.x * self._count // self.winfo_width()))
        cell = self._source[0].cell(number)
        self.word.set(f"{cell.state.value}, {cell.node}" if cell.node else cell.state.value)


class Legend(ttk.Frame):
    """What the strengths of a colour mean, and which node has which colour."""

    def __init__(self, parent: tk.Misc, look: Look) -> None:
        super().__init__(parent)
        self._look = look
        self._shown: tuple[str, ...] | None = None

    def show(self, status: DownloadStatus | None) -> None:
        """For the nodes of that download."""
        names = tuple(status.nodes) if status else ()
        if names == self._shown:
            return
        self._shown = names
        for child in self.winfo_children():
            child.destroy()
        empty, first = self._look.palette.empty, colour(0)
        words = [
            (empty, CellState.WAITING.value),
            *((blend(first, empty, strength), state.value) for state, strength in STRENGTH.items()),
            (TROUBLE, CellState.FAILED.value),
        ]
        self._row(words)
        if len(names) > 1:
            self._row([(colour(number), name) for number, name in enumerate(names[:8])])

    def forget(self) -> None:
        """Draw it again next time."""
        self._shown = None

    def _row(self, words: list[tuple[str, str]]) -> None:
        px = self._look.px
        row = ttk.Frame(self)
        row.pack(fill="x", pady=(px(3), 0))
        for fill, word in words:
            tk.Frame(row, background=fill, width=px(12), height=px(12)).pack(side="left")
            ttk.Label(row, text=word, style="Small.TLabel").pack(side="left", padx=(px(4), px(12)))


class Graph(tk.Canvas):
    """A short history of a speed, as a line over its area."""

    def __init__(self, parent: tk.Misc, look: Look, points: int = 120) -> None:
        super().__init__(
            parent, height=look.px(70), background=look.palette.card, highlightthickness=0, width=1
        )
        self._look = look
        self._speeds: deque[float] = deque([0.0] * points, maxlen=points)
        self.bind("<Configure>", lambda _: self.repaint())

    def add(self, speed: float) -> None:
        """Add one more point."""
        self._speeds.append(speed)
        self.repaint()

    def repaint(self) -> None:
        """Draw it again, in the colours of the theme."""
        p, px = self._look.palette, self._look.px
        width, height = self.winfo_width(), self.winfo_height()
        most = max(self._speeds)
        self.configure(background=p.card)
        self.delete("all")
        points = [
            (
                width * number / (len(self._speeds) - 1),
                height - px(2) - (height - px(18)) * (speed / most if most else 0),
            )
            for number, speed in enumerate(self._speeds)
        ]
        self.create_polygon(
            [(0, height), *points, (width, height)], fill=blend(p.accent, p.card, 0.15), width=0
        )
        self.create_line(points, fill=p.accent, width=px(2))
        if most:
            self.create_text(
                px(2), px(2), anchor="nw", fill=p.dim, font=self._look.small_font,
                text=f"{format_size(most)}/s at most",
            )  # fmt: skip
