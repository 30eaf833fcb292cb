"""The part map and the history of a speed, drawn."""

from __future__ import annotations

import tkinter as tk
from collections import deque
from tkinter import ttk

from raydl.gui.look import Look
from raydl.gui.nodecolours import NodeColours
from raydl.model.units import format_size
from raydl.view.partmap import STRENGTH, Cell, CellState, PartMap
from raydl.view.theme import TROUBLE, blend

WORDS = {
    CellState.WAITING: "waiting",
    CellState.FLYING: "in flight",
    CellState.HEDGED: "late",
    CellState.FETCHED: "fetched",
    CellState.WRITTEN: "written",
    CellState.FAILED: "failed",
}


class Strip(tk.Canvas):
    """The file as a strip of cells; only those that changed are drawn again."""

    def __init__(self, parent: tk.Misc, look: Look, colours: NodeColours, cells: int) -> None:
        super().__init__(
            parent, height=look.px(30), background=look.palette.empty, highlightthickness=0, width=1
        )
        self._look, self._colours, self._count = look, colours, cells
        self._cells = [self.create_rectangle(0, 0, 0, 0, width=0) for _ in range(cells)]
        self._parts: PartMap | None = None
        self.word = tk.StringVar(self)
        """What is under the pointer."""
        self.bind("<Configure>", lambda _: self._place())
        self.bind("<Motion>", self._point)
        self.bind("<Leave>", lambda _: self.word.set(""))

    def show(self, parts: PartMap | None) -> None:
        """Draw that map from now on."""
        self._parts = parts
        self.configure(background=self._look.palette.empty)
        for number in range(self._count):
            self.itemconfigure(self._cells[number], fill=self._colour(number))
        if parts is not None:
            parts.changed.clear()

    def draw(self) -> int:
        """Draw what changed; returns how many cells that were."""
        parts, changed = self._parts, 0
        if parts is None:
            return 0
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
        p = self._look.palette
        if self._parts is None:
            return p.empty
        cell: Cell = self._parts.cell(number)
        if cell.state is CellState.WAITING:
            return p.empty
        if cell.state is CellState.FAILED:
            return TROUBLE
        ink = self._colours.of(cell.node) if cell.node else p.dim  # what was there from before
        return blend(ink, p.empty, STRENGTH[cell.state])

    def _point(self, event: tk.Event[tk.Canvas]) -> None:
        if self._parts is None or not self.winfo_width():
            return
        number = min(self._count - 1, max(0, event.x * self._count // self.winfo_width()))
        cell = self._parts.cell(number)
        self.word.set(f"{cell.state.value}, {cell.node}" if cell.node else cell.state.value)


class Legend(ttk.Frame):
    """What the strengths of a colour mean; which node has which is in the list of nodes. ``word``
    is what is under the pointer."""

    def __init__(self, parent: tk.Misc, look: Look, word: tk.StringVar) -> None:
        super().__init__(parent)
        self._look, px = look, look.px
        self._squares: dict[CellState, tk.Frame] = {}
        for state, text in WORDS.items():
            square = tk.Frame(self, width=px(12), height=px(12))
            square.pack(side="left", pady=(px(3), 0))
            self._squares[state] = square
            ttk.Label(self, text=text, style="Small.TLabel").pack(
                side="left", padx=(px(4), px(10)), pady=(px(3), 0)
            )
        ttk.Label(self, textvariable=word, style="Small.TLabel").pack(side="left")
        self.repaint()

    def repaint(self) -> None:
        """Take the colours of the theme: no node's, for each has one of its own."""
        p = self._look.palette
        fills = {state: blend(p.dim, p.empty, strength) for state, strength in STRENGTH.items()}
        for state, square in self._squares.items():
            is_bad = state is CellState.FAILED
            square.configure(background=TROUBLE if is_bad else fills.get(state, p.empty))


class Graph(tk.Canvas):
    """A short history of a speed, as a line over its area."""

    def __init__(self, parent: tk.Misc, look: Look, points: int = 120) -> None:
        super().__init__(
            parent, height=look.px(70), background=look.palette.card, highlightthickness=0, width=1
        )
        self._look = look
        self._speeds: deque[float] = deque([0.0] * points, maxlen=points)
        self.bind("<Configure>", lambda _: self.repaint())

    def add(self, speed: float, *, instead: bool = False) -> None:
        """Add one more point, or put it ``instead`` of the newest."""
        if instead:
            if speed == self._speeds[-1]:
                return  # it is drawn already
            self._speeds.pop()
        self._speeds.append(speed)
        self.repaint()

    def repaint(self) -> None:
        """Draw it again, in the colours of the theme."""
        p, px = self._look.palette, self._look.px
        width, height = self.winfo_width(), self.winfo_height()
        most = max(self._speeds)
        self.configure(background=p.card)
        self.delete("all")
        if height < px(30):
            return  # no room for a line and its words
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
