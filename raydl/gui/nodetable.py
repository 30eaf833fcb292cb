"""The nodes of the cluster: what each does now, what it brought, and how fast they are together."""

from __future__ import annotations

import time
import tkinter as tk
from collections import Counter
from collections.abc import Sequence
from tkinter import ttk
from typing import Literal

from raydl.cluster.session import Node
from raydl.gui.look import Look
from raydl.gui.nodecolours import NodeColours
from raydl.gui.rows import Rows
from raydl.gui.strip import Graph
from raydl.model.units import counted, format_size
from raydl.view.status import DownloadStatus, NodeStatus

COLUMNS: dict[str, tuple[int, Literal["w", "e"]]] = {
    "node": (112, "w"), "state": (98, "w"), "speed": (72, "e"), "brought": (68, "e"),
}  # fmt: skip

HERE = "this machine"

FEWEST, MOST = 2, 8
"""Rows that it asks for; it scrolls behind them."""

POINT_SECONDS = 0.5
"""Between two points of the graph."""


class NodeTable(ttk.Frame):
    """A row for each node, with the colour that it has in the part map."""

    def __init__(self, parent: tk.Misc, look: Look, colours: NodeColours) -> None:
        super().__init__(parent)
        self._look, self._colours, px = look, colours, look.px
        self._squares: dict[str, tk.PhotoImage] = {}
        """By colour; Tk keeps their names alone."""
        self._point_at = 0.0
        self.columnconfigure(0, weight=1)
        self.rowconfigure(0, weight=1)
        self.rowconfigure(2, weight=3)
        rows = Rows(self, look, COLUMNS, is_small=True, height=FEWEST, selectmode="none")
        rows.grid(row=0, column=0, sticky="nsew")
        self.table = rows.tree
        self.total = ttk.Label(self, style="Small.TLabel")
        self.total.grid(row=1, column=0, sticky="w", pady=(px(8), px(4)))
        self.graph = Graph(self, look)

    def show(
        self, nodes: Sequence[Node], is_alone: bool, running: DownloadStatus | None,
        downloads: Sequence[DownloadStatus], speed: float,
    ) -> None:  # fmt: skip
        """Nodes of the cluster, or this machine alone; what they do for the download that runs,
        and brought for all of them. ``speed`` is that of it all, in bytes a second."""
        brought = Counter[str]()
        for download in downloads:
            brought.update({name: node.bytes for name, node in download.nodes.items()})
        working = dict(running.nodes) if running else {}
        names = [HERE if node.is_driver else node.name for node in nodes]
        names += [HERE] if is_alone and HERE not in names else []
        names += [name for name in working if name not in names]
        rows = {name: _row(working.get(name), brought[name]) for name in names}
        for name in set(self.table.get_children()) - set(rows):
            self.table.delete(name)
        for name, values in rows.items():
            if not self.table.exists(name):
                square = self._square(self._colours.of(name))
                self.table.insert("", "end", iid=name, text=f" {name}", image=square)
            if self.table.item(name, "values") != values:
                self.table.item(name, values=values)
        height = min(MOST, max(FEWEST, len(rows)))
        if int(str(self.table.cget("height"))) != height:
            self.table.configure(height=height)
        lanes = sum(node.lanes for node in working.values())
        words = [counted(len(rows), "node")] if rows else []
        words += [counted(lanes, "connection")] if lanes else []
        words += [f"{format_size(speed)}/s"] if speed else []
        self.total.configure(text=", ".join(words))
        now = time.monotonic()
        is_due = now - self._point_at >= POINT_SECONDS
        self.graph.add(speed, instead=not is_due)  # it shows what the words say
        if is_due:
            self._point_at = now
        if speed and not self.graph.winfo_manager():  # until then it has nothing to show
            self.graph.grid(row=2, column=0, sticky="nsew")

    def repaint(self) -> None:
        """Take the colours of the theme."""
        self.graph.repaint()

    def _square(self, colour: str) -> tk.PhotoImage:
        if colour not in self._squares:
            size = self._look.px(10)
            self._squares[colour] = square = tk.PhotoImage(master=self, width=size, height=size)
            square.put(colour, to=(0, 0, size, size))
        return self._squares[colour]


def _row(status: NodeStatus | None, brought: int) -> tuple[str, ...]:
    state = status.state if status else "ready"
    return (
        counted(status.lanes, "connection") if status and status.lanes else state,
        f"{format_size(status.speed)}/s" if status and status.speed else "",
        format_size(brought) if brought else "",
    )
