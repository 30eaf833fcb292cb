"""All other options of a download, each with what it means."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from dataclasses import Field
from tkinter import ttk
from typing import Any

from raydl.gui.look import Look
from raydl.gui.widgets import Hint, Trouble
from raydl.gui.words import label
from raydl.model.errors import UsageError
from raydl.model.units import format_size
from raydl.settings.config import Setting
from raydl.settings.options import IN_BYTES, parse_option

HEADINGS = {"Download": False, "Access to the origin": True}
"""In the order in which they are shown, and whether the options are about access."""

HIDDEN = ("user", "header", "proxy")
"""What is shown as dots while it is typed."""

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
        self.transient(parent.winfo_toplevel())
        self.protocol("WM_DELETE_WINDOW", self.done)
        self.bind("<Escape>", lambda _: self.done())
        self._look, self._settings, self._closed = look, settings, closed
        self._first: ttk.Entry | None = None
        self.variables: Variables = {}
        px = look.px
        body = ttk.Frame(self, padding=px(16))
        body.pack(fill="both", expand=True, padx=1, pady=1)
        ttk.Label(body, text="For the next downloads", style="Heading.TLabel").grid(
            row=0, column=0, columnspan=2, sticky="w"
        )
        for column, (heading, is_access) in enumerate(HEADINGS.items()):
            body.columnconfigure(column, weight=1)
            shown = {
                n: f for n, f in options.items() if (f.metadata["of"] == "access") is is_access
            }
            group = self._group(body, heading, shown)
            left = px(24) if column else 0
            group.grid(row=1, column=column, sticky="new", padx=(left, 0), pady=(px(10), 0))
        foot = ttk.Frame(body)
        foot.grid(row=3, column=0, columnspan=2, sticky="ew", pady=(px(12), 0))
        ttk.Label(
            foot, text="Credentials, mirrors and checksums are for the next one alone.",
            style="Small.TLabel",
        ).pack(side="left")  # fmt: skip
        ttk.Button(foot, text="Done", command=self.done).pack(side="right")
        self.trouble = Trouble(body, look)
        self.trouble.grid(row=2, column=0, columnspan=2, sticky="ew")

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
            self.trouble.show(error)
            return
        self.trouble.clear()
        self.withdraw()
        self._closed()

    def open(self, over: tk.Misc) -> None:
        """Show it there, below its first lines and as far to the right."""
        self.update_idletasks()
        x = max(0, over.winfo_rootx() + over.winfo_width() - self.winfo_reqwidth())
        self.geometry(f"+{x}+{over.winfo_rooty() + self._look.px(60)}")
        self.deiconify()
        self.lift()
        if self._first is not None:
            self._first.focus_set()

    def _group(self, parent: ttk.Frame, heading: str, options: dict[str, Field[Any]]) -> ttk.Frame:
        px = self._look.px
        group = ttk.Frame(parent)
        group.columnconfigure(1, weight=1)
        ttk.Label(group, text=heading, style="Dim.TLabel").grid(
            row=0, column=0, columnspan=2, sticky="w", pady=(0, px(4))
        )
        switches = {n: f for n, f in options.items() if isinstance(f.default, bool)}
        entries = {n: f for n, f in options.items() if n not in switches}
        for row, (name, option) in enumerate(entries.items(), start=1):
            ttk.Label(group, text=label(name), style="Small.TLabel").grid(
                row=row, column=0, sticky="w", padx=(0, px(8))
            )
            variable = self.variables[name] = tk.StringVar(self)
            entry = ttk.Entry(
                group, textvariable=variable, width=20, show="•" if name in HIDDEN else ""
            )
            entry.grid(row=row, column=1, sticky="ew", pady=px(1))
            self._first = self._first or entry
            Hint(entry, self._look, _help(option, self._settings[name].value))
        boxes = ttk.Frame(group)
        boxes.grid(row=98, column=0, columnspan=2, sticky="w", pady=(px(8), 0))
        for number, (name, option) in enumerate(switches.items()):
            switch = self.variables[name] = tk.BooleanVar(self, bool(self._settings[name].value))
            box = ttk.Checkbutton(boxes, text=label(name), variable=switch)
            row, column = divmod(number, 2)
            box.grid(row=row, column=column, sticky="w", padx=(0, px(16)))
            Hint(box, self._look, option.metadata["help"])
        return group


def _help(option: Field[Any], value: Any) -> str:
    text = str(option.metadata["help"])
    if value is None or value == () or option.metadata["secret"]:
        return text
    if option.name in IN_BYTES:
        value = format_size(value)
    return f"{text} Now: {value}"
