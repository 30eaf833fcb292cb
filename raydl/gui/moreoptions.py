"""All other options of a download, each with what it means."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from dataclasses import Field
from tkinter import ttk
from typing import Any

from raydl.gui.look import Look
from raydl.gui.widgets import Field as EntryField
from raydl.gui.widgets import Wrapped
from raydl.gui.words import explanation, in_windows, label, placeholder
from raydl.model.errors import UsageError
from raydl.settings.config import Setting
from raydl.settings.options import HEADINGS, parse_option

COLUMNS = (("what", "where"), ("speed", "look"), ("access",))
"""Which of HEADINGS stand one below the other."""

HIDDEN = ("user", "header", "proxy")
"""What is shown as dots while it is typed."""

SAYING = "What an empty field says holds. Credentials, mirrors and checksums go with one download."
LINES = 2
"""Of room for what is said of a field, or is wrong with it."""

Variables = dict[str, tk.StringVar | tk.BooleanVar]


class MoreOptions(tk.Toplevel):
    """A dialog with a field for each of ``options``; ``variables`` has what is in them.

    An empty field leaves the value of ``settings`` in force. ``closed`` is called when the user
    is done.
    """

    def __init__(
        self, parent: tk.Misc, look: Look, options: dict[str, Field[Any]],
        settings: dict[str, Setting], closed: Callable[[], None],
    ) -> None:  # fmt: skip
        super().__init__(parent, background=look.palette.line)
        self.withdraw()
        self.title("More options")
        self.resizable(False, False)
        self.transient(parent.winfo_toplevel())
        self.protocol("WM_DELETE_WINDOW", self.done)
        self.bind("<Escape>", lambda _: self.done())
        self._look, self._settings, self._closed = look, settings, closed
        self.error = ""
        self.fields: dict[str, ttk.Entry | ttk.Checkbutton] = {}
        self.variables: Variables = {}
        px = look.px
        body = ttk.Frame(self, padding=px(16))
        body.pack(fill="both", expand=True, padx=1, pady=1)
        for number, column in enumerate(COLUMNS):
            groups = ttk.Frame(body)
            groups.grid(row=0, column=number, sticky="new", padx=(px(24) if number else 0, 0))
            body.columnconfigure(number, weight=1)
            for subject in column:
                shown = {n: f for n, f in options.items() if f.metadata["of"] == subject}
                if shown:
                    self._group(groups, HEADINGS[subject], shown).pack(fill="x")
        foot = ttk.Frame(body)
        foot.grid(row=1, column=0, columnspan=len(COLUMNS), sticky="ew", pady=(px(8), 0))
        # Its room is kept, whatever it says: no button moves, and no field is covered.
        room = ttk.Frame(foot, height=LINES * look.small_font.metrics("linespace") + px(2))
        room.pack_propagate(False)
        room.pack(side="left", fill="x", expand=True)
        self.said = Wrapped(room, text=SAYING, style="Small.TLabel", anchor="nw")
        self.said.pack(fill="both", expand=True)
        self.done_button = ttk.Button(foot, text="Done", style="Accent.TButton", command=self.done)
        self.done_button.pack(side="right", padx=(px(16), 0))

    def values(self) -> dict[str, Any]:
        """What was chosen here. Raises UsageError for what does not fit."""
        chosen: dict[str, Any] = {}
        for name, variable in self.variables.items():
            if isinstance(variable, tk.BooleanVar):
                if variable.get() != bool(self._settings[name].value):
                    chosen[name] = variable.get()
            elif text := variable.get().strip():
                chosen[name] = parse_option(name, text, label(name))
        return chosen

    def done(self) -> None:
        """Close it, unless something in it does not fit."""
        try:
            self.values()
        except UsageError as error:
            hint = f" {in_windows(error.hint)}." if error.hint else ""
            self._say(f"{in_windows(error.message)}.{hint}", is_error=True)
            return
        self._say(SAYING)
        self.withdraw()
        self._closed()

    def open(self, over: tk.Misc) -> None:
        """Show it there, below its first lines and as far to the right."""
        self.update_idletasks()
        x = over.winfo_rootx() + over.winfo_width() - self.winfo_reqwidth()
        lowest = self.winfo_screenheight() - self.winfo_reqheight()
        y = min(over.winfo_rooty() + self._look.px(60), lowest)
        self.geometry(f"+{max(0, x)}+{max(0, y)}")
        self.deiconify()
        self.lift()
        next(iter(self.fields.values())).focus_set()

    def _say(self, text: str, *, is_error: bool = False) -> None:
        self.error = text if is_error else ""
        style = "Bad.Small.TLabel" if is_error else "Small.TLabel"
        self.said.configure(text=text, style=style)

    def _explain(self, widget: tk.Misc, name: str) -> None:
        """Say what the option does, while its field has the pointer or the focus."""
        for event in ("<Enter>", "<FocusIn>"):
            widget.bind(event, lambda _: self._say(f"{label(name)}: {explanation(name)}"), add="+")

    def _group(self, parent: ttk.Frame, heading: str, options: dict[str, Field[Any]]) -> ttk.Frame:
        px = self._look.px
        group = ttk.Frame(parent, padding=(0, 0, 0, px(12)))
        group.columnconfigure(1, weight=1)
        ttk.Label(group, text=heading, style="Heading.TLabel").grid(
            row=0, column=0, columnspan=2, sticky="w", pady=(0, px(4))
        )
        switches = {n: f for n, f in options.items() if isinstance(f.default, bool)}
        entries = {n: f for n, f in options.items() if n not in switches}
        for row, name in enumerate(entries, start=1):
            ttk.Label(group, text=label(name), style="Small.TLabel").grid(
                row=row, column=0, sticky="w", padx=(0, px(8))
            )
            variable = self.variables[name] = tk.StringVar(self)
            entry = self.fields[name] = EntryField(
                group, self._look, placeholder(name, self._settings[name].value), variable,
                width=16, show="•" if name in HIDDEN else "",
            )  # fmt: skip
            entry.grid(row=row, column=1, sticky="ew", pady=px(1))
            self._explain(entry, name)
        for row, name in enumerate(switches, start=len(entries) + 1):
            switch = self.variables[name] = tk.BooleanVar(self, bool(self._settings[name].value))
            box = self.fields[name] = ttk.Checkbutton(group, text=label(name), variable=switch)
            box.grid(row=row, column=0, columnspan=2, sticky="w", pady=(px(2), 0))
            self._explain(box, name)
        return group
