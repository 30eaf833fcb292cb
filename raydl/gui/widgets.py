"""Small pieces that the windows are made of."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from raydl.gui.look import Look
from raydl.gui.words import in_windows
from raydl.model.errors import RaydlError

HINT_MS = 400
MOMENT_MS = 50

Cures = dict[str, Callable[[], None]]
"""What can be done about an error, by the words on a button."""


class Card(ttk.Frame):
    """A frame with a heading, and ``body`` for what is in it."""

    def __init__(self, parent: tk.Misc, look: Look, heading: str) -> None:
        super().__init__(parent, style="Card.TFrame", padding=look.px(14), borderwidth=1)
        self.top = ttk.Frame(self)
        self.top.pack(fill="x", pady=(0, look.px(8)))
        ttk.Label(self.top, text=heading, style="Heading.TLabel").pack(side="left")
        self.body = ttk.Frame(self)
        self.body.pack(fill="both", expand=True)


class Wrapped(ttk.Label):
    """A label whose lines are as long as it is wide."""

    def __init__(self, parent: tk.Misc, **options: object) -> None:
        super().__init__(parent, **options)  # type: ignore[arg-type]
        self._widths: list[int] = []
        """Those that it was given within a moment."""
        self.bind("<Configure>", lambda event: self._wrap(event.width))

    def _wrap(self, width: int) -> None:
        """Break the lines there; where two widths lead to each other, at the smaller one: how the
        lines break may say how much room is left for them, and that for ever."""
        if not self._widths:
            self.after(MOMENT_MS, self._widths.clear)
        if width in self._widths:
            width = min(self._widths)
        else:
            self._widths.append(width)
        if str(self.cget("wraplength")) != str(max(1, width)):
            self.configure(wraplength=max(1, width))


class CopyRow(ttk.Frame):
    """A line of text, to be copied with a button."""

    def __init__(self, parent: tk.Misc, look: Look, label: str) -> None:
        super().__init__(parent)
        ttk.Label(self, text=label, style="Small.TLabel").pack(anchor="w")
        line = ttk.Frame(self)
        line.pack(fill="x")
        self.text = tk.StringVar(self)
        self._entry = ttk.Entry(line, textvariable=self.text, state="readonly", font=look.mono_font)
        self._entry.pack(side="left", fill="x", expand=True)
        self.button = ttk.Button(line, text="Copy", style="Small.TButton", command=self._copy)
        self.button.pack(side="left", padx=(look.px(6), 0), fill="y")

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
    """An error: one sentence, and what else is known of it folded away. Takes no room without."""

    def __init__(self, parent: tk.Misc, look: Look) -> None:
        super().__init__(parent)
        self._look = look
        self.sentence = Wrapped(self, style="Bad.TLabel")
        self.more = ttk.Button(self, style="Link.TButton", command=self._toggle, cursor="hand2")
        self.detail = Wrapped(self, style="Small.TLabel")
        self.cures = ttk.Frame(self)
        self.message = ""

    def show(self, error: RaydlError, cures: Cures | None = None) -> None:
        """Show it, with a button for each of ``cures``."""
        self.clear()
        self.message = error.message
        self.sentence.configure(text=_sentence(in_windows(error.message)))
        self.sentence.pack(fill="x", pady=(self._look.px(6), 0))
        for name, cure in (cures or {}).items():
            ttk.Button(self.cures, text=name, style="Small.TButton", command=cure).pack(
                side="left", padx=(0, self._look.px(6))
            )
        if cures:
            self.cures.pack(anchor="w", pady=self._look.px(4))
        if error.hint:
            self.detail.configure(text=_sentence(in_windows(error.hint)))
            self.more.configure(text="What to do ▸")
            self.more.pack(anchor="w")
        self.update_idletasks()

    def clear(self) -> None:
        """There is none."""
        self.message = ""
        for widget in (self.sentence, self.cures, self.more, self.detail):
            widget.pack_forget()
        for cure in self.cures.winfo_children():
            cure.destroy()
        self.configure(height=1)

    def _toggle(self) -> None:
        if self.detail.winfo_ismapped():
            self.detail.pack_forget()
            self.more.configure(text="What to do ▸")
        else:
            self.detail.pack(fill="x")
            self.more.configure(text="What to do ▾")


class Hint:
    """A word on a widget, shown while that has the pointer or the focus."""

    def __init__(self, widget: tk.Widget, look: Look, text: str) -> None:
        self._widget, self._look, self._text = widget, look, text
        self._shown: tk.Toplevel | None = None
        self._timer = ""
        for event in ("<Enter>", "<FocusIn>"):
            widget.bind(event, lambda _: self._show_soon(), add="+")
        for event in ("<Leave>", "<FocusOut>", "<Destroy>"):
            widget.bind(event, lambda _: self._hide(), add="+")

    def _show_soon(self) -> None:
        self._hide()
        self._timer = self._widget.after(HINT_MS, self._show)

    def _show(self) -> None:
        self._timer = ""
        p, px = self._look.palette, self._look.px
        self._shown = tk.Toplevel(self._widget, background=p.line)
        self._shown.overrideredirect(True)
        tk.Label(
            self._shown, text=self._text, background=p.hover, foreground=p.text, justify="left",
            wraplength=px(320), padx=px(8), pady=px(5), font=self._look.small_font,
        ).pack(padx=1, pady=1)  # fmt: skip
        x = self._widget.winfo_rootx()
        y = self._widget.winfo_rooty() + self._widget.winfo_height() + px(2)
        self._shown.geometry(f"+{x}+{y}")

    def _hide(self) -> None:
        if self._timer:
            self._widget.after_cancel(self._timer)
            self._timer = ""
        if self._shown is not None:
            self._shown.destroy()
            self._shown = None


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
