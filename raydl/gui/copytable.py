"""The nodes that get a file, as rows: what each has, from whom, what is wrong."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk

from raydl.gui.look import Look
from raydl.gui.widgets import Wrapped
from raydl.gui.words import in_windows
from raydl.model.events import CopiesNow, CopyNow
from raydl.model.units import format_size
from raydl.view.copies import row, state

COLUMNS = (("has", 158), ("from the origin", 100), ("from others", 90), ("state", 200))

BAR = 10
"""Strokes of a bar."""


class CopyTable(ttk.Frame):
    """Rows in the order in which nodes came; those in trouble first."""

    def __init__(self, parent: tk.Misc, look: Look) -> None:
        super().__init__(parent)
        self._look, px = look, look.px
        self._shown: CopiesNow | None = None
        self.rows: dict[str, tuple[str, ...]] = {}
        """What stands in the row of each node."""
        self.list = ttk.Treeview(
            self, columns=[name for name, _ in COLUMNS], height=4, selectmode="browse"
        )
        self.list.heading("#0", text="node", anchor="w")
        self.list.column("#0", width=px(110), stretch=False)
        for name, width in COLUMNS:
            counts = name.startswith("from")
            self.list.heading(name, text=name, anchor="e" if counts else "w")
            self.list.column(
                name, width=px(width), stretch=name == "state", anchor="e" if counts else "w"
            )
        bar = ttk.Scrollbar(self, command=self.list.yview)
        self.list.configure(yscrollcommand=bar.set)
        self.word = Wrapped(self, style="Small.TLabel")
        """The state of the row under the pointer, or of the one that is chosen, whole."""
        self.word.pack(side="bottom", fill="x")
        self.list.bind("<Motion>", lambda event: self._tell(self.list.identify_row(event.y)))
        self.list.bind("<<TreeviewSelect>>", lambda _: self._tell("".join(self.list.selection())))
        bar.pack(side="right", fill="y")
        self.list.pack(side="left", fill="both", expand=True)

    def show(self, copies: CopiesNow) -> None:
        """Draw what has changed."""
        if copies is self._shown:
            return
        self._shown = copies
        self.list.tag_configure("bad", foreground=self._look.palette.bad)
        for gone in self.rows.keys() - {copy.node for copy in copies.copies}:
            del self.rows[gone]
            self.list.delete(gone)
        for copy in copies.copies:
            self._show_row(copy, copies.size)

    def forget(self) -> None:
        """Draw it again next time."""
        self._shown = None

    def _tell(self, node: str) -> None:
        self.word.configure(text=f"{node}: {self.rows[node][-1]}" if node in self.rows else "")

    def _show_row(self, copy: CopyNow, size: int) -> None:
        node, share, _, is_bad = row(copy, size)
        values = (
            f"{'━' * round(BAR * share)}{'─' * (BAR - round(BAR * share))} {100 * share:.0f} %",
            format_size(copy.from_origin) if copy.from_origin else "",
            format_size(copy.from_peers) if copy.from_peers else "",
            in_windows(state(copy)),
        )
        if node not in self.rows:
            self.list.insert("", "end", iid=node, text=node)
        if self.rows.get(node) != values:
            self.rows[node] = values
            self.list.item(node, values=values, tags=("bad",) if is_bad else ())
            if is_bad:
                self.list.move(node, "", 0)
