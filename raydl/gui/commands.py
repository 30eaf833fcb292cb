"""What is typed in a terminal for a machine to join, in a window of its own."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk

from raydl.gui.look import Look
from raydl.gui.widgets import CopyRow
from raydl.node.roles import Head


class Commands(tk.Toplevel):
    """Wide enough for what is long; Escape closes it."""

    def __init__(self, parent: tk.Misc, look: Look) -> None:
        super().__init__(parent, background=look.palette.card)
        self.withdraw()
        self.title("raydl: commands for a terminal")
        self.transient(parent.winfo_toplevel())
        self.protocol("WM_DELETE_WINDOW", self.withdraw)
        self.bind("<Escape>", lambda _: self.withdraw())
        self._look, px = look, look.px
        body = ttk.Frame(self, padding=px(20), width=px(680))
        body.pack(fill="both", expand=True)
        ttk.Frame(body, width=px(640)).pack()
        self.raydl = CopyRow(body, look, "With raydl, on the machine that joins")
        self.raydl.pack(fill="x")
        self.ray = CopyRow(body, look, "With Ray alone")
        self.ray.pack(fill="x", pady=(px(10), 0))
        self.close_button = ttk.Button(body, text="Close", command=self.withdraw)
        self.close_button.pack(anchor="e", pady=(px(14), 0))

    def take(self, head: Head) -> None:
        """Those of that head."""
        self.raydl.text.set(head.raydl_command)
        self.ray.text.set(head.ray_command)

    def open(self) -> None:
        """Show it, over the window."""
        self.configure(background=self._look.palette.card)
        top, px = self.master.winfo_toplevel(), self._look.px
        self.geometry(f"+{top.winfo_rootx() + px(40)}+{top.winfo_rooty() + px(120)}")
        self.deiconify()
        self.lift()
        self.close_button.focus_set()
