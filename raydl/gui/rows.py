"""Rows of a table, with a scroll bar while there are more than are in view."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk
from typing import Any, Literal

from raydl.gui.look import Look


class Rows(ttk.Frame):
    """A ttk.Treeview, ``tree``, without the room for what opens and closes.

    ``columns`` have their width, of 96 dots an inch, and where their text stands; the first one is
    the tree's own, which gets what is left.
    """

    def __init__(
        self, parent: tk.Misc, look: Look, columns: dict[str, tuple[int, Literal["w", "e"]]],
        is_small: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        style = ttk.Style(self)
        style.configure("Small.Flat.Treeview", font=look.small_font)
        style.configure("Flat.Treeview.Item", padding=(look.px(5), 0))
        style.layout(
            "Flat.Treeview.Item",
            [("Treeitem.padding", {"sticky": "nswe", "children": [
                ("Treeitem.image", {"side": "left", "sticky": ""}),
                ("Treeitem.text", {"side": "left", "sticky": ""}),
            ]})],
        )  # fmt: skip
        first, *others = columns
        style_name = "Small.Flat.Treeview" if is_small else "Flat.Treeview"
        self.columnconfigure(0, weight=1)
        self.rowconfigure(0, weight=1)
        self.tree = ttk.Treeview(self, columns=others, style=style_name, **options)
        self.tree.grid(row=0, column=0, sticky="nsew")
        for name, (width, side) in columns.items():
            column = "#0" if name == first else name
            self.tree.heading(column, text=name, anchor=side)
            self.tree.column(
                column, width=look.px(width), minwidth=look.px(min(width, 60)), anchor=side,
                stretch=name == first,
            )  # fmt: skip
        self._bar = ttk.Scrollbar(self, command=self.tree.yview)
        self._bar.grid(row=0, column=1, sticky="ns")
        self.tree.configure(yscrollcommand=self._scrolled)

    def _scrolled(self, first: float, last: float) -> None:
        self._bar.set(first, last)
        if float(first) <= 0.0 and float(last) >= 1.0:  # Tk hands over text
            self._bar.grid_remove()
        else:
            self._bar.grid()
