"""Small pieces that the windows are made of."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk
from typing import Any

from raydl.gui.look import Look
from raydl.gui.words import in_windows
from raydl.model.errors import RaydlError

Cures = dict[str, Callable[[], None]]
"""What can be done about an error, by the words on a button."""


class Card(ttk.Frame):
    """A frame with a heading, and ``body`` for what is in it."""

    def __init__(self, parent: tk.Misc, look: Look, heading: str) -> None:
        super().__init__(parent, style="Card.TFrame", padding=look.px(14), borderwidth=1)
        self.top = ttk.Frame(self)
        self.top.pack(fill="x", pady=(0, look.px(8)))
        self.heading = ttk.Label(self.top, text=heading, style="Heading.TLabel")
        self.heading.pack(side="left")
        self.body = ttk.Frame(self)
        self.body.pack(fill="both", expand=True)


class Wrapped(ttk.Label):
    """A label whose lines are as long as it is wide; it asks for no width of its own.

    Else how its lines break would say how wide the window gets, and that how they break.
    """

    def __init__(self, parent: tk.Misc, **options: object) -> None:
        super().__init__(parent, width=1, **options)  # type: ignore[arg-type]
        self.bind("<Configure>", lambda event: self.configure(wraplength=max(1, event.width)))


class CopyRow(ttk.Frame):
    """A line of text, to be read in as many as it takes, and to be copied with a button."""

    def __init__(self, parent: tk.Misc, look: Look, label: str) -> None:
        super().__init__(parent)
        ttk.Label(self, text=label, style="Small.TLabel").pack(anchor="w")
        line = ttk.Frame(self)
        line.pack(fill="x")
        self.text = tk.StringVar(self)
        box = ttk.Frame(line, style="Card.TFrame", padding=look.px(5), borderwidth=1)
        box.pack(side="left", fill="x", expand=True)
        self.line = Wrapped(box, textvariable=self.text, style="Command.TLabel")
        self.line.pack(fill="x")
        self.button = ttk.Button(line, text="Copy", style="Small.TButton", command=self._copy)
        self.button.pack(side="left", padx=(look.px(6), 0))

    def _copy(self) -> None:
        copy(self, self.text.get())
        self.button.configure(text="Copied")
        self.after(1500, lambda: self.button.configure(text="Copy"))


class SecretRow(ttk.Frame):
    """A secret: dots, until it is revealed; ``read`` gets it when it is shown or copied."""

    HIDDEN = "•" * 16

    def __init__(self, parent: tk.Misc, look: Look, label: str, read: Callable[[], str]) -> None:
        super().__init__(parent)
        self._read = read
        ttk.Label(self, text=label, style="Small.TLabel").pack(anchor="w")
        line = ttk.Frame(self)
        line.pack(fill="x")
        self.text = tk.StringVar(self, self.HIDDEN)
        ttk.Entry(line, textvariable=self.text, state="readonly", font=look.mono_font).pack(
            side="left", fill="x", expand=True
        )
        self.reveal_button = ttk.Button(
            line, text="Reveal", style="Small.TButton", command=self._toggle
        )
        self.reveal_button.pack(side="left", padx=(look.px(6), 0), fill="y")
        self.copy_button = ttk.Button(
            line, text="Copy", style="Small.TButton", command=lambda: copy(self, self._read())
        )
        self.copy_button.pack(side="left", padx=(look.px(6), 0), fill="y")

    def _toggle(self) -> None:
        if self.text.get() == self.HIDDEN:
            self.text.set(self._read())
            self.reveal_button.configure(text="Hide")
        else:
            self.hide()

    def hide(self) -> None:
        """Dots again."""
        self.text.set(self.HIDDEN)
        self.reveal_button.configure(text="Reveal")


class Trouble(ttk.Frame):
    """An error: a sentence, and below it what to do. Takes no room without one."""

    def __init__(self, parent: tk.Misc, look: Look) -> None:
        super().__init__(parent)
        self._look = look
        self.sentence = Wrapped(self, style="Bad.TLabel")
        self.detail = Wrapped(self, style="Small.TLabel")
        self.cures = ttk.Frame(self)
        self.message = ""

    def show(self, error: RaydlError, cures: Cures | None = None) -> None:
        """Show it, with a button for each of ``cures``."""
        self.clear()
        self.message = error.message
        self.sentence.configure(text=_sentence(in_windows(error.message)))
        self.sentence.pack(fill="x", pady=(self._look.px(6), 0))
        if error.hint:
            self.detail.configure(text=_sentence(in_windows(error.hint)))
            self.detail.pack(fill="x", pady=(self._look.px(2), 0))
        for name, cure in (cures or {}).items():
            ttk.Button(self.cures, text=name, style="Small.TButton", command=cure).pack(
                side="left", padx=(0, self._look.px(6))
            )
        if cures:
            self.cures.pack(anchor="w", pady=self._look.px(4))
        self.update_idletasks()

    def clear(self) -> None:
        """There is none."""
        self.message = ""
        for widget in (self.sentence, self.cures, self.detail):
            widget.pack_forget()
        for cure in self.cures.winfo_children():
            cure.destroy()
        self.configure(height=1)


class Field(ttk.Entry):
    """A field that says something while it is empty: what holds then, or what belongs there."""

    def __init__(
        self, parent: tk.Misc, look: Look, says: str, variable: tk.Variable, **options: Any
    ) -> None:
        super().__init__(parent, textvariable=variable, **options)
        self._left = look.px(6)
        self._says = ttk.Label(self, text=says, style="Placeholder.TLabel", cursor="xterm")
        self._says.bind("<Button-1>", lambda _: self.focus_set())
        variable.trace_add("write", lambda *_: self._show())
        self._show()

    def _show(self) -> None:
        if self.get():
            self._says.place_forget()
        else:  # a pixel more to the right than the cursor
            self._says.place(x=self._left, rely=0.5, anchor="w", relwidth=1, width=-2 * self._left)


class Dialog(tk.Toplevel):
    """A question over the window: Enter says yes, Escape no."""

    def __init__(
        self, parent: tk.Misc, look: Look, question: str, yes: str, on_yes: Callable[[], None]
    ) -> None:
        super().__init__(parent, background=look.palette.card)
        self.title("raydl")
        self.resizable(False, False)
        self.transient(parent.winfo_toplevel())
        self._on_yes = on_yes
        body = ttk.Frame(self, padding=look.px(20))
        body.pack(fill="both", expand=True)
        ttk.Label(body, text=question, wraplength=look.px(340), justify="left").pack(anchor="w")
        row = ttk.Frame(body)
        row.pack(anchor="e", pady=(look.px(16), 0))
        self.no_button = ttk.Button(row, text="Cancel", command=self.destroy)
        self.no_button.pack(side="left")
        self.yes_button = ttk.Button(row, text=yes, style="Accent.TButton", command=self._agree)
        self.yes_button.pack(side="left", padx=(look.px(8), 0))
        self.bind("<Escape>", lambda _: self.destroy())
        top = parent.winfo_toplevel()
        self.update_idletasks()
        x = top.winfo_rootx() + (top.winfo_width() - self.winfo_reqwidth()) // 2
        y = top.winfo_rooty() + (top.winfo_height() - self.winfo_reqheight()) // 3
        self.geometry(f"+{max(0, x)}+{max(0, y)}")
        self.yes_button.focus_set()

    def _agree(self) -> None:
        self.destroy()
        self._on_yes()


def copy(widget: tk.Misc, text: str) -> None:
    """To the clipboard."""
    widget.clipboard_clear()
    widget.clipboard_append(text)


def _sentence(text: str) -> str:
    """With a full stop, and a capital unless it begins with a name of something."""
    if text.partition(" ")[0].isalpha():
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
