"""What becomes of a partial file whose download is given up."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from raydl.gui.look import Look
from raydl.gui.widgets import Dialog


class PartialDialog(Dialog):
    """Asks whether to keep it, which Enter says, or to delete it; Escape changes nothing.

    ``decided`` gets whether it is to be deleted.
    """

    def __init__(
        self, parent: tk.Misc, look: Look, question: str, decided: Callable[[bool], None]
    ) -> None:
        super().__init__(parent, look, question, "Keep partial file", lambda: decided(False))
        self.no_button.configure(text="Go back")

        def delete() -> None:
            self.destroy()
            decided(True)

        self.delete_button = ttk.Button(
            self.yes_button.master, text="Delete partial file", command=delete
        )
        self.delete_button.pack(side="left", padx=(look.px(8), 0), before=self.yes_button)
