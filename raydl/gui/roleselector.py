"""The first window: what shall this machine be?"""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from functools import partial
from tkinter import ttk

from raydl.gui.look import Look
from raydl.gui.widgets import Trouble, Wrapped
from raydl.model.errors import RaydlError

ROLES = {
    "coordinator": (
        "Coordinator",
        "Downloads land on this machine. It can do them alone, and other machines can help it.",
    ),
    "worker": (
        "Worker",
        "This machine helps a coordinator, with its own connection to the internet.",
    ),
}


class RoleSelector(ttk.Frame):
    """Two large choices; the one taken last has the focus."""

    def __init__(
        self, parent: tk.Misc, look: Look, last: str, choose: Callable[[str], None]
    ) -> None:
        super().__init__(parent, style="Window.TFrame", padding=look.px(36))
        self._look, px = look, look.px
        ttk.Label(self, text="raydl", style="Title.TLabel").pack(anchor="w")
        Wrapped(
            self,
            text="Download with several machines at once, or with this one alone. "
            "What shall this one be?",
            style="Dim.Window.TLabel",
        ).pack(fill="x", pady=(px(4), px(20)))
        self.buttons: dict[str, ClusterChoice] = {}
        for role, (name, sentence) in ROLES.items():
            button = ClusterChoice(self, look, name, sentence, partial(choose, role))
            button.pack(fill="x", pady=(0, px(12)))
            self.buttons[role] = button
        Wrapped(
            self,
            text="Next time raydl opens as that at once; Change role leads back here.",
            style="Dim.Window.TLabel",
        ).pack(fill="x")
        self.trouble = Trouble(self, look)
        self.buttons.get(last, self.buttons["coordinator"]).focus_set()

    def show(self, error: RaydlError) -> None:
        """Say why the last choice came to nothing."""
        self.trouble.pack(fill="x", pady=(self._look.px(8), 0))
        self.trouble.show(error)


class ClusterChoice(ttk.Frame):
    """A large button: a name, and a sentence below it."""

    def __init__(
        self, parent: tk.Misc, look: Look, name: str, sentence: str, chosen: Callable[[], None]
    ) -> None:
        px = look.px
        super().__init__(
            parent, style="ClusterChoice.TFrame", padding=px(20), borderwidth=1, takefocus=True,
            cursor="hand2",
        )  # fmt: skip
        self.invoke = chosen
        self._labels = {
            Wrapped(self, text=name): "",
            Wrapped(self, text=sentence): "Dim.",
        }
        for label in self._labels:
            label.pack(fill="x", pady=(0, px(4)))
        self._paint("")
        for widget in (self, *self._labels):
            widget.bind("<Button-1>", lambda _: chosen())
        for key in ("<Return>", "<space>"):
            self.bind(key, lambda _: chosen())
        self.bind("<Enter>", lambda _: self._paint("Hover."))
        self.bind("<Leave>", lambda _: self._paint(""))

    def _paint(self, state: str) -> None:
        self.configure(style=f"{state}ClusterChoice.TFrame")
        for label, kind in self._labels.items():
            label.configure(style=f"{kind}{state}ClusterChoice.TLabel")
